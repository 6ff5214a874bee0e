"""Reads a resource in a thread of its own, but a declared one, and while it is lent.

kind = "transform"

[resources]
required = ["clock"]
"""

import threading


class ReadsInAThread:
    def setup(self, ctx):
        self.started = None
        self.thread = threading.Thread(target=self._read, args=(ctx.resources,))
        self.thread.start()

    def _read(self, resources):
        self.started = resources.clock.now()

    def transform(self, text):
        return {"text": text.casefold()}

    def teardown(self):
        self.thread.join()
