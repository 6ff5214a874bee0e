"""A plugin's setup or teardown, run so that the host survives whatever it does: raises, exits, hangs."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from dagstack_plugins.errors import PluginError

_GRACE: Final = 1.0
"""Seconds that a cancelled coroutine has to end before it counts as leaked."""
_THREADS: Final = 256
"""Plain functions that run at once; more wait. Each has a thread, as one that hangs can't be stopped."""


class Overrun(Exception):
    """A timeout was overrun.

    Args:
        message: what ran, and for how long.
        leaked: whether its code may still run.
    """

    def __init__(self, message: str, *, leaked: bool) -> None:
        super().__init__(message)
        self.leaked = leaked


class Guard:
    """Runs lifecycle methods of plugins; one for each round of starting or stopping."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_THREADS)

    async def run(self, method: Callable[..., Any], args: tuple[Any, ...], timeout: float, told: str) -> Any:
        """Run a function or a coroutine function under a timeout.

        Args:
            method: a plugin's method.
            args: what it is called with.
            timeout: seconds.
            told: what this is, for messages: ``setup``.

        Returns:
            What the method returned.

        Raises:
            Overrun: after ``timeout``.
            PluginError: if it raised something that is no ``Exception``, such as ``SystemExit``.
            Exception: what it raised.
        """
        if inspect.iscoroutinefunction(method):
            return await _bounded(asyncio.ensure_future(_contained(method(*args), told)), timeout, told)
        loop = asyncio.get_running_loop()
        async with self._places:
            started = loop.time()
            value = await _bounded(_in_thread(method, args, told), timeout, told)
            if not inspect.isawaitable(value):
                return value
            left = max(0.0, timeout - (loop.time() - started))
            return await _bounded(asyncio.ensure_future(_contained(_awaited(value), told)), left, told)


async def _awaited(value: Any) -> Any:
    return await value


async def _contained(coroutine: Coroutine[Any, Any, Any], told: str) -> Any:
    try:
        return await coroutine
    except (Exception, asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # in a task, SystemExit would end the loop
        raise _exited(error, told) from error


async def _bounded(future: asyncio.Future[Any], timeout: float, told: str) -> Any:
    try:
        done, _ = await asyncio.wait({future}, timeout=timeout)
    except asyncio.CancelledError:
        future.cancel()
        raise
    if not done:
        future.cancel()
        if isinstance(future, asyncio.Task):
            done, _ = await asyncio.wait({future}, timeout=_GRACE)
        raise Overrun(f"{told} took longer than {timeout:g} s", leaked=not done)
    if future.cancelled():
        raise PluginError(f"{told} cancelled itself", error_type="CancelledError")
    return future.result()


def _in_thread(function: Callable[..., Any], args: tuple[Any, ...], told: str) -> asyncio.Future[Any]:
    """Run a plain function in a daemon thread: one that hangs for ever keeps neither the loop nor the exit waiting."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: Exception | None) -> None:
        if future.done():  # it overran, and was given up: nobody wants the late result
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    def work() -> None:
        value, failure = None, None
        try:
            value = context.run(function, *args)
        except Exception as error:
            failure = error
        except BaseException as error:
            failure = _exited(error, told)
            failure.__cause__ = error
        try:
            loop.call_soon_threadsafe(settle, value, failure)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=work, name=f"dagstack-plugins-{told}", daemon=True).start()
    return future


def _exited(error: BaseException, told: str) -> PluginError:
    name = type(error).__name__
    return PluginError(
        f"{told} raised {name}({error}); a plugin fails with an Exception, it does not end its host", error_type=name
    )
