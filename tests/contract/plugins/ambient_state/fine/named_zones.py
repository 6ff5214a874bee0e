"""Converts times to zones that it names, by the tables that Python's zoneinfo reads.

kind = "transform"

[resources]
required = ["clock"]
"""

from zoneinfo import ZoneInfo


class Converts:
    def setup(self, ctx):
        self.clock = ctx.resources.clock

    def transform(self, text):
        now = self.clock.now()
        made = f"{text} {now.astimezone(ZoneInfo('Asia/Tokyo')):%H:%M} {now.astimezone(ZoneInfo('America/Lima')):%H:%M}"
        return {"text": made, "length": len(made)}
