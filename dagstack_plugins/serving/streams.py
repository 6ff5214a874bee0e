"""Standard input as a server reads it: by a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

_PART: Final = 64 * 1024
"""Bytes that are read at once."""


@contextmanager
def suppress_in_groups(kind: type[Exception]) -> Iterator[None]:
    """Errors of a kind end what runs inside, and are told to nobody, whatever groups they come in.

    Args:
        kind: the kind.
    """
    try:
        yield
    except kind:
        pass
    except BaseExceptionGroup as group:
        if (others := group.split(kind)[1]) is not None:
            raise others from None


class Lines:
    """The lines of a stream, awaited one after the other; whoever gives up waiting leaves no thread that matters.

    A read can't be cancelled: in a pool's thread, it would hold up the end of the program until the client goes.

    Args:
        descriptor: the stream's; Python's own object for it would be locked at the program's end, which aborts it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        # A few lines ahead, and no more than that.
        self._free = threading.Semaphore(16)
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        threading.Thread(target=self._read, name="dagstack-plugins-stdin", daemon=True).start()

    def _read(self) -> None:
        rest = b""
        with suppress(RuntimeError, OSError):  # the loop is closed, or the stream
            while part := os.read(self._descriptor, _PART):
                *lines, rest = (rest + part).split(b"\n") if b"\n" in part else (rest + part,)
                for line in lines:
                    self._hand_over(line + b"\n")
            if rest:
                self._hand_over(rest)
            self._hand_over(b"")

    def _hand_over(self, line: bytes) -> None:
        self._free.acquire()
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        self._free.release()
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")
