"""Asks for the home folder in its constructor, which the environment decides, and never uses it.

kind = "transform"
"""

from pathlib import Path


class KnowsItsHome:
    def __init__(self):
        self.home = Path("~").expanduser()

    def transform(self, text):
        return {"text": text.lower(), "length": len(text)}
