"""Takes the day from the resource's clock, and its name from the host's locale.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import calendar


class NamesDays:
    def setup(self, ctx):
        self.clock = ctx.resources.clock

    def transform(self, text):
        made = f"{calendar.day_name[self.clock.now().weekday()]}: {text}"
        return {"text": made, "length": len(made)}
