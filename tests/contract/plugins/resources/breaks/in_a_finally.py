"""Looks a host name up in a finally, after the result is made, and swallows what goes wrong.

kind = "job"
"""

import contextlib
import socket


class LooksUpAHost:
    def work(self, items, partition):
        try:
            return {"results": sorted(items), "count": len(items)}
        finally:
            with contextlib.suppress(OSError):
                socket.gethostbyname("localhost")
