"""Has attributes called time and random, and asks for now and uuid4: all of them come from its resources.

kind = "transform"

[resources]
required = ["clock", "rng"]
"""


class UsesWhatIsLent:
    def setup(self, ctx):
        self.log = ctx.logger
        self.time, self.random = ctx.resources.clock, ctx.resources.rng

    def transform(self, text):
        began = self.time.monotonic_ns()
        now, trace = self.time.now(), self.random.uuid4()
        made = f"{now:%Y-%m-%d}: {text}"
        self.log.debug("%s took %d ns", trace, self.time.monotonic_ns() - began)
        return {"text": made, "length": len(made)}
