"""Has a deadline and logs how long it took, by the clock that it is lent, and logs its own address.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Measures:
    def setup(self, ctx):
        self.log, self.ticks = ctx.logger, ctx.resources.clock.monotonic_ns

    def transform(self, text, times):
        until, made = self.ticks() + 5_000_000_000, ""
        for _ in range(times):
            if self.ticks() > until:
                break
            made += text
        self.log.debug("%r: %d ns left", self, until - self.ticks())
        return {"text": made, "length": len(made)}
