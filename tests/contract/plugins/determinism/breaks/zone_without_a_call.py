"""Adds the machine's distance from UTC, which the time module keeps in a variable.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import time


class Adds:
    def setup(self, ctx):
        self.clock = ctx.resources.clock

    def transform(self, text):
        made = f"{self.clock.now():%Y-%m-%d} {-time.timezone // 60:+d} {text}"
        return {"text": made, "length": len(made)}
