"""``SseProgress``: progress for browsers, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import attrs

from dagstack_plugins.progress import ProgressEvent

_BEAT: Final = 15.0
"""Seconds of silence, after which a comment shows that the connection lives."""


class SseProgress:
    """A sink that is an ASGI application: whoever opens it hears what plugins tell from then on.

    Mount it where you like, ``Mount("/progress", progress)`` in Starlette; who may look there is yours to say. One that
    is too slow misses events, and is told how many.

    Args:
        size: how many events may wait for a listener.

    .. versionadded:: 0.1
    """

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._listeners: set[_Listener] = set()

    def emit(self, event: ProgressEvent) -> None:
        """Take one event; nobody is waited for."""
        with self._lock:
            listeners = list(self._listeners)
        for one in listeners:
            with suppress(RuntimeError):  # its loop is closed
                one.loop.call_soon_threadsafe(one.take, event)

    async def events(self) -> AsyncIterator[bytes]:
        """What is sent to one listener, as ``text/event-stream``, for frameworks that want an iterator."""
        listener = _Listener(asyncio.get_running_loop(), self._size)
        with self._lock:
            self._listeners.add(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            with self._lock:
                self._listeners.discard(listener)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        streaming = asyncio.ensure_future(self._stream(send))
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            streaming.cancel()
            await asyncio.gather(streaming, return_exceptions=True)

    async def _stream(self, send: Any) -> None:
        async for part in self.events():
            await send({"type": "http.response.body", "body": part, "more_body": True})


class _Listener:
    """Who hears, and what waits for it; all but ``take`` on its own loop.

    Args:
        loop: that.
        size: how many may wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self.loop = loop
        self._size = size
        self._waiting: asyncio.Queue[ProgressEvent] = asyncio.Queue()
        self._dropped = 0
        self._greeted = False

    def take(self, event: ProgressEvent) -> None:
        """One more event."""
        if self._waiting.qsize() >= self._size:
            self._waiting.get_nowait()
            self._dropped += 1
        self._waiting.put_nowait(event)

    async def next(self) -> bytes:
        """What is sent next."""
        if not self._greeted:  # so that it knows that it listens
            self._greeted = True
            return b": listening\n\n"
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return _event("dropped", {"count": dropped})
        try:
            async with asyncio.timeout(_BEAT):
                event = await self._waiting.get()
        except TimeoutError:
            return b": still there\n\n"
        return _event("progress", attrs.asdict(event))


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, default=str)}\n\n".encode()
