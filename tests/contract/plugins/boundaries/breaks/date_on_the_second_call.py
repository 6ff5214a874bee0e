"""Tells when it was last called: nothing at the first call, a datetime object from the second on.

[resources]
required = ["clock"]

[contract.examples]
execute = [{}, {}]
"""


class DateOnTheSecondCall:
    def setup(self, ctx):
        self.clock = ctx.resources.clock
        self.last = None

    def execute(self, args):
        before, self.last = self.last, self.clock.now()
        return {"now": self.last.isoformat(), "before": before}
