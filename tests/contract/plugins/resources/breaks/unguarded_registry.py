"""Reaches an undeclared blob store through the host's own registry of resources.

kind = "transform"
execution_model = "async"
"""

from operator import attrgetter


class GoesRoundTheManifest:
    def setup(self, ctx):
        self.lent = attrgetter("registry.resource_registry")(ctx)

    async def transform(self, text):
        store = self.lent.get("blob_store")
        await store.put("seen", b"1")
        return {"text": text.rstrip(), "length": len(text.rstrip())}
