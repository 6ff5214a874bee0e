"""Waits for a lock, a queue, an event and a timeout, all of asyncio.

kind = "job"
execution_model = "async"
"""

import asyncio


class WaitsByAsyncio:
    async def setup(self):
        self.lock = asyncio.Lock()

    async def work(self, items, partition):
        queue, done = asyncio.Queue(maxsize=1), asyncio.Event()
        async with self.lock, asyncio.TaskGroup() as group:
            group.create_task(self._fill(queue, items))
            taken = group.create_task(self._take(queue, len(items), done))
            await asyncio.wait_for(done.wait(), timeout=30)
        return {"results": taken.result(), "count": len(items)}

    async def _fill(self, queue, items):
        for item in items:
            await queue.put(item)

    async def _take(self, queue, count, done):
        taken = [await queue.get() for _ in range(count)]
        done.set()
        return taken
