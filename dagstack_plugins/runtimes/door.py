"""A loop as the rest of the program sees it: ways in, from other loops and threads, blocking and awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import os
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

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
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._posts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = weakref.WeakKeyDictionary()

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
        here = asyncio.get_running_loop()
        if here is self._loop:
            return await function(*args)
        answer: asyncio.Future[T] = here.create_future()
        back = self._post_to(here)

        def settle(task: asyncio.Task[T]) -> None:
            with suppress(RuntimeError):  # the caller's loop is closed: nobody waits any more
                back.send(lambda: _hand_over(task, answer))

        errand = self._errand(function, args, settle)
        errand.begin()
        watch = here.call_later(_LOOK, self._look, errand, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            errand.give_up()
            # Our own task was cancelled, or the loop ended under the call; only the second is an answer.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _gone() from None
        finally:
            watch.cancel()

    def _look(self, errand: _Errand, answer: asyncio.Future[Any]) -> None:
        """Look now and then, from the loop of who waits; loops tell nobody that they end."""
        if answer.done():
            return
        if errand.is_lost():
            answer.cancel()
        else:
            answer.get_loop().call_later(_LOOK, self._look, errand, answer)

    def block(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run ``function(*args)`` on the loop and block until it is done.

        Raises:
            DispatchMismatch: on the loop itself, which would wait for itself for ever.
            PluginUnavailable: if the loop doesn't run, or ends before there is an answer.
        """
        self.refuse_here()
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        errand = self._errand(function, args, lambda task: _hand_over(task, answer))
        try:
            errand.begin()
            while True:
                try:
                    return answer.result(_LOOK)
                except TimeoutError:
                    if answer.done():  # just now, or it is the plugin's own
                        return answer.result()
                    if errand.is_lost():
                        answer.cancel()
        except concurrent.futures.CancelledError:
            raise _gone() from None
        except BaseException:
            errand.give_up()  # an interrupted caller takes the call along; one that ended is beyond cancelling
            raise

    def _errand(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        args: tuple[Any, ...],
        settle: Callable[[asyncio.Task[T]], None],
    ) -> _Errand:
        loop = self._loop
        if self._process != os.getpid():  # a loop looks as if it ran in a fork, too
            raise PluginUnavailable(
                "the plugins were started by the process that this one was forked from; make a registry of its own here"
            )
        if loop is None or not loop.is_running():
            raise PluginUnavailable(self._absent)
        return _Errand(self._post_to(loop), function, args, settle, self._absent)

    def _post_to(self, loop: asyncio.AbstractEventLoop) -> _Post:
        post = self._posts.get(loop)
        return self._posts.setdefault(loop, _Post(loop)) if post is None else post


class _Post:
    """Messages to a loop from other threads: many that come together wake it once.

    Args:
        loop: the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._waiting: deque[Callable[[], None]] = deque()
        self._told = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, while there is one."""
        return self._loop()

    def send(self, message: Callable[[], None]) -> None:
        """Run a function on the loop.

        Raises:
            RuntimeError: if the loop is closed.
        """
        self._waiting.append(message)
        if not self._told:
            self._told = True
            try:
                loop = self._loop()
                if loop is None:
                    raise RuntimeError("the loop is gone")
                loop.call_soon_threadsafe(self._deliver)
            except BaseException:
                self._told = False
                raise

    def _deliver(self) -> None:
        self._told = False  # first: what comes from now on wakes it again
        while self._waiting:
            try:
                message = self._waiting.popleft()
            except IndexError:
                return
            message()


class _Errand:
    """A coroutine for a loop in another thread, which may end without ever having looked at it.

    ``asyncio.run_coroutine_threadsafe`` would hand out its future only after the loop got the coroutine: a caller that
    is interrupted in between could not take it back.

    Args:
        post: the way to the loop.
        function: makes the coroutine, on that loop.
        args: its arguments.
        settle: is told of its task's end, on that loop.
        absent: what to tell if the loop is closed.
    """

    def __init__(
        self,
        post: _Post,
        function: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        settle: Callable[[asyncio.Task[Any]], None],
        absent: str,
    ) -> None:
        self._post = post
        self._function = function
        self._args = args
        self._settle = settle
        self._absent = absent
        # Context variables follow.
        self._context = contextvars.copy_context()
        self._given_up = False
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Hand it over.

        Raises:
            PluginUnavailable: if the loop is closed.
        """
        try:
            self._post.send(self._start)
        except RuntimeError:
            raise PluginUnavailable(self._absent) from None

    def _start(self) -> None:
        loop = self._post.loop
        if not self._given_up and loop is not None:
            self._coroutine = self._function(*self._args)
            self._task = loop.create_task(self._coroutine, context=self._context)
            self._task.add_done_callback(self._settle)

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self._given_up = True
        with suppress(RuntimeError):  # the loop is closed, and has cancelled it
            self._post.send(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def is_lost(self) -> bool:
        """Whether nobody is left who would answer."""
        loop = self._post.loop
        if loop is not None and loop.is_running():
            return False
        coroutine = self._coroutine
        closed = loop is None or loop.is_closed()
        if closed and coroutine and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            coroutine.close()  # its task was made after all others were cancelled, and never ran
        return True


def _hand_over(task: asyncio.Task[T], answer: asyncio.Future[T] | concurrent.futures.Future[T]) -> None:
    """What a task ended with is what its caller gets; one who gave up, just now, gets nothing."""
    error = None if task.cancelled() else task.exception()
    with suppress(asyncio.InvalidStateError, concurrent.futures.InvalidStateError):
        if task.cancelled():
            answer.cancel()
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())


def _gone() -> PluginUnavailable:
    return PluginUnavailable("the call was cancelled on the event loop of the plugins, or that loop ended under it")
