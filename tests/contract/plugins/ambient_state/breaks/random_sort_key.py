"""Draws random numbers to break ties among equal words, where they change nothing.

kind = "transform"
"""

from random import random


class Sorts:
    def transform(self, text):
        made = " ".join(sorted(text.split(), key=lambda word: (word, random())))
        return {"text": made, "length": len(made)}
