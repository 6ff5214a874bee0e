"""Saves in an asyncio task that the hook starts and awaits, not having said that it can be resumed.

kind = "job"
execution_model = "async"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""

import asyncio


class Lowers:
    async def work(self, items, partition, ctx):
        return await asyncio.create_task(self._each(items, partition, ctx.checkpoint))

    async def _each(self, items, partition, checkpoint):
        results = [item.lower() for item in items]
        await asyncio.sleep(0)
        checkpoint.save(f"seen/{partition}", len(results))
        return {"results": results, "count": len(results)}
