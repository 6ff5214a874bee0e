"""mcp_stdio: a plugin is a program that the host starts, and talks to over its standard streams."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from dagstack_plugins.errors import PluginUntrusted
from dagstack_plugins.manifest import McpStdio
from dagstack_plugins.runtimes.guarded_process import GuardedProcess, NotStarted, environment
from dagstack_plugins.runtimes.mcp.failures import Closed, Hung, Lost
from dagstack_plugins.runtimes.mcp.limits import LIMIT
from dagstack_plugins.runtimes.mcp.lines import Incoming, Outgoing
from dagstack_plugins.runtimes.mcp.session import Session, opened
from dagstack_plugins.runtimes.told import level_of

_LAST_WORDS: Final = 5
"""Lines of standard error that are told of an end that nobody expected."""
_HEARD: Final = 40
"""Lines that are looked at for what went wrong."""
_ERROR: Final = re.compile(r"[\w.]*(?:Error|Exception|panic|fatal)\b.*:")
"""How languages begin the line that says what went wrong; Python writes it last, Node.js and Go before where it was."""
_ENDING: Final = 0.5
"""Seconds between the end of a process's output and that of the process, if it ends."""
_A_SECOND: Final = 500
"""Lines of standard error that are told in a second; more are counted."""
_NOISE: Final = 20
"""Lines that are no messages, which are told; the rest is counted."""


@asynccontextmanager
async def connected(
    how: McpStdio,
    folder: Path,
    logger: logging.Logger,
    check: Callable[[], None],
    *,
    farewell: float = 2.0,
    is_ours: bool = False,
) -> AsyncIterator[Session]:
    """A connection to a program, which is started for it and ended with it.

    Args:
        how: the manifest's word.
        folder: the plugin's.
        logger: where what it writes to standard error goes.
        check: is asked before it is started; raises if it must not be.
        farewell: seconds between the end of its input and SIGTERM.
        is_ours: whether it is this package's own server, which tells the levels of its lines.

    Raises:
        Lost: if it can't be started, or doesn't speak MCP.
    """
    try:
        await asyncio.to_thread(check)
    except PluginUntrusted as error:
        raise Lost(str(error)) from None
    ear = _Ear(logger, is_ours=is_ours)
    process = await _started(how, folder, ear)
    incoming, outgoing = Incoming(process, ear.noise), Outgoing(process)

    async def broken() -> str:
        return await _broken(process, incoming, outgoing) + ear.last_words()

    @asynccontextmanager
    async def streams() -> AsyncIterator[tuple[Incoming, Outgoing]]:
        yield incoming, outgoing

    try:
        async with opened(streams(), broken) as session:
            yield session
    except Hung:
        await process.kill()
        raise
    except Lost as error:  # it never came to a call: there is nothing to part from
        told = str(error)
        if isinstance(error, Closed) or incoming.ended.is_set():
            with suppress(TimeoutError):  # its input was closed first, and it may never end
                async with asyncio.timeout(2 * _ENDING):
                    told = await broken()
        await process.kill()
        raise Lost(told) from None
    except BaseException:
        await process.kill()
        raise
    else:
        await process.stop(farewell)


async def _broken(process: GuardedProcess, incoming: Incoming, outgoing: Outgoing) -> str:
    """Wait until a process can't be talked to any more, and say why."""
    ended = asyncio.ensure_future(process.ended())
    closed = [asyncio.ensure_future(stream.ended.wait()) for stream in (incoming, outgoing)]
    try:
        await asyncio.wait([ended, *closed], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([ended], timeout=_ENDING)
    finally:
        for one in (ended, *closed):
            one.cancel()
    if process.returncode is not None:
        return f"its process {process.how}"
    return f"it closed its {'output' if incoming.ended.is_set() else 'input'}"


async def _started(how: McpStdio, folder: Path, ear: _Ear) -> GuardedProcess:
    program = how.command[0]
    # Without a separator it is looked for in PATH, as everywhere.
    path = str(folder / program) if os.sep in program else program
    try:
        return await GuardedProcess.start(
            (path, *how.command[1:]),
            folder / (how.working_dir or ""),
            environment(how.env, how.inherit_env),
            ear.hear,
            LIMIT,
        )
    except NotStarted as error:
        where = path if os.sep in path else "looked for in PATH"
        raise Lost(f"its command {program!r} ({where}) can't be run: {error}") from None


class _Ear:
    """Takes what a program writes that is no message.

    Args:
        logger: where that goes.
        is_ours: whether lines tell their levels.
    """

    def __init__(self, logger: logging.Logger, *, is_ours: bool) -> None:
        self._logger = logger
        self._is_ours = is_ours
        self._last: deque[str] = deque(maxlen=_HEARD)
        self._noise = 0
        self._second = 0
        self._lines = 0

    def hear(self, line: str) -> None:
        """Take a line of standard error."""
        level = logging.INFO
        if self._is_ours:
            level, line = level_of(line, level)
        self._last.append(line)
        second = int(time.monotonic())
        if second != self._second:
            if self._lines > _A_SECOND:
                self._logger.warning("it wrote %d more lines to standard error", self._lines - _A_SECOND)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= _A_SECOND:
            self._logger.log(level, "%s", line)

    def noise(self, line: str) -> None:
        """Take a line of standard output that is no message."""
        self._noise += 1
        self._last.append(line)
        if self._noise < _NOISE:
            self._logger.warning("it wrote to standard output, where only messages go: %s", line)
        elif self._noise == _NOISE:
            self._logger.warning("it goes on writing to standard output what is no message; that is not told any more")

    def last_words(self) -> str:
        """What it wrote last, for messages."""
        lines = [line for line in self._last if line.strip()]
        told = lines[-_LAST_WORDS:]
        error = next((line for line in reversed(lines) if _ERROR.match(line)), None)
        if error is not None and error not in told:
            told = [error, "…", lines[-1]]
        return f"; it wrote last: {' | '.join(told)}" if told else ""
