"""Waits for a future without blocking, but the callback that fulfils it sleeps on the loop.

kind = "transform"
execution_model = "async"
"""

import asyncio
import time


class SleepsInACallback:
    async def transform(self, text):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._fulfil, future, len(text))
        return {"text": text, "length": await future}

    def _fulfil(self, future, length):
        time.sleep(0.02)
        future.set_result(length)
