"""Runs a server of its own on the plugins' loop, from setup to teardown.

kind = "transform"
execution_model = "async"
"""

import asyncio


class Serves:
    async def setup(self):
        self.server = await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def _answer(self, reader, writer):
        writer.close()

    async def transform(self, text):
        return {"text": text, "length": len(text)}

    async def teardown(self):
        self.server.close()
        await self.server.wait_closed()
