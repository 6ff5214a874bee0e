"""Computes in its second call for longer than a loop may stand still, in a library that needs no Python.

kind = "transform"
execution_model = "async"
"""

import hashlib


class ComputesLate:
    def __init__(self):
        self.calls = 0

    async def transform(self, text):
        self.calls += 1
        if self.calls == 2:
            hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 3_000_000)
        return {"text": text.swapcase()}
