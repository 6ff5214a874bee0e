"""Keeps its answers in the blob store under a digest of the input and returns the kept one to whoever asks again.

kind = "job"
execution_model = "async"

[resources]
required = ["blob_store"]

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items", "partition"]
"""

import hashlib
import json


class Keeps:
    async def work(self, items, partition, ctx):
        blobs = ctx.resources.blob_store
        key = f"answers/{hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()}"
        if await blobs.exists(key):
            results = json.loads(await blobs.get(key))
        else:
            results = [f"{partition}: {item}" for item in items]
            await blobs.put(key, json.dumps(results).encode())
        return {"results": results, "count": len(results)}
