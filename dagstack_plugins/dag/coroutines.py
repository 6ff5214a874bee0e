"""What tasks return to be awaited: it runs on an event loop, and holds up no worker."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from dagstack_plugins.dag.attempt import Attempt
from dagstack_plugins.runtimes.background import BackgroundLoop


class Coroutines:
    """Those of one run.

    Args:
        lock: guards the attempts.
        ended: told on the loop's thread what an attempt gave, or raised.
        cancelled: whether the run was cancelled, and with it what begins now.
        loop: where they run; left out, on a loop of their own, once there are any.
    """

    def __init__(
        self,
        lock: threading.Lock,
        ended: Callable[[Attempt, Any, BaseException | None], None],
        cancelled: Callable[[], bool],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self._lock = lock
        self._ended = ended
        self._cancelled = cancelled
        self._loop = loop
        self._own: BackgroundLoop | None = None
        self._running: set[Attempt] = set()

    def begin(self, attempt: Attempt, value: Awaitable[Any], context: contextvars.Context) -> bool:
        """Await what a task returned.

        Returns:
            Whether it is still wanted: an attempt may have been given up before it came to awaiting.
        """
        with self._lock:
            if attempt.over:
                _drop(value)
                return False
            attempt.thread = None
            self._running.add(attempt)
            if self._loop is None:
                self._own = BackgroundLoop().__enter__()
                self._loop = self._own.loop
        try:
            self._loop.call_soon_threadsafe(self._start, attempt, value, context)
        except RuntimeError as error:  # the loop was closed under the run
            _drop(value)
            self._settle(attempt, None, error)
        return True

    def _start(self, attempt: Attempt, value: Awaitable[Any], context: contextvars.Context) -> None:
        def done(task: asyncio.Task[Any]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            self._settle(attempt, task.result() if error is None else None, error)

        assert self._loop is not None
        try:
            # A coroutine as it is: one that is cancelled before it began would else be dropped, which Python tells.
            coroutine = value if inspect.iscoroutine(value) else _awaited(value)
            task = self._loop.create_task(coroutine, context=context)
        except Exception as error:  # of a factory of tasks that knows no contexts
            _drop(value)
            self._settle(attempt, None, error)
            return
        attempt.task = task
        task.add_done_callback(done)
        if self._cancelled() or attempt.over:
            task.cancel()

    def _settle(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        self._running.discard(attempt)
        self._ended(attempt, value, error)

    def running(self) -> list[Attempt]:
        """Those that have not ended."""
        return list(self._running)

    def cancel(self, attempt: Attempt) -> None:
        """Cancel what an attempt awaits."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed, and has cancelled it
            self._loop.call_soon_threadsafe(lambda: attempt.task and attempt.task.cancel())

    def close(self) -> None:
        """End the loop, if it is of their own."""
        if self._own is not None:
            self._own.__exit__()


def _drop(value: Awaitable[Any]) -> None:
    """Await something never, without Python complaining of that."""
    if inspect.iscoroutine(value):
        value.close()


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value
