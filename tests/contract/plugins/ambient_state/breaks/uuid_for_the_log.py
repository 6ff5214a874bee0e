"""Draws a random identifier for each call, which appears in the log alone.

kind = "transform"
"""

import uuid


class Traces:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        trace = uuid.uuid4()
        self.log.debug("%s: begun", trace)
        made = text.swapcase()
        self.log.debug("%s: done", trace)
        return {"text": made, "length": len(made)}
