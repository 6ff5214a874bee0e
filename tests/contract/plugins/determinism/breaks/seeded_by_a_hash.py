"""Shuffles with a generator of its own that is seeded by the text's hash, which each process makes differently.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "ash birch cedar dogwood elm fir gingko hazel ivy juniper"}
"""

import random


class Shuffles:
    def transform(self, text):
        words = text.split()
        random.Random(hash(text)).shuffle(words)
        made = " ".join(words)
        return {"text": made, "length": len(made)}
