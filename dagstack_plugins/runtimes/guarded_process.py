"""A plugin's own process, with a guard between it and the host: nothing of its process group outlives either."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from dagstack_plugins.wording import one_line

_GUARDIAN: Final = str(Path(__file__).with_name("guardian.py"))
_LAST_CHANCE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
_REAPED: Final = 1.0
"""Seconds for the guard to tell of an end that it has brought about; somebody may have stopped it."""
_FAREWELL: Final = 0.5
"""Seconds for what it wrote last; one that it left behind in another group may hold the pipe open."""
_AT_ONCE: Final = 50
"""Lines of standard error, after which others have their turn."""
_LINE: Final = 64 * 1024
"""Bytes of a line on standard error; a longer one is told in parts."""
_NEEDED: Final = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""What a process needs to run; anything else of the host's environment may be a secret."""


class NotStarted(Exception):
    """A command can't be run; the message says why."""


def environment(env: Mapping[str, str], inherit: Sequence[str]) -> dict[str, str]:
    """The environment of a plugin's process.

    The folder of this Python comes first in ``PATH``, so that ``python3`` in a manifest is the host's own.

    Args:
        env: what the manifest sets.
        inherit: the names of what it gets of the host's.
    """
    taken = {name: os.environ[name] for name in (*_NEEDED, *inherit) if name in os.environ}
    folder = str(Path(sys.executable).parent)
    taken["PATH"] = os.pathsep.join([folder, taken.get("PATH", os.defpath)])
    return {**taken, **env}


