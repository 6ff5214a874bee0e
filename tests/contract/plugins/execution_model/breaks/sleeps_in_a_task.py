"""Awaits tasks of its own, as it should, but each of them sleeps and blocks the loop.

kind = "job"
execution_model = "async"
"""

import asyncio
from time import sleep as pause


class SleepsInTasks:
    async def work(self, items, partition):
        results = await asyncio.gather(*(self._fetch(item) for item in items))
        return {"results": list(results), "count": len(results)}

    async def _fetch(self, item):
        await asyncio.sleep(0)
        pause(0.01)
        return item.upper()
