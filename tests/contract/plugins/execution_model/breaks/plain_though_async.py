"""Says that it is async, and one of its two hooks is a plain function with a plain result.

kind = "transform"
execution_model = "async"
"""


class IsHalfSync:
    async def transform(self, text):
        return {"text": text.strip()}

    def describe(self):
        return {"removes": "white space"}
