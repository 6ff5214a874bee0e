"""Counts an item as done before it is, so a run that is killed there leaves it out.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""

import hashlib
import json


class SavesFirst:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state = ctx.checkpoint.load(run)[0] or {"done": 0, "results": []}
        results = state["results"]
        for index in range(state["done"], len(items)):
            ctx.checkpoint.save(run, {"done": index + 1, "results": results})
            results.append(items[index].upper())
        ctx.checkpoint.save(run, None)
        return {"results": results, "count": len(results)}
