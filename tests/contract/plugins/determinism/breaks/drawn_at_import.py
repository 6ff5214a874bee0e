"""Draws a salt when its module is imported; from then on each answer is the same, in this process.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from uuid import uuid4

SALT = uuid4().hex[:8]


class Salts:
    def transform(self, text):
        made = f"{SALT}:{text}"
        return {"text": made, "length": len(made)}
