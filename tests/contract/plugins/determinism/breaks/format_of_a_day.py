"""Writes the resource's time with a format that has the weekday's name, as the host's locale calls it.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Dates:
    def setup(self, ctx):
        self.clock = ctx.resources.clock

    def transform(self, text):
        made = f"{self.clock.now():%A, %d %B} {text}"
        return {"text": made, "length": len(made)}
