"""Reads an undeclared resource by getattr with a default, which hides that it was refused.

kind = "transform"
"""


class TakesWhatItGets:
    def setup(self, ctx):
        self.clock = getattr(ctx.resources, "clock", None)

    def transform(self, text):
        return {"text": text if self.clock is None else f"{self.clock.now().year} {text}"}
