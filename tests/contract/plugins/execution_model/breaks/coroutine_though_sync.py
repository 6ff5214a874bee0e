"""Says nothing of async, and one of its two hooks is a coroutine function.

kind = "transform"
"""


class IsHalfAsync:
    def transform(self, text):
        return {"text": text.strip()}

    async def describe(self):
        return {"removes": "white space"}
