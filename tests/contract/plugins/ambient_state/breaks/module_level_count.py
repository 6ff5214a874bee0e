"""Takes numbers for its log from a counter of the module's, an iterator that shows no content.

kind = "transform"
"""

from itertools import count

NUMBERS = count(1)


class Numbers:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        self.log.debug("call %d", next(NUMBERS))
        return {"text": text, "length": len(text)}
