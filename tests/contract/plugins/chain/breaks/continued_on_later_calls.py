"""Marks all texts but the first one as continued, whatever length that makes.

kind = "cleaner"
execution_model = "async"
"""


class ContinuedOnLaterCalls:
    async def setup(self, ctx):
        self.first = True

    async def clean(self, text):
        mark, self.first = "" if self.first else "(continued) ", False
        return {"text": mark + text}
