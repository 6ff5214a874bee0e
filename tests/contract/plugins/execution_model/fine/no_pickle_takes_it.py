"""Holds a lock, a lambda and a generator, which no pickle takes, but each process makes its own.

kind = "transform"
execution_model = "process_cpu_bound"
"""

import itertools
import threading


class CannotBePickled:
    def __init__(self):
        self.lock = threading.Lock()
        self.squares = (number * number for number in itertools.count())

    def setup(self):
        self.spelt = lambda text: "-".join(text)

    def transform(self, text):
        with self.lock:
            next(self.squares)
        return {"text": self.spelt(text), "length": len(text)}
