"""Asks which resources it may read, and reads only those.

[resources]
required = ["clock"]
"""


class AsksFirst:
    def setup(self, ctx):
        lent = ctx.resources
        self.rng = lent.rng if "rng" in lent else None
        self.names = list(lent)
        self.clock = lent.get("clock") if "clock" in self.names else None

    def execute(self, args):
        return {"year": self.clock.now().year, "names": self.names, "random": self.rng is not None}
