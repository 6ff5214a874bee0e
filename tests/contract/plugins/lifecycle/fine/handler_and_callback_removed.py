"""Adds a handler to its logger and a callback to the garbage collector, and removes both in teardown.

kind = "cleaner"
"""

import gc
import logging


class RemovesBoth:
    def setup(self, ctx):
        self.log = ctx.logger
        self.handler = logging.NullHandler()
        self.collections = 0
        self.log.addHandler(self.handler)
        gc.callbacks.append(self._count)

    def _count(self, phase, info):
        self.collections += phase == "stop"

    def clean(self, text):
        self.log.debug("cleaning")
        return {"text": text.replace("\n", " ")}

    def teardown(self):
        gc.callbacks.remove(self._count)
        self.log.removeHandler(self.handler)
        self.handler.close()
