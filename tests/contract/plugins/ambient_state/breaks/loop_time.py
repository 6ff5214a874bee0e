"""Takes the monotonic time from the running loop, to log how long it waited.

kind = "transform"
execution_model = "async"
"""

import asyncio


class AsksTheLoop:
    def setup(self, ctx):
        self.log = ctx.logger

    async def transform(self, text):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(0)
        self.log.debug("waited for %.6f s", loop.time() - began)
        return {"text": text, "length": len(text)}
