"""Caches a pure function for the whole module with lru_cache, and a property of its own with cached_property.

kind = "transform"
"""

from functools import cached_property, lru_cache


@lru_cache(maxsize=64)
def initials(text):
    return "".join(word[:1] for word in text.split())


class Shortens:
    @cached_property
    def endings(self):
        return str.maketrans("", "", ".,;:!?")

    def transform(self, text):
        made = initials(text.translate(self.endings))
        return {"text": made, "length": len(made)}
