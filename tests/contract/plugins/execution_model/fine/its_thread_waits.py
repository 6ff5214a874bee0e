"""Hands texts to a thread that sleeps and waits, and does not wait for it in its hook.

kind = "transform"
"""

import threading
import time
from queue import SimpleQueue


class LetsAThreadWait:
    def setup(self):
        self.texts = SimpleQueue()
        self.thread = threading.Thread(target=self._count, daemon=True)
        self.thread.start()

    def _count(self):
        letters = 0
        while (text := self.texts.get()) is not None:
            letters += len(text)
            time.sleep(0.0001)

    def transform(self, text):
        self.texts.put(text)
        return {"text": text.upper()}

    def teardown(self):
        self.texts.put(None)
        self.thread.join()
