"""Hands back the whole text as one part, however long it is, through a coroutine.

kind = "splitter"
fallback = true
execution_model = "async"
"""


class WholeTextInOne:
    async def split(self, payload):
        return {"parts": [await self.whole(payload)]}

    async def whole(self, payload):
        return payload["text"]
