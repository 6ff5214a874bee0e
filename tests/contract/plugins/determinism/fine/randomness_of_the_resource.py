"""Draws a number, an item and a UUID for each answer, all of them from its rng.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Draws:
    def setup(self, ctx):
        self.random = ctx.resources.rng

    def transform(self, text):
        random = self.random
        made = f"{random.uuid4()} {random.next_int(1, 6)} {random.choice('abc')} {random.next_float()} {text}"
        return {"text": made, "length": len(made)}
