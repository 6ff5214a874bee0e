"""Hands each text to a thread of its own and waits for the answer, though it says that it is sync.

kind = "transform"
"""

import threading
from queue import SimpleQueue


class WaitsForItsThread:
    def setup(self):
        self.asked, self.answered = SimpleQueue(), SimpleQueue()
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def _answer(self):
        while (text := self.asked.get()) is not None:
            threading.Event().wait(0.02)
            self.answered.put(text[::-1])

    def transform(self, text):
        self.asked.put(text)
        return {"text": self.answered.get()}

    def teardown(self):
        self.asked.put(None)
        self.thread.join()
