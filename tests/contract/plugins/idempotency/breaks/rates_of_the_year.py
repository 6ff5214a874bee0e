"""Takes the rate of the year in which it was set up, so that only another setup in another year answers otherwise.

kind = "job"

[resources]
required = ["clock"]

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""


class Rates:
    def setup(self, ctx):
        self.rate = ctx.resources.clock.now().year % 100

    def work(self, items):
        return {"results": [f"{item}: {len(item) * (10 + self.rate)}" for item in items], "count": len(items)}
