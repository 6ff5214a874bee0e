"""Processes for plugins that say ``process_cpu_bound``: each serves one plugin, one call at a time.

They need POSIX: descriptors that a child inherits, and process groups.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from dagstack_plugins.gate import Gate
from dagstack_plugins.runtimes.channel import Channel
from dagstack_plugins.runtimes.pools import WorkerThreads

Reply = dict[str, Any]
Hear = Callable[[str, Any], bytes]
"""Takes what a plugin tells or asks while it works, and gives the message that answers it, should it be a question."""

_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dagstack_plugins.worker import main; main(int(sys.argv[2]))"
)
_LAST_WORDS: Final = 1.0
"""Seconds that a process has to end after it was told to."""


_STOPPED: Final = "was ended, as the plugin was stopped"


class Died(EOFError):
    """A process ended under a call.

    Args:
        how: how it ended, for people: ``exited with status 3``.
    """


class ProcessPool:
    """What the processes of all plugins of a registry share: how many of them work at once.

    Args:
        most: that number; by default as many as the machine has processors.

    Attributes:
        places: admits that many calls.
        threads: where asynchronous callers wait.
    """

    def __init__(self, most: int | None = None) -> None:
        most = (os.cpu_count() or 1) if most is None else most
        self.places = Gate(most)
        self.threads = WorkerThreads(most)


class PluginWorkers:
    """The processes of one plugin: as many as calls of it ever ran at once.

    Args:
        pool: says how many work at once.
        seconds: how long the plugin's setup may take.
        hear: takes what the plugin tells while it works.
        setup: gives the first message to each, by its number: how to load the plugin, and set it up.

    Attributes:
        ended: whether the plugin was stopped; no call gets a process any more.
    """

    def __init__(self, pool: ProcessPool, seconds: float, hear: Hear, setup: Callable[[int], bytes]) -> None:
        self.pool = pool
        self._seconds = seconds
        self._hear = hear
        self._setup = setup
        self._numbers = itertools.count(1)
        self._idle: deque[WorkerProcess] = deque()
        self._all: set[WorkerProcess] = set()
        self._lock = threading.Lock()
        self.ended = False

    def take(self) -> tuple[WorkerProcess, Reply]:
        """A process for one call, and, if it was started for that, what came of the plugin's setup there.

        Raises:
            TimeoutError: if setting it up takes too long.
            Died: if the process died meanwhile.
            OSError: if the system has no process for it.
            ValueError: if it sends what is no reply.
            PluginUnavailable: if what it needs can't go there.
        """
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return self._started()
            if worker.alive():
                return worker, {}
            self.drop(worker)

    def _started(self) -> tuple[WorkerProcess, Reply]:
        if self.ended:  # before its resources are asked for, which were given back
            raise Died(_STOPPED)
        setup = self._setup(next(self._numbers))
        with self._lock:
            if self.ended:
                raise Died(_STOPPED)
            worker = WorkerProcess(self._hear)
            self._all.add(worker)
        try:
            return worker, worker.ask(setup, time.monotonic() + self._seconds)
        except BaseException:
            self.drop(worker)
            raise

    def give_back(self, worker: WorkerProcess) -> None:
        """It can take the next call, if there is one to come."""
        with self._lock:
            if not self.ended:
                self._idle.append(worker)
                return
        self.drop(worker)

    def drop(self, worker: WorkerProcess) -> None:
        """End a process that is of no use any more, whatever it does."""
        worker.kill()
        worker.reap()
        with self._lock:
            self._all.discard(worker)

    def cancel(self) -> None:
        """Tell the plugin to hurry, in all its processes."""
        for worker in self._every():
            worker.cancel()

    def stop(self, seconds: float) -> list[Reply]:
        """Tear the plugin down in all its processes, and end them, those that still work included.

        Args:
            seconds: how long that may take.

        Returns:
            What came of each teardown.

        Raises:
            TimeoutError: if one took too long; all were ended.
        """
        until = time.monotonic() + seconds
        with self._lock:
            self.ended = True
            idle = list(self._idle)
            self._idle.clear()
        replies, late = [], False
        for worker in idle:
            with suppress(EOFError, TimeoutError):  # told of below
                worker.begin(b'{"teardown": null}', until)
        for worker in idle:
            try:
                replies.append(worker.reply(until))
            except TimeoutError:
                late = True
            except (EOFError, ValueError):  # it died before, of which its caller was told
                pass
        if late:
            self.kill()
            raise TimeoutError
        until = time.monotonic() + _LAST_WORDS
        for worker in idle:
            worker.leave(until)
        self.kill()
        return replies

    def kill(self) -> None:
        """End all processes, whatever they do."""
        with self._lock:
            self.ended = True
        for worker in self._every():
            self.drop(worker)

    def _every(self) -> list[WorkerProcess]:
        with self._lock:
            return list(self._all)


class WorkerProcess:
    """A fresh interpreter, which serves one plugin.

    Its standard input is a pipe that breaks when this process dies, which it watches; what it prints goes where the
    host's output goes.

    Args:
        hear: takes what the plugin tells while it works.

    Raises:
        OSError: if the system has none.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._number = 0
        self._host = os.getpid()
        ours, theirs = socket.socketpair()
        path = json.dumps([os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)])  # noqa: PTH100
        try:
            with theirs:
                self._process = subprocess.Popen(
                    # -P: the working directory is no place to import from, unless the host's own path says so.
                    [sys.executable, "-P", "-c", _BOOT, path, str(theirs.fileno())],
                    stdin=subprocess.PIPE,
                    bufsize=0,
                    pass_fds=(theirs.fileno(),),
                    # A group of its own: the terminal's interrupts are the host's affair, and most of what it starts
                    # ends with it.
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        self._channel = Channel(ours, self.alive)
        _every.add(self)

    def alive(self) -> bool:
        """Whether it runs, and is this process's own: not that of the one from which this was forked."""
        return self._host == os.getpid() and self._process.poll() is None

    def ask(self, message: bytes, until: float | None) -> Reply:
        """Send a message, and wait for the reply.

        Args:
            message: the message.
            until: when to give up, by ``time.monotonic()``.

        Raises:
            TimeoutError: after that.
            Died: if it died.
            ValueError: if it sends what is no reply.
        """
        self.begin(message, until)
        return self.reply(until)

    def begin(self, message: bytes, until: float | None) -> None:
        """Send a message; for what it raises, see ``ask``."""
        self._number += 1
        with self._dying():
            self._channel.send(message, until)

    def reply(self, until: float | None) -> Reply:
        """Wait for the reply to the last message; for what it raises, see ``ask``."""
        with self._dying():
            while True:
                if until is not None and time.monotonic() >= until:  # however much it tells meanwhile
                    raise TimeoutError
                reply = json.loads(self._channel.receive(until))
                if not isinstance(reply, dict):
                    raise ValueError(f"expected an object, found {type(reply).__name__}")
                told = reply.get("told")
                if isinstance(told, str):
                    answer = self._hear(told, reply.get("what"))
                    if reply.get("asks"):
                        self._channel.send(answer, until)
                elif reply.get("number") != self._number:  # a fork of it answers as well, say
                    raise ValueError(f"expected the reply to message {self._number}, found {reply.get('number')!r}")
                else:
                    return reply

    @contextmanager
    def _dying(self) -> Iterator[None]:
        try:
            yield
        except EOFError:
            raise Died(self._how_it_ended()) from None

    def _how_it_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        code = self._process.returncode
        if code is None:
            return "closed its connection, and was ended"
        if code >= 0:
            return f"exited with status {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was ended by {name}"

    def cancel(self) -> None:
        """Tell the plugin to hurry; it hears that while it works."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it is gone
            self._process.stdin.write(b"c")

    def leave(self, until: float) -> None:
        """Give it a moment to end by itself, after its teardown."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))

    def kill(self) -> None:
        """End it, and what it started in its group; waits for nothing."""
        if self._host == os.getpid():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._channel.close()

    def reap(self) -> None:
        """Wait until it is gone, and let go of all that led to it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        self._let_go()

    def forget(self) -> None:
        """In a fork of the host: it is the host's, and must not be kept alive, nor hurt, from here."""
        self._channel.forget()
        self._process.returncode = 0  # as far as this process is concerned
        self._let_go()

    def _let_go(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


_every: Final[weakref.WeakSet[WorkerProcess]] = weakref.WeakSet()


def _forget_all() -> None:
    for worker in list(_every):
        worker.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def request(hook: str, payload: Any, metadata: Mapping[str, Any]) -> bytes:
    """The message of one call.

    Raises:
        ValueError, TypeError, RecursionError: if the payload has no form in JSON.
    """
    return json.dumps({"hook": hook, "payload": payload, "metadata": dict(metadata)}).encode()
