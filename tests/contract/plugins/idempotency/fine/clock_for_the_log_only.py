"""Reads the host's clock before and after its work and tells the log, not the caller.

kind = "transform"

[resources]
required = ["clock"]

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""


class Timed:
    def setup(self, ctx):
        self.clock = ctx.resources.clock
        self.log = ctx.logger

    def transform(self, text, times):
        begin = self.clock.monotonic_ns()
        made = "-".join([text] * times)
        self.log.debug("%s: took %s ns", self.clock.now().isoformat(), self.clock.monotonic_ns() - begin)
        return {"text": made, "length": len(made)}
