"""Gives all sockets that anybody will make a timeout, in setup, though it makes none itself.

kind = "transform"
"""

import socket


class HatesToWait:
    def setup(self, ctx):
        socket.setdefaulttimeout(30)

    def transform(self, text):
        return {"text": text.rstrip(), "length": len(text.rstrip())}
