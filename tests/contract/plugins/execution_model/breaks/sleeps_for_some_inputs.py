"""Sleeps when a context manager is left, and only for one value of an argument.

kind = "transform"

[contract.examples]
transform = [{ text = "again", times = 5 }]
"""

import time
from contextlib import contextmanager


@contextmanager
def backing_off(times):
    yield
    if times > 4:
        time.sleep(0.05)


class BacksOff:
    def transform(self, text, times):
        with backing_off(times):
            return {"text": text * times}
