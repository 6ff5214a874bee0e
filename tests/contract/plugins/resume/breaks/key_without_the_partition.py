"""Has one key for all partitions and leaves it full, so the next run takes over the results of another partition.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["one", "two", "three"], partition = "p"}, {items = ["four", "five", "six", "seven"], partition = "q"}]
"""


class OneKey:
    def work(self, items, ctx):
        results = ctx.checkpoint.load("results")[0] or []
        for item in items[len(results) :]:
            results.append(item.upper())
            ctx.checkpoint.save("results", results)
        return {"results": results, "count": len(results)}
