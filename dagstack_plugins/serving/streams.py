"""Standard input as a server reads it: by a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Self


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
        stream: the stream.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        # A few lines ahead, and no more than that.
        self._free = threading.Semaphore(16)
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        threading.Thread(target=self._read, name="dagstack-plugins-stdin", daemon=True).start()

    def _read(self) -> None:
        with suppress(RuntimeError, OSError, ValueError):  # the loop is closed, or the stream
            while True:
                self._free.acquire()
                line = self._stream.readline()
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
                if not line:
                    return

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        self._free.release()
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")
