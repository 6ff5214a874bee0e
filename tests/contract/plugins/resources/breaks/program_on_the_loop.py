"""Starts a program by asyncio in its asynchronous setup.

kind = "transform"
execution_model = "async"
"""

import asyncio


class StartsAProgram:
    async def setup(self):
        process = await asyncio.create_subprocess_exec("/bin/true")
        self.works = await process.wait() == 0

    async def transform(self, text):
        return {"text": text.replace(" ", "_")}
