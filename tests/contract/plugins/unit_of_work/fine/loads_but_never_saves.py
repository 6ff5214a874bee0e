"""Looks for checkpoints of another version of itself and saves none, so it has nothing to be resumed from.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
"""


class Doubles:
    def work(self, items, ctx):
        for key in ctx.checkpoint.list("v0/"):
            ctx.logger.info("found %s, version %s", key, ctx.checkpoint.load(key)[1])
        return {"results": [item * 2 for item in items], "count": len(items)}
