"""Draws a key on its first call from the randomness of the ssl module.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from functools import cached_property


class Draws:
    @cached_property
    def key(self):
        import ssl

        return ssl.RAND_bytes(4)

    def transform(self, text):
        made = f"{self.key.hex()}:{text}"
        return {"text": made, "length": len(made)}
