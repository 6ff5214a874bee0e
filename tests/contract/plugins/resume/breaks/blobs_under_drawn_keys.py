"""Stores each item under a drawn key that it does not save, so a resumed run draws other keys than one pass would have.

kind = "job"
execution_model = "async"

[resources]
required = ["blob_store", "rng"]

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""

import hashlib
import json


class Drawn:
    async def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            await ctx.resources.blob_store.put(f"items/{ctx.resources.rng.uuid4()}", item.encode())
            results.append(f"stored {item}")
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
