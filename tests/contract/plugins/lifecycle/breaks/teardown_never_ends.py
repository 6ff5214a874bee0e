"""Waits in teardown for a queue whose entries nobody ever marks as done.

kind = "transform"
execution_model = "async"
teardown_timeout_sec = 1
"""

import asyncio


class WaitsForItsQueue:
    async def setup(self):
        self.lengths = asyncio.Queue()

    async def transform(self, text):
        self.lengths.put_nowait(len(text))
        return {"text": text, "length": self.lengths.get_nowait()}

    async def teardown(self):
        await self.lengths.join()
