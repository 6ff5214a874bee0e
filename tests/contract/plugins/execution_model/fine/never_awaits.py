"""Has coroutine functions in which nothing is awaited, and which are done at once.

kind = "transform"
execution_model = "async"
"""

import time


class IsDoneAtOnce:
    async def transform(self, text):
        return {"text": text.replace("sleep", time.sleep.__name__)}

    async def describe(self):
        return {"sleeps": False}
