"""Hands its work to a pool of threads, and then blocks the loop until it is done.

kind = "transform"
execution_model = "async"
"""

import threading
from concurrent.futures import ThreadPoolExecutor


class WaitsForAPool:
    def setup(self):
        self.pool = ThreadPoolExecutor(max_workers=1)

    async def transform(self, text):
        return {"text": self.pool.submit(self._reversed, text).result()}

    def _reversed(self, text):
        threading.Event().wait(0.02)
        return text[::-1]

    def teardown(self):
        self.pool.shutdown()
