"""Processes for plugins that say ``process_cpu_bound``: each serves one plugin, one call at a time.

They need POSIX: descriptors that a child inherits, and process groups.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from dagstack_plugins.gate import Gate
from dagstack_plugins.runtimes.channel import Channel
from dagstack_plugins.runtimes.pools import WorkerThreads

Reply = dict[str, Any]
Hear = Callable[[str, Any], Any]
"""Takes what a plugin tells or asks while it works, and gives the answer to a question."""

_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dagstack_plugins.worker import main; main(int(sys.argv[2]))"
)
_LAST_WORDS: Final = 1.0
"""Seconds that a process has to end after it was told to."""


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
        setup: the first message to each: how to load the plugin, and set it up.
        hear: takes what the plugin tells while it works.
    """

    def __init__(self, pool: ProcessPool, setup: bytes, hear: Hear) -> None:
        self.pool = pool
        self._setup = setup
        self._hear = hear
        self._idle: deque[WorkerProcess] = deque()
        self._all: set[WorkerProcess] = set()
        self._lock = threading.Lock()
        self._ended = False

    def start(self, until: float) -> Reply:
        """Set the plugin up in a first process; what came of it.

        Raises:
            TimeoutError: if that takes too long.
            EOFError: if the process died.
        """
        worker, reply = self._started(until)
        self.give_back(worker)
        return reply

    def take(self, until: float | None) -> tuple[WorkerProcess, Reply]:
        """A process where the plugin is set up, for one call, and what came of its setup.

        Raises:
            TimeoutError: if setting it up takes too long.
            EOFError: if the process died meanwhile.
        """
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return self._started(until)
            if worker.alive():
                return worker, {}
            self.drop(worker)

    def _started(self, until: float | None) -> tuple[WorkerProcess, Reply]:
        with self._lock:
            if self._ended:
                raise EOFError
            worker = WorkerProcess(self._hear)
            self._all.add(worker)
        try:
            return worker, worker.ask(self._setup, until)
        except BaseException:
            self.drop(worker)
            raise

    def give_back(self, worker: WorkerProcess) -> None:
        """It can take the next call, if there is one to come."""
        with self._lock:
            if not self._ended:
                self._idle.append(worker)
                return
        self.drop(worker)

    def drop(self, worker: WorkerProcess) -> None:
        """End a process that is of no use any more, whatever it does."""
        worker.kill()
        with self._lock:
            self._all.discard(worker)

    def cancel(self) -> None:
        """Tell the plugin to hurry, in all its processes."""
        for worker in self._every():
            worker.cancel()

    def stop(self, until: float) -> list[Reply]:
        """Tear the plugin down in all its processes, and end them, those that still work included.

        Args:
            until: when to give up, by ``time.monotonic()``.

        Returns:
            What came of each teardown.

        Raises:
            TimeoutError: if one took too long; all were ended.
        """
        with self._lock:
            self._ended = True
            idle = list(self._idle)
            self._idle.clear()
        replies, late = [], False
        for worker in idle:
            try:
                replies.append(worker.ask(b'{"teardown": null}', until))
            except TimeoutError:
                late = True
            except (EOFError, ValueError):  # it died before, of which its caller was told
                pass
        self.kill()
        if late:
            raise TimeoutError
        return replies

    def kill(self) -> None:
        """End all processes, whatever they do."""
        with self._lock:
            self._ended = True
        for worker in self._every():
            self.drop(worker)

    def _every(self) -> list[WorkerProcess]:
        with self._lock:
            return list(self._all)


class WorkerProcess:
    """A fresh interpreter, which serves one plugin.

    Its standard input is a pipe that breaks when this process dies, so that it never outlives its host; what it prints
    goes where the host's output goes.

    Args:
        hear: takes what the plugin tells while it works.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        ours, theirs = socket.socketpair()
        path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, path, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                # A group of its own: the terminal's interrupts are the host's affair, and what it starts ends with it.
                start_new_session=True,
            )
        self._channel = Channel(ours, self.alive)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def ended_by(self) -> str:
        """How it ended, for people."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        code = self._process.returncode
        if code is None:
            return "closed its connection"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"

    def ask(self, message: bytes, until: float | None) -> Reply:
        """Send a message, and wait for the reply.

        Args:
            message: the message.
            until: when to give up, by ``time.monotonic()``.

        Raises:
            TimeoutError: after that.
            EOFError: if it died.
            ValueError: if it sends what is no reply.
        """
        self._channel.send(message, until)
        while True:
            reply = json.loads(self._channel.receive(until))
            if not isinstance(reply, dict):
                raise ValueError(f"expected an object, found {type(reply).__name__}")
            told = reply.get("told")
            if not isinstance(told, str):
                return reply
            answer = self._hear(told, reply.get("what"))
            if reply.get("asks"):
                self._channel.send(json.dumps(answer).encode(), until)

    def cancel(self) -> None:
        """Tell the plugin to hurry; it hears that while it works."""
        self._tell(b"c")

    def _tell(self, message: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it is gone
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it, and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


def deadline(seconds: float | None) -> float | None:
    """So many seconds from now, by ``time.monotonic()``."""
    return None if seconds is None else time.monotonic() + seconds


def request(hook: str, payload: Any, metadata: Mapping[str, Any]) -> bytes:
    """The message of one call.

    Raises:
        ValueError, TypeError, RecursionError: if the payload has no form in JSON.
    """
    return json.dumps({"hook": hook, "payload": payload, "metadata": dict(metadata)}).encode()