class GuardedProcess:
    """A command that runs in a process group of its own, and a guard that ends the group when this process is gone.

    Attributes:
        pid: the command's process.
        stdin: its input.
        stdout: its output.
        returncode: how it ended: its status, or minus the signal; ``None`` while it runs.
    """

    pid: int
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def __init__(self, guard: subprocess.Popen[bytes], control: socket.socket, hear: Callable[[str], None]) -> None:
        self._guard = guard
        self._control = control
        self._hear = hear
        self._orders: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[asyncio.ReadTransport | asyncio.WriteTransport] = []
        self._ended = asyncio.Event()
        self.returncode: int | None = None
        _every.add(self)

    @classmethod
    async def start(
        cls, command: Sequence[str], folder: Path, env: Mapping[str, str], hear: Callable[[str], None], limit: int
    ) -> Self:
        """Start a command.

        Args:
            command: the program and its arguments; no shell reads them.
            folder: where it runs.
            env: its whole environment.
            hear: is told each line of its standard error.
            limit: bytes of a line of its output that are kept.

        Raises:
            NotStarted: if it can't be run.
        """
        if not folder.is_dir():
            raise NotStarted(f"there is no folder {folder} to run it in")
        ours, theirs = socket.socketpair()
        try:
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _GUARDIAN, str(theirs.fileno()), *command],
                cwd=folder,
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a user's Ctrl-C is for the host, which ends it in good order
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            ours.close()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise NotStarted(str(reason)) from None
        finally:
            theirs.close()
        process = cls(guard, ours, hear)
        try:
            await process._connect(limit)
        except BaseException:
            await process._let_go()
            raise
        return process

    async def _connect(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        told, self._orders = await asyncio.open_connection(sock=self._control)
        word, _, rest = (await told.readline()).decode(errors="replace").strip().partition(" ")
        if word != "pid":
            raise NotStarted(rest or "its guard ended before it began")
        self.pid = int(rest)
        assert self._guard.stdin is not None
        errors = asyncio.StreamReader(limit=_LINE)
        self.stdout = asyncio.StreamReader(limit=limit)
        for reader, pipe in ((self.stdout, self._guard.stdout), (errors, self._guard.stderr)):
            incoming, _ = await loop.connect_read_pipe(lambda reader=reader: asyncio.StreamReaderProtocol(reader), pipe)  # type: ignore[misc]
            self._transports.append(incoming)
        outgoing, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), self._guard.stdin
        )
        self._transports.append(outgoing)
        self.stdin = asyncio.StreamWriter(outgoing, protocol, None, loop)
        self._tasks = [
            loop.create_task(self._watch(told), name=f"plugin process {self.pid}"),
            loop.create_task(self._listen(errors), name=f"standard error of plugin process {self.pid}"),
        ]

    async def _watch(self, told: asyncio.StreamReader) -> None:
        """Until the guard says how it ended; a guard that somebody killed says nothing."""
        line = b""
        with suppress(OSError):
            line = await told.readline()
        word, _, status = line.decode(errors="replace").strip().partition(" ")
        if word == "exit":
            self.returncode = int(status)
        else:
            self._kill_group()
            self.returncode = -signal.SIGKILL
        self._ended.set()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _listen(self, errors: asyncio.StreamReader) -> None:
        for number in itertools.count():
            if number % _AT_ONCE == 0:  # what is there already is read without waiting: others want their turn
                await asyncio.sleep(0)
            try:
                line = await errors.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    self._hear(_text(error.partial))
                return
            except asyncio.LimitOverrunError as error:
                line = await errors.read(error.consumed)
            self._hear(_text(line))

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if self.returncode is None:
            return "runs"
        if self.returncode >= 0:
            return f"ended with status {self.returncode}"
        known = -self.returncode in set(signal.Signals)
        return f"was ended by {signal.Signals(-self.returncode).name if known else f'signal {-self.returncode}'}"

    async def ended(self) -> None:
        """Wait until it has ended, and all of its group."""
        await self._ended.wait()

    async def stop(self, farewell: float) -> None:
        """End it: its input is closed, then it is asked, then it and all of its group are killed.

        Args:
            farewell: seconds between the first and the second.
        """
        try:
            with suppress(OSError, RuntimeError):
                self.stdin.close()
            if not await self._ends_within(farewell):
                self._order(b"t")
                if not await self._ends_within(_LAST_CHANCE):
                    self._order(b"k")
                    await self._ends_within(_REAPED)
        finally:
            await self._let_go()

    async def kill(self) -> None:
        """End it at once."""
        try:
            self._order(b"k")
            await self._ends_within(_REAPED)
        finally:
            await self._let_go()

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        return self._ended.is_set()

    def _order(self, order: bytes) -> None:
        with suppress(OSError, RuntimeError):
            if self._orders is not None:
                self._orders.write(order)

    async def _let_go(self) -> None:
        """Close all that leads to it; the guard ends what still runs when its socket breaks."""
        try:
            if self._tasks and self._ended.is_set():  # what it wrote last is still heard
                await asyncio.wait(self._tasks, timeout=_FAREWELL)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._orders is None:
                self._control.close()
            else:
                self._orders.close()
            for transport in self._transports:
                if isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size():
                    transport.abort()  # nobody reads it any more
                else:
                    transport.close()
            for pipe in (self._guard.stdout, self._guard.stderr, self._guard.stdin)[len(self._transports) :]:
                if pipe is not None:  # it never got as far as a transport
                    pipe.close()
            await self._reap()

    async def _reap(self) -> None:
        pause, end = 0.001, time.monotonic() + _REAPED
        try:
            while self._guard.poll() is None and time.monotonic() < end:
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.05)
        finally:
            if self._guard.poll() is None:  # somebody stopped it
                if hasattr(self, "pid"):
                    self._kill_group()
                self._guard.kill()
                self._guard.wait()

    def forget(self) -> None:
        """In a fork of the host: it is the host's, and must not be kept alive from here."""
        for end in (self._control, self._guard.stdin):
            with suppress(OSError):
                if end is not None:
                    end.close()
        self._guard.returncode = 0  # as far as this process is concerned


def _text(line: bytes) -> str:
    return one_line(line.decode("utf-8", "replace").rstrip("\r\n"))


_every: Final[weakref.WeakSet[GuardedProcess]] = weakref.WeakSet()


def _forget_all() -> None:
    for process in list(_every):
        process.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
