"""Has a hook behind two decorators, which is a coroutine function all the same.

kind = "transform"
execution_model = "async"
"""

import asyncio
import functools


def limited(method):
    @functools.wraps(method)
    async def call(self, text):
        async with asyncio.timeout(30):
            return await method(self, text)

    return call


def one_at_a_time(method):
    @functools.wraps(method)
    async def call(self, text):
        async with self.lock:
            return await method(self, text)

    return call


class IsWrapped:
    async def setup(self):
        self.lock = asyncio.Lock()

    @limited
    @one_at_a_time
    async def transform(self, text):
        await asyncio.sleep(0)
        return {"text": text.rstrip()}
