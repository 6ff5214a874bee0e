"""Tells its thread to end and does not wait for it, and the thread takes its time.

kind = "transform"
"""

import threading


class DoesNotWait:
    def setup(self):
        self.ended = threading.Event()
        threading.Thread(target=self._work, args=(self.ended,), daemon=True).start()

    def _work(self, ended):
        ended.wait()
        threading.Event().wait(60)

    def transform(self, text):
        return {"text": text.rstrip()}

    def teardown(self):
        self.ended.set()
