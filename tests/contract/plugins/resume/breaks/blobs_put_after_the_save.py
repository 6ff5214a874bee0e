"""Saves that an item is done before its blob is stored, so a run that is killed between the two never stores it.

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


class StoresLate:
    async def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for position in range(len(results), len(items)):
            results.append(items[position].upper())
            ctx.checkpoint.save(run, results)
            await ctx.resources.blob_store.put(f"{run}/{position}", results[-1].encode())
        return {"results": results, "count": len(results)}
