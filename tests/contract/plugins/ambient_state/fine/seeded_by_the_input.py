"""Shuffles with a generator of its own that is seeded by the text.

kind = "transform"
"""

import random


class Shuffles:
    def transform(self, text):
        words = text.split()
        random.Random(text).shuffle(words)
        made = " ".join(words)
        return {"text": made, "length": len(made)}
