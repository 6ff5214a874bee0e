"""Draws from the operating system's randomness in a thread of its setup, the first time it is set up.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import os
from threading import Thread


class DrawsAside:
    def __init__(self):
        self.drawn = b""

    def setup(self, ctx):
        if not self.drawn:
            worker = Thread(target=self._draw)
            worker.start()
            worker.join()

    def _draw(self):
        self.drawn = os.urandom(4)

    def transform(self, text):
        made = f"{self.drawn.hex()}:{text}"
        return {"text": made, "length": len(made)}
