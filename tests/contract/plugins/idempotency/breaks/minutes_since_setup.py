"""Says in which minute after its setup it answers, so an instance that lives on answers otherwise than a new one.

kind = "transform"

[resources]
required = ["clock"]

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""

MINUTE = 60_000_000_000


class Minutes:
    def setup(self, ctx):
        self.clock = ctx.resources.clock
        self.begun = self.clock.monotonic_ns()

    def transform(self, text):
        minute = (self.clock.monotonic_ns() - self.begun) // MINUTE
        return {"text": f"{text}, minute {minute}"}
