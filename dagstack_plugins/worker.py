"""A worker process: one plugin that says ``process_cpu_bound``, set up afresh, called by its host over a socket."""

from __future__ import annotations

import builtins
import json
import logging
import math
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from dagstack_plugins import errors
from dagstack_plugins.calls import StopChain, bound_metadata
from dagstack_plugins.dispatch.implementation import invoker
from dagstack_plugins.errors import Fault, PayloadInvalid, PluginRegistryError
from dagstack_plugins.guest import Guest
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.progress import ProgressEvent
from dagstack_plugins.runtimes.channel import LIMIT, Channel
from dagstack_plugins.runtimes.told import told_of

_T = TypeVar("_T")
_MOMENT: Final = 0.1
"""Seconds for which an answer holds, whether the host still wants a call: it takes some 100 µs to ask."""


class Host:
    """The host, as the plugin's context reaches it: where progress, checkpoints and the log's lines go.

    It listens while a hook, ``setup`` or ``teardown`` runs, and not between.

    Args:
        channel: the way there.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.RLock()
        # Handlers of signals run in the main thread: one that raises there would leave half a question, or its answer,
        # to those who come next.
        self._aside = ThreadPoolExecutor(1, "dagstack-plugins-questions")
        self._aside.submit(int).result()  # its thread is none that the plugin starts
        self._listens = False
        self._number = 0
        self._cancelled = False
        self._asked = -math.inf
        self._process = os.getpid()

    def next(self) -> bytes:
        """Wait for what it wants next."""
        message = self._channel.receive()
        with self._lock:
            self._listens = True
            self._number += 1
            self._cancelled, self._asked = False, -math.inf
        return message

    def answer(self, reply: dict[str, Any]) -> None:
        """Answer that."""
        # What was printed is seen when its call is over, and not lost if the process is ended.
        with suppress(Exception):
            sys.stdout.flush()
        if os.getpid() != self._process:  # a fork of ours, that came back from the plugin's code
            os._exit(0)
        message = _encoded(reply | {"number": self._number})
        with self._lock:
            self._listens = False
            self._channel.send(message)

    def tell(self, told: str, what: Any) -> bool:
        """Tell it something; whether it heard that."""
        if self._is_barred():
            return False
        with self._lock:
            if not self._listens:
                return False
            self._channel.send(json.dumps({"told": told, "what": what}).encode())
            return True

    def ask(self, told: str, what: Any) -> Any:
        """Ask it something.

        Raises:
            PluginRegistryError: if it doesn't listen now.
            Exception: what it raised.
        """
        answer = None if self._is_barred() else self._apart(lambda: self._exchange(told, what))
        if answer is None:
            raise PluginRegistryError(
                "a plugin in a worker process reaches its host's checkpoints while a hook of it runs, not between, "
                "and from no fork of that process"
            )
        if "error" in answer:
            raise _error_called(answer["error"], answer["message"], answer["known"])
        return answer["value"]

    def _is_barred(self) -> bool:
        """Whether this is a fork, or the handler of a signal that came while its thread was at it."""
        return os.getpid() != self._process or self._lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001

    def _apart(self, do: Callable[[], _T]) -> _T:
        if threading.current_thread() is threading.main_thread():
            return self._aside.submit(do).result()
        return do()

    def _exchange(self, told: str, what: Any, *, patient: bool = True) -> Any:
        """Its answer; ``None`` if it doesn't listen now, or to others, which only who is patient waits for."""
        if not self._lock.acquire(blocking=patient):
            return None
        try:
            if not self._listens:
                return None
            self._channel.send(json.dumps({"told": told, "what": what, "asks": True}).encode())
            return json.loads(self._channel.receive())
        finally:
            self._lock.release()

    # What a context's progress goes to, where its checkpoints are, and whether it is to stop

    def cancelled(self) -> bool:
        """Whether the host wants the hook that runs now to stop, as it was a moment ago."""
        if not self._cancelled and time.monotonic() - self._asked > _MOMENT and not self._is_barred():
            answer = self._apart(lambda: self._exchange("cancelled", [], patient=False))
            if answer is not None:
                self._cancelled, self._asked = answer.get("value", False), time.monotonic()
        return self._cancelled

    def emit(self, event: ProgressEvent) -> None:
        """Pass on what the plugin tells of its progress."""
        self.tell("progress", [event.type, event.percent, event.message, to_json(event.payload)])

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:  # noqa: ARG002 - the host knows whose it is
        """Keep a state."""
        version: int = self.ask("checkpoint", ["save", key, state, *([] if expected is None else [expected])])
        return version

    def load(self, scope: str, key: str) -> tuple[Any, int]:  # noqa: ARG002
        """The state that was kept, and its version."""
        state, version = self.ask("checkpoint", ["load", key])
        return state, version

    def list(self, scope: str, prefix: str = "") -> Any:  # noqa: ARG002
        """The keys of the states that were kept."""
        return self.ask("checkpoint", ["list", prefix])


def _error_called(name: str, message: str, known: Mapping[str, Any]) -> Exception:
    found = getattr(errors, name, None) or getattr(builtins, name, None)
    try:
        if isinstance(found, type) and issubclass(found, Exception):
            return found(message, **known)
    except TypeError:  # it takes more than a message
        pass
    return PluginRegistryError(f"{name}: {message}")


