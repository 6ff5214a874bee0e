"""How resources are closed: newest first, all of them even if some fail, from synchronous and asynchronous code."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from dagstack_plugins.errors import PluginRegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence


class Held:
    """Resources that somebody has to close, in the order in which they came."""

    def __init__(self) -> None:
        self._resources: dict[str, Any] = {}

    def add(self, name: str, resource: Any) -> None:
        """Hold one more, newer than all others."""
        self._resources[name] = resource

    def get(self, name: str) -> Any:
        """The resource of that name, ``None`` if it is not held."""
        return self._resources.get(name)

    def unclosed(self) -> list[str]:
        """The names of those that need closing."""
        return [name for name, resource in self._resources.items() if _closer(resource, blocking=True)]

    def waiting(self) -> list[str]:
        """The names of those that can be closed in an event loop only."""
        return [
            name
            for name, resource in self._resources.items()
            if inspect.iscoroutinefunction(_closer(resource, blocking=True))
        ]

    async def close(self, *, blocking: bool) -> list[Exception]:
        """Close all, newest first; what was closed once is not held any more.

        Args:
            blocking: nothing may be awaited, so this coroutine never suspends.

        Returns:
            What failed, each with a note that names the resource.
        """
        failures = []
        while self._resources:
            name, resource = self._resources.popitem()
            try:
                await _close(resource, blocking=blocking)
            except Exception as error:  # the others have to be closed too
                error.add_note(f"while closing the resource {name!r}")
                failures.append(error)
        return failures


def run_closing(work: Callable[[bool], Coroutine[Any, Any, None]], *, waiting: Sequence[str], instead: str) -> None:
    """Run a closing coroutine to its end from synchronous code.

    Args:
        work: makes the coroutine, told whether it must do without an event loop.
        waiting: names of resources that need one.
        instead: what to write in asynchronous code.

    Raises:
        PluginRegistryError: an event loop is needed, but this thread's loop would have to stand still meanwhile;
            nothing was closed.
    """
    if not waiting:
        _finish(work(True))
    elif in_a_loop():
        raise PluginRegistryError(
            f"only the event loop can close {', '.join(waiting)}, and it would wait for itself here: write `{instead}`"
        )
    else:
        asyncio.run(work(False))


def raise_failures(message: str, failures: list[Exception]) -> None:
    """Raise all failures as one group, if there are any."""
    if failures:
        raise ExceptionGroup(message, failures)


def _closer(resource: Any, *, blocking: bool) -> Callable[[], object] | None:
    # A class or a module may have a function `close`, but that closes something else.
    if inspect.isclass(resource) or inspect.ismodule(resource):
        return None
    found = getattr(resource, "close", None), getattr(resource, "aclose", None)
    closers: list[Callable[[], object]] = [closer for closer in found if callable(closer)]
    if not closers:
        return None
    if blocking and not inspect.iscoroutinefunction(closers[0]):
        return closers[0]
    return closers[-1]


async def _close(resource: Any, *, blocking: bool) -> None:
    closer = _closer(resource, blocking=blocking)
    if closer is None:
        return
    result = closer()
    if not inspect.isawaitable(result):
        return
    if not blocking:
        await result
        return
    if inspect.iscoroutine(result):
        result.close()
    raise PluginRegistryError(
        f"{closer!r} gave something to await: make it an `async def`, or close with `await aclose()`"
    )


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("a closing coroutine was to run without an event loop, but it waits for something")


def in_a_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
