"""Picks the most frequent words by a Counter, which keeps those that are equal in the order of the text.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "ash birch cedar dogwood elm fir gingko hazel ivy juniper"}
"""

from collections import Counter


class Picks:
    def transform(self, text):
        made = " ".join(f"{word}:{count}" for word, count in Counter(text.split()).most_common(3))
        return {"text": made, "length": len(made)}
