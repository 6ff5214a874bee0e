"""Writes a number with the format n, whose separators are those of the host's locale.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Writes:
    def transform(self, text):
        made = f"{len(text) / 2:n} of {1_000_000:n}"
        return {"text": made, "length": len(made)}
