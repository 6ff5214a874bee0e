"""Asks a queue, a lock, an event and a pipe, each in the way that does not wait.

kind = "transform"
"""

import os
import queue
import select
import threading
from contextlib import suppress


class AsksWithoutWaiting:
    def setup(self):
        self.news = queue.Queue()
        self.lock = threading.Lock()
        self.ready = threading.Event()
        self.ends = os.pipe()

    def transform(self, text):
        with suppress(queue.Empty):
            self.news.get_nowait()
        if self.lock.acquire(blocking=False):
            self.lock.release()
        readable, _, _ = select.select(self.ends[:1], [], [], 0)
        return {"text": text, "length": len(readable) + self.ready.is_set()}

    def teardown(self):
        for end in self.ends:
            os.close(end)
