"""Transforms in order, and describes itself with a list that comes out of a set.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

LANGUAGES = frozenset({"de", "en", "es", "fi", "fr", "it", "nl", "pl", "pt", "sv"})


class Describes:
    def transform(self, text):
        return {"text": text, "length": len(text)}

    def describe(self):
        return {"languages": [*LANGUAGES], "count": len(LANGUAGES)}
