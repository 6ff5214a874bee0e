"""Signs its answers with the name of the machine.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import platform


class Signs:
    def transform(self, text):
        made = f"{text} ({platform.node()})"
        return {"text": made, "length": len(made)}
