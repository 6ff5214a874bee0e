"""Makes a generator without a seed in its constructor, and draws one number from it.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import random


class Draws:
    def __init__(self):
        self.number = random.Random().randint(1, 10**9)

    def transform(self, text):
        made = f"{self.number}:{text}"
        return {"text": made, "length": len(made)}
