"""Runs a task from setup to teardown, where it is cancelled and waited for.

kind = "transform"
execution_model = "async"
"""

import asyncio
from contextlib import suppress


class EndsItsTask:
    async def setup(self):
        self.task = asyncio.create_task(asyncio.sleep(3600))

    async def transform(self, text):
        return {"text": text.lower()}

    async def teardown(self):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
