"""Has one key for all runs of a partition, knows its input again by the state, and clears the state at the end.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["one", "two", "three", "four", "five"], partition = "p"}, {items = ["six", "seven"], partition = "p"}]
"""


class Clears:
    def work(self, items, partition, ctx):
        state, _ = ctx.checkpoint.load(partition)
        results = state["results"] if state and state["items"] == items else []
        for item in items[len(results) :]:
            results.append(item.upper())
            ctx.checkpoint.save(partition, {"items": items, "results": results})
        ctx.checkpoint.save(partition, None)
        return {"results": results, "count": len(results)}
