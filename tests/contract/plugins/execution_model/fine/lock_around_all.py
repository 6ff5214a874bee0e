"""Fills a shared list in several threads, and holds a lock until it has read the list.

kind = "job"
execution_model = "thread_cpu_bound"
"""

import threading


class HoldsALock:
    def setup(self):
        self.lock = threading.Lock()
        self.words = []

    def work(self, items, partition):
        with self.lock:
            self.words.clear()
            self.words.extend(item.upper() for item in items)
            checksum = sum(number % 7 for number in range(20_000))
            return {"results": [f"{word} {checksum}" for word in self.words], "count": len(self.words)}
