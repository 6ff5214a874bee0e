"""Starts a task in setup and only drops it in teardown, while the loop goes on to wake it.

kind = "transform"
execution_model = "async"
"""

import asyncio


class StartsATask:
    async def setup(self):
        self.beats = 0
        self.task = asyncio.create_task(self._beat())

    async def _beat(self):
        while True:
            await asyncio.sleep(60)
            self.beats += 1

    async def transform(self, text):
        return {"text": text.lower()}

    async def teardown(self):
        self.task = None
