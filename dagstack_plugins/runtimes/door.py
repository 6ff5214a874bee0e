"""A loop as the rest of the program sees it: ways in, from other loops and threads, blocking and awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Generic, TypeVar

from dagstack_plugins.errors import DispatchMismatch, PluginUnavailable

T = TypeVar("T")

_LOOK: Final = 0.25
"""Seconds between looks whether the loop that should answer is still there."""


class Door:
    """The ways into a loop.

    Args:
        absent: what to tell a caller who finds that the loop doesn't run.
    """

    def __init__(self, absent: str) -> None:
        self._absent = absent
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, once there is one."""
        return self._loop

    def is_here(self) -> bool:
        """Whether the caller runs on the loop."""
        return asyncio.get_running_loop() is self._loop

    def refuse_here(self) -> None:
        """Refuse to block the loop, which would wait for itself for ever.

        Raises:
            DispatchMismatch: on the loop.
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
        """Await ``function(*args)`` on the loop, from any other.

        Raises:
            PluginUnavailable: if the loop doesn't run, or ends before there is an answer.
        """
        if asyncio.get_running_loop() is self._loop:
            return await function(*args)
        errand = self._errand(function, args)
        try:
            with errand.looked_after():
                errand.begin()
                return await asyncio.wrap_future(errand.future)
        except asyncio.CancelledError:
            # Our own task was cancelled, or the loop ended under the call; only the second is an answer.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _gone() from None

    def block(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run ``function(*args)`` on the loop and block until it is done.

        Raises:
            DispatchMismatch: on the loop itself, which would wait for itself for ever.
            PluginUnavailable: if the loop doesn't run, or ends before there is an answer.
        """
        self.refuse_here()
        errand = self._errand(function, args)
        try:
            errand.begin()
            return errand.result()
        except concurrent.futures.CancelledError:
            raise _gone() from None
        except BaseException:
            errand.future.cancel()  # an interrupted caller takes the call along; one that ended is beyond cancelling
            raise

    def _errand(self, function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]) -> _Errand[T]:
        if self._loop is None or not self._loop.is_running():
            raise PluginUnavailable(self._absent)
        return _Errand(self._loop, function, args, self._absent)


class _Errand(Generic[T]):
    """A coroutine for a loop in another thread, which may end without ever having looked at it.

    ``asyncio.run_coroutine_threadsafe`` would hand out its future only after the loop got the coroutine: a caller that
    is interrupted in between could not take it back.

    Args:
        loop: the loop.
        function: makes the coroutine, on that loop.
        args: its arguments.
        absent: what to tell if the loop is closed.

    Attributes:
        future: what the caller waits for, and cancels if it gives up.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Coroutine[Any, Any, T]],
        args: tuple[Any, ...],
        absent: str,
    ) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop = loop
        self._function = function
        self._args = args
        self._absent = absent
        self._coroutine: Coroutine[Any, Any, T] | None = None
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        """Hand it over.

        Raises:
            PluginUnavailable: if the loop is closed.
        """
        self.future.add_done_callback(self._taken_back)
        try:
            # The callback runs in a copy of the caller's context, so context variables follow.
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:
            raise PluginUnavailable(self._absent) from None

    def _start(self) -> None:
        if not self.future.done():
            self._coroutine = self._function(*self._args)
            self._task = self._loop.create_task(self._coroutine)
            self._task.add_done_callback(self._settle)

    def _settle(self, task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        with suppress(concurrent.futures.InvalidStateError):  # the caller gave up, just now
            if task.cancelled():
                self.future.cancel()
            elif error is not None:
                self.future.set_exception(error)
            else:
                self.future.set_result(task.result())

    def _taken_back(self, future: concurrent.futures.Future[T]) -> None:
        if future.cancelled():
            with suppress(RuntimeError):  # the loop is closed, and has cancelled it
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def result(self) -> T:
        """Block until there is one, or the loop has ended."""
        while True:
            try:
                return self.future.result(_LOOK)
            except TimeoutError:
                if self.future.done():  # just now, or it is the plugin's own
                    return self.future.result()
                self._look()

    @contextmanager
    def looked_after(self) -> Iterator[None]:
        """Look now and then, from the running loop, while the future is awaited."""
        here = asyncio.get_running_loop()

        def look_again() -> None:
            self._look()
            self._looking = here.call_later(_LOOK, look_again)

        self._looking = here.call_later(_LOOK, look_again)
        try:
            yield
        finally:
            self._looking.cancel()

    def _look(self) -> None:
        """Give up where nobody is left who would answer; loops tell nobody that they end."""
        if self._loop.is_running():
            return
        self.future.cancel()
        coroutine = self._coroutine
        if self._loop.is_closed() and coroutine and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            coroutine.close()  # its task was made after all others were cancelled, and never ran


def _gone() -> PluginUnavailable:
    return PluginUnavailable("the call was cancelled on the event loop of the plugins, or that loop ended under it")
