"""Has a coroutine function whose decorator sleeps before each call, and blocks the loop.

kind = "transform"
execution_model = "async"
"""

import functools
import time


def throttled(method):
    @functools.wraps(method)
    async def call(self, text):
        time.sleep(0.02)
        return await method(self, text)

    return call


class Throttled:
    @throttled
    async def transform(self, text):
        return {"text": text.strip()}
