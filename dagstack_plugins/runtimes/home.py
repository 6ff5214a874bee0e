"""The one loop that plugins live on, and the ways there from other loops and threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Generic, Self, TypeVar

from dagstack_plugins.errors import DispatchMismatch, PluginUnavailable
from dagstack_plugins.runtimes.pools import WorkerThreads
from dagstack_plugins.runtimes.processes import ProcessPool
from dagstack_plugins.wording import raised

T = TypeVar("T")

_LOOK: Final = 0.25
"""Seconds between looks whether the loop that should answer is still there."""
_LAST_WORDS: Final = 5.0
"""Seconds that tasks of plugins have to end when their loop does."""
_ROUNDS: Final = 10
"""How often tasks are cancelled that start others when they are."""
_log: Final = logging.getLogger("dagstack_plugins")


class HomeLoop:
    """The loop that coroutine functions of plugins run on, whoever calls them, and the pools beside it.

    Args:
        threads: how many work at once for plugins that say ``thread_cpu_bound``; by default it depends on the machine.
        processes: how many work at once for plugins that say ``process_cpu_bound``; by default as many as the machine
            has processors.

    Attributes:
        threads: those threads.
        processes: what those processes share.
    """

    def __init__(self, threads: int | None = None, processes: int | None = None) -> None:
        self.threads = WorkerThreads(threads)
        self.processes = ProcessPool(processes)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, once plugins were started on one."""
        return self._loop

    def move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make ``loop`` the home of all plugins that start from now on."""
        self._loop = loop

    def rest(self) -> None:
        """End the threads that have nothing to do; they start again when there is."""
        self.threads.rest()
        self.processes.threads.rest()

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
        """Await ``function(*args)`` at home, from any loop.

        Raises:
            PluginUnavailable: if the home loop doesn't run, or ends before there is an answer.
        """
        if asyncio.get_running_loop() is self._loop:
            return await function(*args)
        errand = self._errand(function, args)
        try:
            with errand.looked_after():
                errand.begin()
                return await asyncio.wrap_future(errand.future)
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
            PluginUnavailable: if the home loop doesn't run, or ends before there is an answer.
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
            raise _not_running()
        return _Errand(self._loop, function, args)


class _Errand(Generic[T]):
    """A coroutine for a loop in another thread, which may end without ever having looked at it.

    ``asyncio.run_coroutine_threadsafe`` would hand out its future only after the loop got the coroutine: a caller that
    is interrupted in between could not take it back.

    Args:
        loop: the loop.
        function: makes the coroutine, on that loop.
        args: its arguments.

    Attributes:
        future: what the caller waits for, and cancels if it gives up.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]
    ) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop = loop
        self._function = function
        self._args = args
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
            raise _not_running() from None

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


def _not_running() -> PluginUnavailable:
    return PluginUnavailable(
        "the event loop that the plugins were started on does not run any more; keep it running while plugins "
        "are called, or start them with `with registry.running(ctx):`, which brings a loop of its own"
    )


def _gone() -> PluginUnavailable:
    return PluginUnavailable("the call was cancelled on the event loop of the plugins, or that loop ended under it")


class BackgroundLoop:
    """An event loop in a thread of its own, for hosts that have none.

    Used as a context manager: inside, ``run`` works.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name="dagstack-plugins-loop", daemon=True)

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
