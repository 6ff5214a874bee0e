"""An event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self, TypeVar

from dagstack_plugins.wording import raised

T = TypeVar("T")

_LAST_WORDS: Final = 5.0
"""Seconds that tasks of plugins have to end when their loop does."""
_ROUNDS: Final = 10
"""How often tasks are cancelled that start others when they are."""
_log: Final = logging.getLogger("dagstack_plugins")


class BackgroundLoop:
    """An event loop in a thread of its own, for hosts that have none.

    Used as a context manager: inside, ``run`` works.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str = "dagstack-plugins-loop") -> None:
        self._loop = asyncio.new_event_loop()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._loop

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._ended:
            self._run(self._loop.run_forever)
        for _ in range(_ROUNDS):
            self._run(self._cancel_all)
        self._run(lambda: self._loop.run_until_complete(self._loop.shutdown_asyncgens()))
        self._loop.close()

    @staticmethod
    def _run(step: Callable[[], object]) -> None:
        """Run the loop; a task or callback of a plugin that exits must not end it for all."""
        try:
            step()
        except BaseException as error:
            _log.error("a plugin's task tried to end the event loop that all plugins live on: %s", raised(error))

    def _end(self) -> None:
        self._ended = True
        self._loop.stop()

    def _cancel_all(self) -> None:
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end)
        # A task that swallows its cancellation would hold the host here; the thread is a daemon, so it may be left.
        self._thread.join(timeout=_LAST_WORDS)
        if self._thread.is_alive():
            _log.error("what plugins left running did not end within %g s, and is left behind", _LAST_WORDS)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and block until it is done.

        A caller that is interrupted cancels it, and still waits until it is done; interrupted again, it doesn't.
        """
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        running: list[asyncio.Task[T]] = []

        def start() -> None:
            running.append(self._loop.create_task(coroutine))
            running[0].add_done_callback(settle)

        def settle(task: asyncio.Task[T]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                outcome.set_result(task.result())
            else:
                outcome.set_exception(error)

        def cancel() -> None:
            if running:
                running[0].cancel()
            else:  # interrupted before it was handed over
                coroutine.close()
                outcome.cancel()

        try:
            self._loop.call_soon_threadsafe(start)
            return outcome.result()
        except BaseException:
            if not outcome.done():
                self._loop.call_soon_threadsafe(cancel)
                concurrent.futures.wait([outcome])
            raise
