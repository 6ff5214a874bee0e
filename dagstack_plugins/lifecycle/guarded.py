"""A plugin's setup or teardown, run so that the host survives whatever it does: raises, exits, hangs."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from dagstack_plugins.errors import PluginError
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.wording import place_of, raised

_GRACE: Final = 1.0
"""Seconds that a cancelled coroutine has to end before it counts as leaked."""
_THREADS: Final = 256
"""Plain functions that run at once; more wait. Each has a thread, as one that hangs can't be stopped."""


class Overrun(TimeoutError):
    """A timeout was overrun.

    Args:
        message: what ran, and for how long.
        leaked: whether its code may still run.
    """

    def __init__(self, message: str, *, leaked: bool) -> None:
        super().__init__(message)
        self.leaked = leaked


class Abandoned(Exception):
    """The host gave up waiting; whoever catches it raises ``cancelled`` on, which ``asyncio.timeout`` looks for.

    Args:
        message: what ran.
        leaked: whether its code may still run.
        cancelled: the cancellation of the host.
    """

    def __init__(self, message: str, *, leaked: bool, cancelled: asyncio.CancelledError) -> None:
        super().__init__(message)
        self.leaked = leaked
        self.cancelled = cancelled


@attrs.frozen(eq=False)
class Limit:
    """How long something may take.

    Attributes:
        seconds: that long.
        field: the manifest's field that says so.
    """

    seconds: float
    field: str

    def __str__(self) -> str:
        return f"{self.field} = {self.seconds:g}"


class Guard:
    """Runs lifecycle methods of plugins; one for each round of starting or stopping."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_THREADS)

    async def run(self, method: Callable[..., Any], args: tuple[Any, ...], limit: Limit, told: str) -> Any:
        """Run a function or a coroutine function under a timeout.

        Args:
            method: a plugin's method.
            args: what it is called with.
            limit: how long it may take.
            told: what this is, for messages: ``setup``.

        Returns:
            What the method returned.

        Raises:
            Overrun: after that.
            Abandoned: if the caller was cancelled.
            PluginError: if it raised something that is no ``Exception``, such as ``SystemExit``.
            Exception: what it raised.
        """
        if inspect.iscoroutinefunction(method):
            return await _bounded(asyncio.ensure_future(_contained(method(*args), told)), limit, told)
        loop = asyncio.get_running_loop()
        async with self._places:
            started = loop.time()
            value = await _bounded(_in_thread(method, args, told), limit, told)
            if not inspect.isawaitable(value):
                return value
            passed = loop.time() - started
            return await _bounded(asyncio.ensure_future(_contained(_awaited(value), told)), limit, told, passed)


async def _awaited(value: Any) -> Any:
    return await value


@contextmanager
def contained(told: str) -> Iterator[None]:
    """Turn what would end the loop, such as ``SystemExit``, into a ``PluginError``.

    Args:
        told: what runs inside, for messages.
    """
    try:
        yield
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise _exited(error, told) from error


async def _contained(coroutine: Coroutine[Any, Any, Any], told: str) -> Any:
    with contained(told):
        return await coroutine


async def _bounded(future: asyncio.Future[Any], limit: Limit, told: str, passed: float = 0.0) -> Any:
    try:
        done, _ = await asyncio.wait({future}, timeout=max(0.0, limit.seconds - passed))
    except asyncio.CancelledError as error:
        leaked = not await _ended(future)
        raise Abandoned(f"{told} was cancelled by the host", leaked=leaked, cancelled=error) from None
    if not done:
        raise Overrun(f"{told} took longer than {limit}", leaked=not await _ended(future))
    if future.cancelled():
        raise PluginError(f"{told} cancelled itself: CancelledError", error_type="CancelledError")
    return future.result()


async def _ended(future: asyncio.Future[Any]) -> bool:
    """Cancel what nobody waits for any more; whether it ended. Nothing stops a thread."""
    future.add_done_callback(_heard)
    future.cancel()
    if not isinstance(future, asyncio.Task):
        return False
    done, _ = await asyncio.wait({future}, timeout=_GRACE)
    return bool(done)


def _heard(future: asyncio.Future[Any]) -> None:
    """Take a late error, which asyncio would tell of as one that nobody heard."""
    if not future.cancelled():
        future.exception()


def _in_thread(function: Callable[..., Any], args: tuple[Any, ...], told: str) -> asyncio.Future[Any]:
    """Run a plain function in a daemon thread: one that hangs for ever keeps neither the loop nor the exit waiting."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: Exception | None) -> None:
        if future.done():  # it overran, and was given up: nobody wants the late result
            return
        if isinstance(error, StopIteration):  # no future takes it, as it means something else to a coroutine
            late = RuntimeError(f"{told} raised StopIteration")
            late.__cause__ = error
            future.set_exception(late)
        elif error is not None:
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
    return PluginError(
        f"{told} raised {raised(error)}{place_of(error)}; a plugin fails with an Exception, it does not end its host",
        error_type=type(error).__name__,
    )
