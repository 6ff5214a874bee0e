"""Stores what a run is about under a key that has the state's version in it, so that a resumed run stores it twice.

kind = "job"
execution_model = "async"

[resources]
required = ["blob_store"]

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""

import hashlib
import json


class Headed:
    async def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state, version = ctx.checkpoint.load(run)
        results = state or []
        await ctx.resources.blob_store.put(f"{run}/{version}", json.dumps({"items": len(items)}).encode())
        for item in items[len(results) :]:
            results.append(item.lower())
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
