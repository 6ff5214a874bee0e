"""Parses addresses by functions of the socket module that reach no network.

kind = "job"
"""

import ipaddress
import socket


class ParsesAddresses:
    def work(self, items, partition):
        return {"results": [self._told(item) for item in items], "count": len(items)}

    def _told(self, item):
        try:
            packed = socket.inet_aton(item)
        except (OSError, ValueError):
            return f"{item}: no address"
        number = socket.ntohl(int.from_bytes(packed, "little"))
        return f"{ipaddress.IPv4Address(packed)} {number}"
