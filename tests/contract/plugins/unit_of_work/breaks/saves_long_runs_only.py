"""Saves checkpoints in runs of more than six items, and does not say that it can be resumed.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"

[contract.examples]
work = [{items = ["a"], partition = "p"}, {items = ["a", "b", "c", "d", "e", "f", "g"], partition = "p"}]
"""


class Measures:
    def work(self, items, partition, ctx):
        results = []
        for index, item in enumerate(items):
            results.append(str(len(item)))
            if index >= 6:
                ctx.checkpoint.save(partition, {"measured": index + 1})
        return {"results": results, "count": len(results)}
