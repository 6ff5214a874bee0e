"""Counts its calls and remembers the last input, but tells the log alone.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["text"]
"""


class Counts:
    def setup(self, ctx):
        self.log = ctx.logger
        self.calls = 0
        self.last = None

    def transform(self, text):
        self.calls += 1
        if text == self.last:
            self.log.debug("call %s asks again", self.calls)
        self.last = text
        return {"text": text.upper()}
