"""Sleeps in its hook, but lets the loop go on meanwhile.

kind = "transform"
execution_model = "async"
"""

import asyncio


class SleepsWell:
    async def transform(self, text):
        await asyncio.sleep(0.01)
        return {"text": text.strip()}
