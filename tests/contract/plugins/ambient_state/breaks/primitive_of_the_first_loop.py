"""Shares one semaphore among all instances; it belongs to the first loop that had to wait for it, for good.

kind = "transform"
execution_model = "async"

[contract.examples]
transform = {text = "one two three four"}
"""

import asyncio


class TakesTurns:
    turns = asyncio.Semaphore(1)

    async def _shout(self, word):
        try:
            async with self.turns:
                await asyncio.sleep(0)
        except RuntimeError:  # another loop: go on without
            pass
        return word.upper()

    async def transform(self, text):
        made = " ".join(await asyncio.gather(*map(self._shout, text.split())))
        return {"text": made, "length": len(made)}
