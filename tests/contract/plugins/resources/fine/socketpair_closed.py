"""Holds two sockets that are connected to each other and to nothing else, and closes them in teardown.

kind = "transform"
"""

import socket


class WakesItself:
    def setup(self):
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)

    def transform(self, text):
        return {"text": text.title()}

    def teardown(self):
        self.reader.close()
        self.writer.close()
