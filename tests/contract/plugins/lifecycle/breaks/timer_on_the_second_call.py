"""Starts a timer on its second call, which nobody cancels.

kind = "transform"
"""

import threading


class SavesLater:
    def setup(self):
        self.calls = 0
        self.saved = 0

    def transform(self, text):
        self.calls += 1
        if self.calls == 2:
            timer = threading.Timer(3600, self._save)
            timer.daemon = True
            timer.start()
        return {"text": text, "length": len(text)}

    def _save(self):
        self.saved = self.calls
