"""Counts its calls in an attribute of its own method's function.

kind = "transform"
"""


class Counts:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        counter = Counts.transform
        counter.calls = getattr(counter, "calls", 0) + 1
        self.log.debug("call %d", counter.calls)
        return {"text": text[::-1], "length": len(text)}
