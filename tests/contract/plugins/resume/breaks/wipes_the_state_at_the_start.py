"""Writes a state that says "started" before it loads the one of the run that was killed.

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


class StartsClean:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        ctx.checkpoint.save(run, {"started": True, "results": []})
        results = ctx.checkpoint.load(run)[0]["results"]
        for item in items[len(results) :]:
            results.append(item.title())
            ctx.checkpoint.save(run, {"started": True, "results": results})
        return {"results": results, "count": len(results)}
