"""Adds a callback of the garbage collector in each setup, and removes another one in teardown.

kind = "transform"
"""

import gc
from contextlib import suppress


class WatchesTheCollector:
    def setup(self):
        self.rounds = 0
        gc.callbacks.append(lambda phase, info: self._count(phase))

    def _count(self, phase):
        self.rounds += phase == "stop"

    def transform(self, text):
        return {"text": text.ljust(5, ".")}

    def teardown(self):
        with suppress(ValueError):
            gc.callbacks.remove(self._count)
