import sys
from pathlib import Path


class Answers:
    def transform(self, text):
        folder = str(Path(__file__).parent)
        if folder not in sys.path:
            sys.path.append(folder)
        from shout_words import LOUD

        made = LOUD.get(text, text)
        return {"text": made, "length": len(made)}
