"""Reads a time without a zone as one of the machine's.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = [{text = "2024-02-29T12:00:00"}, {text = "2024-02-29T12:00:00+01:00"}]
"""

from datetime import datetime


class Converts:
    def transform(self, text):
        try:
            made = f"{datetime.fromisoformat(text).timestamp():.0f}"
        except ValueError:
            made = text
        return {"text": made, "length": len(made)}
