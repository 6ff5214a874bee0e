"""Leaves a task behind that a hook started, though teardown ends the one that setup started.

kind = "transform"
execution_model = "async"
"""

import asyncio
from contextlib import suppress


class FlushesLater:
    async def setup(self):
        self.flusher = None
        self.watcher = asyncio.create_task(asyncio.sleep(3600))

    async def transform(self, text):
        if self.flusher is None:
            self.flusher = asyncio.create_task(asyncio.sleep(3600))
        return {"text": text.upper()}

    async def teardown(self):
        self.watcher.cancel()
        with suppress(asyncio.CancelledError):
            await self.watcher
