"""Takes a state for its own only if it is the first version, so that a run killed later begins at the start.

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


class FirstVersion:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state, version = ctx.checkpoint.load(run)
        results = state if version == 1 else []
        for item in items[len(results) :]:
            results.append(item + item)
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
