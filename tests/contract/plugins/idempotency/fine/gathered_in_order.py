"""Works on all items at once and lets the short ones end first, but returns the results in the order of the items.

kind = "job"
execution_model = "async"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""

import asyncio


class Gathers:
    async def work(self, items):
        results = await asyncio.gather(*(self._one(item) for item in items))
        return {"results": results, "count": len(results)}

    async def _one(self, item):
        for _ in item:
            await asyncio.sleep(0)
        return item.swapcase()
