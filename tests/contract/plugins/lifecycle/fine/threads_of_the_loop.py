"""Works in asyncio's own pool of threads, which stays after teardown but is the loop's.

kind = "transform"
execution_model = "async"
"""

import asyncio


class BorrowsAThread:
    async def transform(self, text, times):
        return {"text": await asyncio.to_thread(text.__mul__, times)}
