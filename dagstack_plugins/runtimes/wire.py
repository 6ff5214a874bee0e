"""The loop that connections to plugins elsewhere live on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from dagstack_plugins.runtimes.background import BackgroundLoop
from dagstack_plugins.runtimes.door import Door

_ABSENT: Final = "the plugin was stopped; `with registry.running():` or `await registry.setup_all()` starts it again"


class Wire(Door):
    """A loop in a thread of its own, where connections to plugins elsewhere are kept.

    On the plugins' home loop they would starve whenever something blocks that; and a blocking call made there, as of
    every sync hook in a program with a loop, could never be answered.
    """

    def __init__(self) -> None:
        super().__init__(_ABSENT)
        self._lock = threading.Lock()
        self._background: BackgroundLoop | None = None
        self._kept = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run a coroutine function on it for as long as it takes; it is started if it doesn't run."""
        with self._lock:
            if (
                self._background is None or self._process != os.getpid()
            ):  # or it is that of a process we were forked from
                self._background = BackgroundLoop("dagstack-plugins-wire").__enter__()
                self._background.run(_nothing())  # whoever asks from now on finds it running
                self._loop, self._process = self._background.loop, os.getpid()
            self._kept += 1
            self._background.loop.call_soon_threadsafe(self._begin, function, args)

    def _begin(self, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]) -> None:
        task = asyncio.ensure_future(function(*args))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        with self._lock:
            self._kept -= 1

    def rest(self) -> None:
        """End it, if nothing is kept on it."""
        with self._lock:
            if self._background is None or self._kept or self._process != os.getpid():
                return
            background, self._background, self._loop = self._background, None, None
        background.__exit__(None, None, None)


async def _nothing() -> None:
    """What a loop does to show that it runs."""
