"""Asks for the running loop in each call, and makes its primitives for that call alone.

kind = "transform"
execution_model = "async"
"""

import asyncio


class AsksEachTime:
    async def transform(self, text):
        turns, done = asyncio.Semaphore(1), asyncio.get_running_loop().create_future()

        async def shout(word):
            async with turns:
                await asyncio.sleep(0)
            return word.upper()

        words = await asyncio.gather(*map(shout, text.split()))
        done.set_result(" ".join(words))
        made = await asyncio.wait_for(done, timeout=5)
        return {"text": made, "length": len(made)}
