"""Makes requests, but by the client that its manifest declares, and bears a refusal.

kind = "transform"
execution_model = "async"

[resources]
required = ["http_client"]
"""


class AsksTheHost:
    def setup(self, ctx):
        self.client = ctx.resources.http_client

    async def transform(self, text):
        try:
            answer = await self.client.get("https://example.org/words")
        except Exception:
            return {"text": text}
        return {"text": answer.text()}
