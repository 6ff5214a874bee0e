"""Stores at each start what the run is about, under the same key with the same bytes.

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
        results = ctx.checkpoint.load(run)[0] or []
        await ctx.resources.blob_store.put(f"{run}/about", json.dumps({"items": len(items)}).encode())
        for item in items[len(results) :]:
            results.append(item.swapcase())
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
