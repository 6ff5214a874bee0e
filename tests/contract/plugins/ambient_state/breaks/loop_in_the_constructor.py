"""Keeps the loop that ran when it was constructed, and uses it only where that still runs.

kind = "transform"
execution_model = "async"
"""

import asyncio


class KeepsALoop:
    def __init__(self):
        try:
            self.loop = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None

    def setup(self, ctx):
        self.log = ctx.logger

    async def transform(self, text):
        if self.loop is asyncio.get_running_loop():
            self.loop.call_soon(self.log.debug, "made")
        return {"text": text.title(), "length": len(text.title())}
