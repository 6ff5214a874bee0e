"""Tells the resource's time in the zone of the machine.

kind = "transform"

[resources]
required = ["clock"]
"""


class Stamps:
    def setup(self, ctx):
        self.clock = ctx.resources.clock

    def transform(self, text):
        made = f"{text} {self.clock.now().astimezone():%H:%M %z}"
        return {"text": made, "length": len(made)}
