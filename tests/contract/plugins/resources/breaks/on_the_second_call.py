"""Opens a port on its second call, and closes it at once.

kind = "transform"
"""

import socket


class OpensAPort:
    def setup(self):
        self.calls = 0

    def transform(self, text, times):
        self.calls += 1
        if self.calls == 2:
            socket.create_server(("127.0.0.1", 0)).close()
        return {"text": text * times}
