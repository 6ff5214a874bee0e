"""Opens a pipe and a selector in setup, and closes all three descriptors, even if one fails.

kind = "transform"
"""

import os
import selectors
from contextlib import ExitStack


class ClosesAll:
    def setup(self):
        with ExitStack() as stack:
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            stack.callback(os.close, writing)
            selector = stack.enter_context(selectors.DefaultSelector())
            selector.register(reading, selectors.EVENT_READ)
            self.opened = stack.pop_all()

    def transform(self, text):
        return {"text": text.zfill(4)}

    def teardown(self):
        self.opened.close()
