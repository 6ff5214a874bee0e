"""Writes in teardown, when calls are over, but to a declared blob store that is lent until then.

kind = "transform"
execution_model = "async"

[resources]
required = ["blob_store"]
"""


class WritesAtTheEnd:
    async def setup(self, ctx):
        self.store = ctx.resources.blob_store
        self.calls = 0

    async def transform(self, text):
        self.calls += 1
        return {"text": text.strip()}

    async def teardown(self):
        await self.store.put("calls", str(self.calls).encode())
        await self.store.delete("calls")
