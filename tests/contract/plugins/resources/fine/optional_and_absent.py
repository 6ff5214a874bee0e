"""Reads a resource that the host does not have, but that it declares as optional.

kind = "transform"

[resources]
optional = ["word_cache"]
"""


class DoesWithout:
    def setup(self, ctx):
        self.cache = ctx.resources.word_cache

    def transform(self, text):
        cached = self.cache.get(text) if self.cache is not None else None
        return {"text": text.lower() if cached is None else cached}
