"""Makes its thread in the constructor, and threads can be started only once.

kind = "transform"
"""

import threading


class StartsOnce:
    def __init__(self):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ended.wait, daemon=True)

    def setup(self):
        self.thread.start()

    def transform(self, text):
        return {"text": text.expandtabs(2)}

    def teardown(self):
        self.ended.set()
        self.thread.join()
