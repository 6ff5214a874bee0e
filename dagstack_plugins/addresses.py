"""Where servers are bound to, and who reaches them there."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; uvicorn, asked to make its own, would end the process where that can't be done.

    Args:
        host: a name or an address.
        port: the port; 0 for one that is free.

    Raises:
        OSError: if it can't be bound.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except UnicodeError as error:
        raise OSError(errno.EINVAL, f"no name of a host: {error}") from None
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # a port that was just left; elsewhere the option would share one that is in use
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)  # all of it: an address of one link has its link in it
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening
