"""Has a class that is hashed and compared by its fields, and uses it for a cache that keeps an order of its own.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from functools import lru_cache


class Word:
    def __init__(self, text):
        self.text = text.casefold()

    def __eq__(self, other):
        return isinstance(other, Word) and self.text == other.text

    def __hash__(self):
        return hash(("Word", self.text))


@lru_cache(maxsize=32)
def spelt(word):
    return "-".join(word.text)


class Spells:
    def transform(self, text):
        counts = {}
        for word in map(Word, text.split()):
            counts[word] = counts.get(word, 0) + 1
        made = " ".join(f"{spelt(word)}:{count}" for word, count in counts.items())
        return {"text": made, "length": len(made)}
