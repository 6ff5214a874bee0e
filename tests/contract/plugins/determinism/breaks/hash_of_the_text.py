"""Numbers texts by their hash, without a call of hash().

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from operator import methodcaller

number = methodcaller("__hash__")


class Numbers:
    def transform(self, text):
        made = f"{number(text) % 0xFFFF:04x}"
        return {"text": made, "length": len(made)}
