"""A ready-made decorator: how often plugins may use a resource."""

from __future__ import annotations

import asyncio
import heapq
import inspect
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from dagstack_plugins.resources.around import around
from dagstack_plugins.resources.closing import in_a_loop
from dagstack_plugins.resources.settings import seconds, whole

if TYPE_CHECKING:
    from dagstack_plugins.resources.protocols import Borrower


class RateLimited(Exception):
    """A plugin uses a resource more often than the host allows, and would have to wait too long.

    Args:
        message: what happened, for people.
        retry_after: seconds after which the call would be admitted.

    .. versionadded:: 0.1
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimit:
    """Admits method calls at a pace of ``calls`` every ``per`` seconds, after a first burst; more wait.

    Beside a service that counts calls in fixed spans, say ``burst=1``: after a pause, a burst and the pace together
    admit up to twice as many in the first ``per`` seconds.

    Each plugin has a limit of its own, unless they share one. A coroutine function waits without holding up its event
    loop. Another method makes its thread wait; on an event loop, where that would hold up all others, it is refused
    at once.

    Examples:
        >>> from dagstack_plugins import ResourceRegistry
        >>> resources = ResourceRegistry()
        >>> resources.decorate("rng", RateLimit(100, per=60.0))

    Args:
        calls: how many calls.
        per: in how many seconds.
        burst: how many of them may come at once, after a pause; by default all.
        max_wait: seconds that a call waits at most; one that would have to wait longer is refused. 0: none waits.
        shared: all plugins share the limit.

    Raises:
        ValueError: a number is out of range.

    .. versionadded:: 0.1
    """

    def __init__(
        self, calls: int, *, per: float = 1.0, burst: int | None = None, max_wait: float = 30.0, shared: bool = False
    ) -> None:
        if not seconds("per", per):
            raise ValueError("per=0: give seconds, more than 0")
        self._pace = per / whole("calls", calls, least=1)
        self._slack = (whole("burst", calls if burst is None else burst, least=1) - 1) * self._pace
        self._said = f"{calls} calls in {per:g} s"
        self._max_wait = seconds("max_wait", max_wait)
        self._shared = shared
        self._due: dict[tuple[str, str] | None, float] = {}
        self._given_back: dict[tuple[str, str] | None, list[float]] = {}
        self._lock = threading.Lock()

    def __call__(self, resource: Any, manifest: Borrower) -> Any:
        """What ``ResourceRegistry.decorate`` asks for each plugin."""
        whose = None if self._shared else (manifest.kind, manifest.name)
        return around(resource, lambda name, method: self._limited(whose, name, method))

    def _limited(self, whose: tuple[str, str] | None, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                if wait := self._admit(whose, name, self._max_wait):
                    at = time.monotonic() + wait
                    try:
                        await asyncio.sleep(wait)
                    except asyncio.CancelledError:
                        self._give_back(whose, at)
                        raise
                return await method(*args, **kwargs)

            return call_async

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if wait := self._admit(whose, name, 0.0 if in_a_loop() else self._max_wait):
                time.sleep(wait)
            return method(*args, **kwargs)

        return call

    def _admit(self, whose: tuple[str, str] | None, name: str, longest: float) -> float:
        """Take a place in the row; how long to wait for it, in seconds.

        The generic cell rate algorithm (ITU-T I.371): one number tells when the next call at an even pace would be
        due, and calls may come earlier than that by the slack of a burst.
        """
        with self._lock:
            now = time.monotonic()
            places = self._given_back.get(whose, [])
            while places and places[0] <= now:
                heapq.heappop(places)
            if places and places[0] - now <= longest:
                return heapq.heappop(places) - now
            due = max(self._due.get(whose, now), now)
            wait = max(0.0, due - self._slack - now)
            if wait <= longest:
                self._due[whose] = due + self._pace
                return wait
        by = "all plugins together" if whose is None else "the plugin {}/{}".format(*whose)
        raise RateLimited(
            f"{name}() is refused: the host allows {by} {self._said}; the next is admitted in {wait:.3g} s, and "
            f"at most {longest:g} s are waited here",
            wait,
        )

    def _give_back(self, whose: tuple[str, str] | None, at: float) -> None:
        """Leave a place to the next caller: those who stopped waiting hold up nobody."""
        with self._lock:
            heapq.heappush(self._given_back.setdefault(whose, []), at)

    def __reduce__(self) -> Any:
        raise TypeError("a RateLimit counts in this process, so what it limits can't go to another")
