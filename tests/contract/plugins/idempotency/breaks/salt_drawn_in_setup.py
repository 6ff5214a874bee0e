"""Draws a salt in its setup, which is the same for all calls of an instance and another one for another seed.

kind = "transform"

[resources]
required = ["rng"]

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""

import hashlib


class Salted:
    def setup(self, ctx):
        self.salt = ctx.resources.rng.uuid4()

    def transform(self, text):
        return {"text": hashlib.sha256(f"{self.salt}{text}".encode()).hexdigest()[:16]}
