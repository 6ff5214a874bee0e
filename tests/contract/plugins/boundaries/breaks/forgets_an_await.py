"""Awaits nothing of a coroutine that it puts into its result.

execution_model = "async"
"""


class ForgetsAnAwait:
    async def count(self, args):
        return len(args)

    async def execute(self, args):
        return {"fields": self.count(args)}
