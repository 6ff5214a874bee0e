"""Saves nothing but how far it is, as the results are in blobs by then and are read from there.

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


class InBlobs:
    async def work(self, items, partition, ctx):
        blobs = ctx.resources.blob_store
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        for position in range(ctx.checkpoint.load(run)[0] or 0, len(items)):
            await blobs.put(f"{run}/{position}", items[position][::-1].encode())
            ctx.checkpoint.save(run, position + 1)
        results = [(await blobs.get(f"{run}/{position}")).decode() for position in range(len(items))]
        return {"results": results, "count": len(results)}
