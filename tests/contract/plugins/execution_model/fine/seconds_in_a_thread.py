"""Computes for more than a second in its first call, but says that it is for threads.

kind = "transform"
execution_model = "thread_cpu_bound"
"""

import threading


class ComputesInThreads:
    def __init__(self):
        self.lock = threading.Lock()
        self.total = None

    def transform(self, text):
        with self.lock:
            if self.total is None:
                self.total = sum(range(80_000_000))
        return {"text": f"{text} {self.total}"}
