"""Writes the year in which it runs, by a method whose name it puts together.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import datetime
from functools import partial

day = partial(getattr, datetime.date, "".join(("to", "day")))


class Writes:
    def transform(self, text):
        made = f"(c) {day()().year} {text}"
        return {"text": made, "length": len(made)}
