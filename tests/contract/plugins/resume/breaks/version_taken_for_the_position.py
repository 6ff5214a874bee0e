"""Takes a state's version for the number of items done, which goes on counting after the state was cleared.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["one", "two", "three", "four"], partition = "p"}, {items = ["five", "six"], partition = "p"}]
"""


class ByVersion:
    def work(self, items, partition, ctx):
        state, done = ctx.checkpoint.load(f"partition/{partition}")
        results = state or []
        for item in items[done:]:
            results.append(item.upper())
            ctx.checkpoint.save(f"partition/{partition}", results)
        ctx.checkpoint.save(f"partition/{partition}", None)
        return {"results": results, "count": len(results)}