class _HostLog(logging.Handler):
    """Hands records over to the host, whose log they belong to."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
            if not self._host.tell("log", [record.name, record.levelno, message, error]) and logging.lastResort:
                logging.lastResort.handle(record)
        except Exception:  # a logger never fails who logs
            self.handleError(record)


class Worker:
    """Loads the plugin, and answers calls of it.

    Args:
        given: what the host says: its recipe, configuration, resources and level of logging.
        host: the host.
    """

    def __init__(self, given: Mapping[str, Any], host: Host) -> None:
        own = logging.getLogger("dagstack_plugins")
        own.addHandler(logging.NullHandler())
        own.propagate = False  # the host tells of what fails here
        logging.getLogger().setLevel(given["level"])
        logging.getLogger().addHandler(_HostLog(host))
        self._guest = Guest(given["recipe"])
        self._guest.start(
            given["config"],
            given["resources"],
            logger=own,
            progress_sink=host,
            checkpoint_store=host,
            is_cancelled=host.cancelled,
        )
        self.plugin = self._guest.plugin
        self._invoke: dict[str, Callable[[Any], Any]] = {}

    def failure(self) -> dict[str, Any] | None:
        """What became of the setup, if it failed."""
        if self.plugin.usable:
            return None
        return told_of(self.plugin.error) | {"reason": self.plugin.reason}

    def call(self, hook: str, payload: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Call a hook; what the host is told of that."""
        guest = self._guest
        try:
            guest.lane.append(None)
            codec = guest.codecs[hook]
            with bound_metadata(metadata):
                value = self._invoker(hook)(codec.accept(payload) if guest.typed else payload)
            if type(value) is StopChain:
                return {"stop": True} | ({"value": self._json(codec, value.value)} if value.has_value else {})
            return {"value": self._json(codec, value)}
        except PayloadInvalid as error:
            mine = guest.manifest.kind, hook
            if (error.kind, error.hook) != mine or error.plugin not in (None, guest.manifest.name):
                return {"error": told_of(error)}  # of a call that the plugin made
            faults = [[fault.path, fault.message] for fault in error.faults]
            return {"invalid": faults, "message": str(error), "side": error.side}
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: it is one call that failed
            return {"error": told_of(error)}
        finally:
            guest.lane.pop()

    def _invoker(self, hook: str) -> Callable[[Any], Any]:
        if hook not in self._invoke:
            codec = self._guest.codecs[hook]
            self._invoke[hook] = invoker(self.plugin, self.plugin.bindings[hook], codec)
        return self._invoke[hook]

    def _json(self, codec: HookCodec, value: Any) -> Any:
        try:
            return to_json(value)
        except Exception as error:
            codec.refuse_result(error, self._guest.manifest.name)

    def stop(self) -> dict[str, Any]:
        """Tear the plugin down; what came of it."""
        try:
            self._guest.stop()
        except Exception:
            return {"error": told_of(self.plugin.error), "reason": self.plugin.reason}
        return {"requires_restart": self.plugin.state is PluginState.REQUIRES_RESTART}


def _encoded(reply: dict[str, Any]) -> bytes:
    message = json.dumps(reply).encode()
    if len(message) <= LIMIT:
        return message
    fault = Fault("$", f"takes {len(message)} bytes as JSON, and a worker process hands over at most {LIMIT}")
    told = f"what the plugin returned is too long:\n  - {fault}\nhand over a path, or a key of the blob store, instead"
    number = reply["number"]
    refusal = {"invalid": [[fault.path, fault.message]], "message": told, "side": "output", "number": number}
    return json.dumps(refusal).encode()


def _serve(host: Host, worker: Worker) -> None:
    while "teardown" not in (wanted := json.loads(host.next())):
        host.answer(worker.call(wanted["hook"], wanted["payload"], wanted["metadata"]))
    host.answer(worker.stop())


def _watch(lifeline: int, hurry: Callable[[], None]) -> None:
    """Hear the host through a pipe that breaks when it dies; then end too, once Python lets another thread run."""
    while os.read(lifeline, 1):
        hurry()
    os.killpg(0, signal.SIGKILL)


def main(descriptor: int) -> None:
    """Serve until the host has enough.

    Args:
        descriptor: the socket to it.
    """
    os.set_inheritable(descriptor, False)
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # the plugin's own input is empty
    os.close(nothing)
    host = Host(Channel(socket.socket(fileno=descriptor)))
    worker: Worker | None = None
    hurried = threading.Event()

    def hurry() -> None:
        hurried.set()
        if worker is not None and worker.plugin.context is not None:
            worker.plugin.context.cancel()

    threading.Thread(target=_watch, args=(lifeline, hurry), name="dagstack-plugins-host", daemon=True).start()
    with suppress(EOFError):  # the host gave up
        try:
            worker = Worker(pickle.loads(host.next()), host)
            failure = worker.failure()
        except BaseException as error:  # whatever it is, the host is told
            failure = told_of(error)
        if hurried.is_set():  # while it was set up
            hurry()
        host.answer({"failed": failure} if failure or worker is None else {"ready": True})
        if not failure and worker is not None:
            _serve(host, worker)
