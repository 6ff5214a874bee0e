"""An event loop for a plugin under test, which no task of it can end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """An event loop in a thread of its own: what plugins live on."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name="contract-loop", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self.loop.is_closed():
            with suppress(BaseException):  # a task of the plugin that exits
                self.loop.run_forever()
                return

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def start() -> None:
            task = self.loop.create_task(_kept(coroutine))
            task.add_done_callback(lambda done: future.set_result(done.result()))  # type: ignore[arg-type]

        self.loop.call_soon_threadsafe(start)
        outcome: Any = future.result()
        if outcome[1] is not None:
            raise outcome[1]
        value: T = outcome[0]
        return value

    def end(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        if not self.loop.is_running():
            self.loop.close()


async def _kept(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """A task that raises SystemExit would end the loop: it is carried out as a value."""
    try:
        return await coroutine, None
    except BaseException as error:
        return None, error
