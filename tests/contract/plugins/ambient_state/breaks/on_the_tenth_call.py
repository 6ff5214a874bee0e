"""Looks into the environment once every ten calls, and at no other time.

kind = "transform"
"""

import os


class LooksNowAndThen:
    def setup(self, ctx):
        self.log = ctx.logger
        self.calls = 0

    def transform(self, text):
        self.calls += 1
        if self.calls % 10 == 0 and os.getenv("SHOUT_DEBUG"):
            self.log.debug("%d calls", self.calls)
        return {"text": text.upper(), "length": len(text)}
