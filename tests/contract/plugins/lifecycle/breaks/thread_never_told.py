"""Starts a thread in setup that waits for an end which teardown does not tell it.

kind = "transform"
"""

import threading


class StartsAThread:
    def setup(self):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ended.wait, daemon=True)
        self.thread.start()

    def transform(self, text):
        return {"text": text.strip()}

    def teardown(self):
        self.thread = None
