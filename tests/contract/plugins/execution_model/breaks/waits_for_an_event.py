"""Waits for an event that never comes, until its timeout, in a plain hook.

kind = "splitter"
supports_extensions = [".txt"]
"""

import threading


class WaitsForAnEvent:
    def setup(self):
        self.ready = threading.Event()

    def split(self, text):
        self.ready.wait(0.02)
        return {"parts": text.splitlines()}
