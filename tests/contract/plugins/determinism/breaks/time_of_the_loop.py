"""Takes the loop's time when it first runs, which counts from the start of the machine.

kind = "transform"
execution_model = "async"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import asyncio


class AsksTheLoop:
    def __init__(self):
        self.began = None

    async def transform(self, text):
        if self.began is None:
            self.began = asyncio.get_running_loop().time()
        made = f"{self.began}: {text}"
        return {"text": made, "length": len(made)}
