"""Takes a lock of the threading module on the loop, which is free and held for one line.

kind = "transform"
execution_model = "async"
"""

import asyncio
import threading


class TakesALock:
    def setup(self):
        self.lock = threading.Lock()
        self.calls = 0

    async def transform(self, text):
        with self.lock:
            self.calls += 1
        await asyncio.sleep(0)
        return {"text": text.lower()}
