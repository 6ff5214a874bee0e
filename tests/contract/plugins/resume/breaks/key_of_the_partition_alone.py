"""Keeps partitions apart but not the runs of one, so other items of the same partition get the results of the last run.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["one", "two", "three"], partition = "p"}, {items = ["three", "two", "one"], partition = "p"}]
"""


class OneKeyEach:
    def work(self, items, partition, ctx):
        key = f"partition/{partition}"
        state = ctx.checkpoint.load(key)[0] or {"done": 0, "results": []}
        results = state["results"]
        for position in range(state["done"], len(items)):
            results.append(items[position][::-1])
            ctx.checkpoint.save(key, {"done": position + 1, "results": results})
        return {"results": results, "count": len(results)}
