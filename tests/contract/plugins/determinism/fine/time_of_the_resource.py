"""Writes times in several ways, all of them of its clock, in zones that it names and without names of a locale's.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from datetime import timedelta, timezone
from email.utils import format_datetime, formatdate


class Writes:
    def setup(self, ctx):
        self.clock = ctx.resources.clock

    def transform(self, text):
        now = self.clock.now()
        there = now.astimezone(timezone(timedelta(hours=9)))
        made = f"{now.isoformat()} {there:%H:%M %z} {format_datetime(now)} {formatdate(now.timestamp())} {text}"
        return {"text": made, "length": len(made)}
