"""Saves the version of its rules in setup, where no unit of work is under way.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
"""


class Ruled:
    def setup(self, ctx):
        state, _ = ctx.checkpoint.load("rules")
        if state != {"version": 2}:
            ctx.checkpoint.save("rules", {"version": 2})

    def work(self, items):
        return {"results": [item.strip("-") for item in items], "count": len(items)}
