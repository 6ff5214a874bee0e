"""A connection to a plugin elsewhere: made, watched, made again when it breaks, given up when that does not help."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from dagstack_plugins.runtimes.mcp.failures import Hung, Lost
from dagstack_plugins.wording import raised

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool

_LONGEST: Final = 60.0
"""Seconds between two attempts, at most."""
_SOUND: Final = 60.0
"""Seconds of a connection after which what failed before it is forgotten."""
_MOMENT: Final = 0.5
"""Seconds that an attempt has to end by itself: cut off in the middle, libraries leave sockets to the collector."""
_KNOWN: Final = 1.0
"""Seconds until it is known how a connection broke."""
MISSES: Final = 5
"""Calls in a row without an answer, after which the circuit opens."""


class Connection(Protocol):
    """A connection to a server."""

    async def broken(self) -> str:
        """Wait until it is broken, and say why."""

    async def tools(self) -> list[Tool]:
        """The tools that the server lists."""

    async def call(self, tool: str, arguments: dict[str, Any], meta: dict[str, Any] | None) -> CallToolResult:
        """Call a tool."""


@attrs.frozen(eq=False)
class Policy:
    """How a connection is made, and made again.

    Attributes:
        connect: makes one.
        patience: seconds that an attempt may take.
        field: the manifest's field that says so.
        restarts: how often one that broke is made again; ``None`` for as long as it takes.
        backoff: seconds before the first time; twice as many before each that follows.
        waits: whether one that can't be made at first is tried for as well.
    """

    connect: Callable[[], AbstractAsyncContextManager[Connection]]
    patience: float
    field: str
    restarts: int | None
    backoff: float
    waits: bool


class Supervisor:
    """Keeps a connection; all of it happens on one loop.

    Args:
        policy: how.
        greet: is awaited with each new connection, before anyone else has it; it raises ``Lost`` if that is of no use.
        tell: is told of each change after the first attempt: why there is no connection, or an empty text.
        ready: ends with the first attempt.
        clean: takes out of a reason what nobody may read.

    Attributes:
        connection: the connection; ``None`` while there is none.
        why: why there is none.
        goes_on: whether there may be one again, without anybody's doing.
        over: whether nothing of it is left.
    """

    def __init__(
        self,
        policy: Policy,
        greet: Callable[[Connection], Awaitable[None]],
        tell: Callable[[str], None],
        ready: concurrent.futures.Future[None],
        clean: Callable[[str], str] = str,
    ) -> None:
        self._policy = policy
        self._greet = greet
        self._tell = tell
        self._ready = ready
        self._clean = clean
        self.connection: Connection | None = None
        self.why = "it is being started"
        self.goes_on = True
        self.over = False
        self._misses = 0
        self._failures = 0
        self._since: float | None = None
        self._closing = asyncio.Event()
        self._broke = asyncio.Event()
        self._trouble: asyncio.Future[str] | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Connect, and again whenever that breaks, until it is closed or given up."""
        self._task = asyncio.current_task()
        try:
            while not self._closing.is_set():
                reason = await self._one()
                if reason:
                    self._note(reason)
                if self._closing.is_set() or not self.goes_on:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause):
                        await self._closing.wait()
        finally:
            self.connection, self.goes_on, self.over = None, False, True
            self._first_ended(Lost("it was stopped while it started"))

    async def _one(self) -> str:
        """One connection, from beginning to end; why there was none."""
        self._misses = 0
        self._broke = asyncio.Event()
        self._trouble = asyncio.get_running_loop().create_future()
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._policy.patience) as limit:
                    connection = await stack.enter_async_context(self._policy.connect())
                    await self._greet(connection)
                self.connection, self.why, self._since = connection, "", time.monotonic()
                if not self._first_ended(None):
                    self._tell("")
                await self._until_broken(connection)
        except Hung:
            pass
        except Lost as error:
            return str(error)
        except TimeoutError:
            if not limit.expired():
                return "it did not answer in time"
            return f"it was not ready within {self._policy.field} = {self._policy.patience:g}"
        except Exception as error:  # of the system, such as too many open files
            return raised(error)
        finally:
            self.connection = None
        return ""

    async def _until_broken(self, connection: Connection) -> None:
        assert self._trouble is not None
        broken = asyncio.ensure_future(connection.broken())
        closing: asyncio.Future[bool] = asyncio.ensure_future(self._closing.wait())
        try:
            watched: list[asyncio.Future[Any]] = [broken, closing, self._trouble]
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                self.why = "it was stopped"
                return
            # At once: what was started may take its time to end.
            self._note(self._trouble.result() if self._trouble.done() else broken.result())
            if self._trouble.done():
                raise Hung
        finally:
            self.connection = None
            self._broke.set()
            broken.cancel()
            closing.cancel()
            await asyncio.gather(broken, closing, return_exceptions=True)

    def _note(self, reason: str) -> None:
        """There is no connection any more: say so, and what comes next."""
        policy, reason = self._policy, self._clean(reason)
        self.connection = None
        since, self._since = self._since, None
        if since is not None and time.monotonic() - since > _SOUND and self._misses < MISSES:
            self._failures = 0
        self._failures += 1
        if not self._ready.done() and not policy.waits:
            self.why, self.goes_on = reason, False
            self._first_ended(Lost(reason))
            return
        if policy.restarts is not None and self._failures > policy.restarts:
            self.why = f"{reason}; it is not started again, as max_restarts = {policy.restarts}"
            self.goes_on = False
            self._tell(self.why)
            return
        count = "" if policy.restarts is None else f" ({self._failures} of {policy.restarts})"
        self.why = f"{reason}; it is tried again in {self._pause:g} s{count}"
        if not self._first_ended(Lost(self.why)):
            self._tell(self.why)

    @property
    def _pause(self) -> float:
        return float(min(_LONGEST, self._policy.backoff * 2 ** min(self._failures - 1, 30)))

    def _first_ended(self, error: Lost | None) -> bool:
        """Whether this was the first attempt."""
        if self._ready.done():  # or given up by who waited for it
            return False
        with suppress(concurrent.futures.InvalidStateError):
            if error is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(error)
        return True

    async def close(self, *, hurry: bool = False) -> None:
        """End the connection, and wait until all of it is gone.

        Args:
            hurry: don't wait for what must be asked to end.
        """
        self._closing.set()
        if self._task is None:
            return
        try:
            # If there is nobody to part from, an attempt may be over in a moment.
            if self.connection is None and not hurry:
                _, going = await asyncio.wait([self._task], timeout=_MOMENT)
                hurry = bool(going)
            if hurry:
                self._task.cancel()
            await asyncio.wait([self._task])
        except asyncio.CancelledError:  # it takes too long
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)
            raise

    def answered(self, connection: Connection) -> None:
        """A call of this connection was answered."""
        if connection is self.connection:
            self._misses = 0

    def missed(self, connection: Connection, told: str, *, is_gone: bool = False) -> None:
        """A call of this connection was not answered.

        Args:
            connection: the connection.
            told: why.
            is_gone: whether nothing can be delivered any more, so that the next one need not be tried.
        """
        if connection is self.connection:
            self._misses += 1
            if (is_gone or self._misses >= MISSES) and self._trouble is not None and not self._trouble.done():
                self.why = f"its circuit is open: {self._misses} calls in a row got no answer, at last: {told}"
                if is_gone:
                    self.why = told
                self.connection = None
                self._trouble.set_result(self.why)

    async def why_lost(self) -> str:
        """Why the connection of a call broke, as soon as that is known."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_KNOWN):
                await self._broke.wait()
        return self.why or "the connection broke"
