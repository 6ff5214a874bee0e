"""Acquires a lock that is held already, with a timeout, on the loop.

kind = "transform"
execution_model = "async"
"""

import threading


class AcquiresALock:
    def setup(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    async def transform(self, text):
        free = self.lock.acquire(timeout=0.02)
        return {"text": "" if free else text.lower()}

    def teardown(self):
        self.lock.release()
