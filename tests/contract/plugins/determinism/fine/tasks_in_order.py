"""Works in tasks that end in another order than they began, and gathers them in the order of the text.

kind = "transform"
execution_model = "async"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import asyncio


class Gathers:
    async def _shout(self, word, turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return word.upper()

    async def transform(self, text):
        words = text.split()
        made = " ".join(await asyncio.gather(*(self._shout(word, len(words) - n) for n, word in enumerate(words))))
        return {"text": made, "length": len(made)}
