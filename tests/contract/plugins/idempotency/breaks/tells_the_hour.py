"""Greets by the hour of the clock that the host lends.

kind = "transform"

[resources]
required = ["clock"]

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["text", "times"]
"""


class Greets:
    def transform(self, text, times, ctx):
        hour = ctx.resources.clock.now().hour
        greeting = "Good morning" if hour < 12 else "Good evening"
        return {"text": f"{greeting} {hour}h, {text * times}"}
