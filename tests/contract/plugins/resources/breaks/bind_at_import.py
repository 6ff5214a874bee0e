"""Binds a socket while it is imported, to find out which ports are free.

kind = "transform"
"""

import socket

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    HAS_NETWORK = probe.getsockname()[1] > 0


class BindsAtImport:
    def transform(self, text):
        return {"text": text.strip(), "length": len(text.strip())}
