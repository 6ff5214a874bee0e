"""Keeps the text of a call in the instance while it works, but in storage that each thread has for itself.

kind = "transform"
execution_model = "thread_cpu_bound"
"""

import threading


class HasABufferPerThread:
    def setup(self):
        self.local = threading.local()

    def transform(self, text):
        self.local.text = text
        for number in range(50_000):
            number * number
        return {"text": self.local.text, "length": len(self.local.text)}
