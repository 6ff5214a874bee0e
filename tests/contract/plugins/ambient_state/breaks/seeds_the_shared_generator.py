"""Seeds the generator that all modules share, so its own results repeat and everybody else's do, too.

kind = "transform"
"""

import random


class Shuffles:
    def transform(self, text):
        words = text.split()
        random.seed(text)
        random.shuffle(words)
        made = " ".join(words)
        return {"text": made, "length": len(made)}
