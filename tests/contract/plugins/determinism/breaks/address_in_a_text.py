"""Names its own method in the answer, and with it the address of its instance.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Signs:
    def transform(self, text):
        made = f"{text} by {self.transform}"
        return {"text": made, "length": len(made)}
