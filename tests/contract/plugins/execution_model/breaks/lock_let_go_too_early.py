"""Fills a shared list under a lock, and reads it when the lock is free again.

kind = "job"
execution_model = "thread_cpu_bound"
"""

import threading


class ReadsTooLate:
    def setup(self):
        self.lock = threading.Lock()
        self.words = []

    def work(self, items, partition):
        with self.lock:
            self.words.clear()
            self.words.extend(item.upper() for item in items)
        checksum = sum(number % 7 for number in range(200_000))
        return {"results": [f"{word} {checksum}" for word in self.words], "count": len(self.words)}
