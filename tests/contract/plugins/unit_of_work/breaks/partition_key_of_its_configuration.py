"""Names as its partition key a property of its configuration, which is the same for all runs.

kind = "job"
config_schema = {type = "object", required = ["shard"], properties = {shard = {type = "string"}}}

[unit_of_work]
declared = true
partition_key = "shard"

[contract]
config = {shard = "north"}
"""


class InItsShard:
    def setup(self, ctx):
        self.shard = ctx.config["shard"]

    def work(self, items):
        return {"results": [f"{self.shard}/{item}" for item in items], "count": len(items)}
