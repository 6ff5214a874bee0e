"""Ties what it must release to an object that outlives it, so that nothing is released.

kind = "transform"
"""

import weakref


class ReleasesTooLate:
    def setup(self, ctx):
        self.buffer = bytearray(1000)
        weakref.finalize(ctx.logger, self.buffer.clear)

    def transform(self, text):
        return {"text": text, "length": len(self.buffer)}

    def teardown(self):
        self.buffer = None
