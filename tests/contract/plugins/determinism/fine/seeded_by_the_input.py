"""Shuffles and samples with generators of Python's, which the text seeds.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import random


class Shuffles:
    def transform(self, text, times):
        words = text.split()
        generator = random.Random(f"{times} {text}")
        generator.shuffle(words)
        made = " ".join([*words, str(generator.random()), *random.Random(times).sample(words, min(len(words), 2))])
        return {"text": made, "length": len(made)}
