"""The one loop that plugins live on, and the ways there from other loops and threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from dagstack_plugins.errors import DispatchMismatch, PluginUnavailable

T = TypeVar("T")


class HomeLoop:
    """The loop that coroutine functions of plugins run on, whoever calls them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, once plugins were started on one."""
        return self._loop

    def move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make ``loop`` the home of all plugins that start from now on."""
        self._loop = loop

    def is_here(self) -> bool:
        """Whether the caller runs on the home loop."""
        return asyncio.get_running_loop() is self._loop

    def refuse_here(self) -> None:
        """Refuse to block the home loop, which would wait for itself for ever.

        Raises:
            DispatchMismatch: on the home loop.
        """
        try:
            here = self.is_here()
        except RuntimeError:  # no loop runs here
            return
        if here:
            raise DispatchMismatch(
                "a blocking call, made on the event loop that plugins live on: where it waits for a coroutine "
                "function, it would wait for ever; await it: proxy.aio.hook(…)"
            )

    async def wait(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Await ``function(*args)`` at home, from any loop."""
        if asyncio.get_running_loop() is self._loop:
            return await function(*args)
        future = self._submit(function, args)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # Our own task was cancelled, or the home loop ended under the call; only the second is an answer.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _gone() from None

    def block(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run ``function(*args)`` at home and block until it is done.

        Raises:
            DispatchMismatch: on the home loop itself, which would wait for itself for ever.
            PluginUnavailable: if the home loop doesn't run any more.
        """
        self.refuse_here()
        future = self._submit(function, args)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _gone() from None
        except BaseException:
            future.cancel()  # an interrupted caller takes the call along; one that ended is beyond cancelling
            raise

    def _submit(
        self, function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]
    ) -> concurrent.futures.Future[T]:
        if self._loop is None or not self._loop.is_running():
            raise PluginUnavailable(
                "the event loop that the plugins were started on does not run any more; keep it running while plugins "
                "are called, or start them with `with registry.running(ctx):`, which brings a loop of its own"
            )
        # The callback runs in a copy of the caller's context, so context variables follow.
        return asyncio.run_coroutine_threadsafe(function(*args), self._loop)


def _gone() -> PluginUnavailable:
    return PluginUnavailable("the call was cancelled: the event loop of the plugins ended, or they were torn down")


class BackgroundLoop:
    """An event loop in a thread of its own, for hosts that have none.

    Used as a context manager: inside, ``run`` works.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="dagstack-plugins-loop", daemon=True)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            pending = asyncio.all_tasks(self._loop)
            for task in pending:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        # A task that swallows its cancellation would hold the host here; the thread is a daemon, so it may be left.
        self._thread.join(timeout=5)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and block until it is done."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
