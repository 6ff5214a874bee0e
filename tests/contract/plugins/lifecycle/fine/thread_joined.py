"""Runs a thread from setup to teardown, where it is told to end and waited for.

kind = "transform"
"""

import threading


class EndsItsThread:
    def setup(self):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ended.wait, daemon=True)
        self.thread.start()

    def transform(self, text):
        return {"text": text.strip()}

    def teardown(self):
        self.ended.set()
        self.thread.join()
