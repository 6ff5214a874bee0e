"""Cancels its task in teardown, but the task swallows that and goes on.

kind = "transform"
execution_model = "async"
"""

import asyncio
from contextlib import suppress


class CancelsInVain:
    async def setup(self):
        self.task = asyncio.create_task(self._wait())
        await asyncio.sleep(0)

    async def _wait(self):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async def transform(self, text):
        return {"text": text.rstrip()}

    async def teardown(self):
        self.task.cancel()
        await asyncio.sleep(0)
