"""Puts texts after a preamble that gzip packed, with the second in which that happened.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import base64
import gzip


class Packs:
    def __init__(self):
        self.preamble = gzip.compress(b"texts follow\n")

    def transform(self, text):
        made = base64.b64encode(self.preamble + text.encode()).decode()
        return {"text": made, "length": len(made)}
