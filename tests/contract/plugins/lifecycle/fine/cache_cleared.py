"""Caches without bounds while it runs, and empties the cache in teardown.

kind = "transform"
"""

import functools


@functools.cache
def spelt(word):
    return "-".join(word)


class Spells:
    def transform(self, text):
        return {"text": " ".join(spelt(word) for word in text.split())}

    def teardown(self):
        spelt.cache_clear()
