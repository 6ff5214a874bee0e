"""Makes a socket that it never connects, and never closes.

kind = "transform"
"""

import socket


class KeepsASocket:
    def setup(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def transform(self, text):
        return {"text": text.center(10)}

    def teardown(self):
        pass
