"""Connects a datagram socket in a thread of its own, to learn the address of this machine.

kind = "transform"
"""

import socket
import threading


class LearnsItsAddress:
    def setup(self):
        self.address = None
        self.thread = threading.Thread(target=self._learn, daemon=True)
        self.thread.start()

    def _learn(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", 9))
            self.address = probe.getsockname()[0]

    def transform(self, text):
        return {"text": text.swapcase()}

    def teardown(self):
        self.thread.join()
