"""Receives from a socket of a pair on the loop, and gives up after a while.

kind = "transform"
execution_model = "async"
"""

import socket
from contextlib import suppress


class Receives:
    def setup(self):
        self.ends = socket.socketpair()
        self.ends[0].settimeout(0.02)

    async def transform(self, text):
        received = b""
        with suppress(TimeoutError):
            received = self.ends[0].recv(1)
        return {"text": text.rjust(3), "length": len(received)}

    def teardown(self):
        for end in self.ends:
            end.close()
