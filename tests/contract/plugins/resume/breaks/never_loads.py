"""Saves after each item and never loads, so each run begins at the start.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""


class Forgets:
    def work(self, items, partition, ctx):
        results = []
        for item in items:
            results.append(f"{partition}:{item}")
            ctx.checkpoint.save(f"run/{partition}", {"items": items, "results": results})
        return {"results": results, "count": len(results)}
