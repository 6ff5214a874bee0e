"""Sleeps and waits in setup and teardown, which run in threads that may wait, and not in its hook.

kind = "transform"
"""

import threading
import time


class WaitsOutsideHooks:
    def setup(self):
        time.sleep(0.003)
        threading.Event().wait(0.003)

    def transform(self, text):
        return {"text": text.lstrip()}

    def teardown(self):
        time.sleep(0.003)
