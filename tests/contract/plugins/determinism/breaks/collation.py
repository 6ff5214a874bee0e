"""Sorts words as the host's locale does.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "zebra Äpfel apfel Zebra äpfel"}
"""

import locale


class Sorts:
    def transform(self, text):
        made = " ".join(sorted(text.replace("\0", " ").split(), key=locale.strxfrm))
        return {"text": made, "length": len(made)}
