"""Keeps in the blob store which items it has seen, where a later process finds them and answers otherwise.

kind = "job"
execution_model = "async"

[resources]
required = ["blob_store"]

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""

import hashlib


class Remembers:
    async def work(self, items, ctx):
        blobs = ctx.resources.blob_store
        results = []
        for item in items:
            key = f"seen/{hashlib.sha256(item.encode()).hexdigest()}"
            results.append(f"{item}: {'known' if await blobs.exists(key) else 'new'}")
            await blobs.put(key, b"")
        return {"results": results, "count": len(results)}
