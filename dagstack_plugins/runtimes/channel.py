"""Messages between this process and another, over a socket: whole, of bounded size, and waited for only so long."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the longest message."""

_HEAD: Final = struct.Struct("!Q")
_CHUNK: Final = 1024 * 1024
_LOOK: Final = 0.25
"""Seconds between looks whether the other process is there."""


class TooLong(ValueError):
    """A message is longer than ``LIMIT``."""


class Channel:
    """One end of a socket pair.

    Args:
        end: the socket.
        alive: whether the other process is there; asked now and then while nothing comes, as a fork of it, which
            inherited its end, keeps that open.
    """

    def __init__(self, end: socket.socket, alive: Callable[[], bool] = lambda: True) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._alive = alive

    def send(self, message: bytes, until: float | None = None) -> None:
        """Send one message.

        Args:
            message: its bytes.
            until: when to give up, by ``time.monotonic()``.

        Raises:
            TooLong: if it is; nothing was sent.
            TimeoutError: after that.
            EOFError: if the other process is gone.
        """
        if len(message) > LIMIT:
            raise TooLong(f"{len(message)} bytes are more than {LIMIT}")
        rest = memoryview(_HEAD.pack(len(message)) + message)
        while rest:
            _check(until)
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._wait_until_ready(until, writing=True)
            except OSError:  # broken pipe, reset, or closed here by who gave up
                raise EOFError from None

    def receive(self, until: float | None = None) -> bytes:
        """Wait for one message.

        Args:
            until: when to give up, by ``time.monotonic()``.

        Raises:
            TooLong: if it is; the channel is of no use any more.
            TimeoutError: after that.
            EOFError: if the other process is gone.
        """
        (length,) = _HEAD.unpack(self._read(_HEAD.size, until))
        if length > LIMIT:
            raise TooLong(f"{length} bytes are more than {LIMIT}")
        return self._read(length, until)

    def arrives(self, seconds: float) -> bool:
        """Wait for the beginning of a message, or the other end's being closed.

        Args:
            seconds: how long.

        Raises:
            EOFError: if this end is closed.
        """
        return self._ready(seconds, writing=False)

    def _read(self, length: int, until: float | None) -> bytes:
        parts = []
        while length:
            _check(until)
            try:
                part = self._socket.recv(min(length, _CHUNK))
            except BlockingIOError:
                self._wait_until_ready(until)
                continue
            except OSError:
                raise EOFError from None
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _wait_until_ready(self, until: float | None, *, writing: bool = False) -> None:
        while True:
            seconds = _LOOK if until is None else min(_LOOK, until - time.monotonic())
            if seconds <= 0:
                raise TimeoutError
            if self._ready(seconds, writing=writing):
                return
            if not self._alive() and not self._ready(0, writing=writing):
                raise EOFError

    def _ready(self, seconds: float, *, writing: bool) -> bool:
        try:
            poll = select.poll()  # unlike `select.select`, it takes any number of a descriptor
            poll.register(self._socket, select.POLLOUT if writing else select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        except (OSError, ValueError):  # closed here, by who gave up
            raise EOFError from None

    def close(self) -> None:
        """Close this end; the other one sees that, and who waits here."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def forget(self) -> None:
        """Let go of this end in a forked process, without a sign to the other one."""
        self._socket.close()


def _check(until: float | None) -> None:
    """What keeps coming is no reason to wait for longer."""
    if until is not None and time.monotonic() >= until:
        raise TimeoutError
