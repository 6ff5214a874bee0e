"""Computes for long on the loop in its first call, but in steps of a few milliseconds between which others run.

kind = "transform"
execution_model = "async"
"""

import asyncio


class ComputesInSteps:
    def __init__(self):
        self.total = None

    async def transform(self, text):
        if self.total is None:
            total = 0
            for step in range(100):
                total += sum(range(step * 100_000, (step + 1) * 100_000))
                await asyncio.sleep(0)
            self.total = total
        return {"text": f"{text} {self.total}"}
