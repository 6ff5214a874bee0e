"""Functions of plugins that say ``process_cpu_bound``: called in a process of the plugin's, whoever calls."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import attrs

from dagstack_plugins.calls import STOP_CHAIN, current_metadata
from dagstack_plugins.errors import Fault, PayloadInvalid, PluginError, PluginUnavailable
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.kinds.payload import plain
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.channel import LIMIT
from dagstack_plugins.runtimes.processes import Died, PluginWorkers, Reply, WorkerProcess, request
from dagstack_plugins.wording import raised, shown


@attrs.frozen(eq=False)
class Remote:
    """One hook of a plugin, called in its processes, blocking and awaited.

    Attributes:
        plugin: the plugin, which runs.
        codec: the border of the hook.
        finish: makes what callers get of what it returned.
        fail: tells of an error as the plugin's.
        workers: the plugin's processes.
    """

    plugin: Plugin
    codec: HookCodec
    finish: Callable[[Any], Any]
    fail: Callable[[BaseException], NoReturn]
    workers: PluginWorkers

    def block(self, payload: Any) -> Any:
        """Call it, and block until its value is there."""
        call = self._call(payload)
        call.enter()
        return self._value(call.run())

    async def wait(self, payload: Any) -> Any:
        """Call it, and wait until its value is there."""
        call = self._call(payload)
        await call.enter_async()
        # Context variables follow, to whoever hears of progress.
        context = contextvars.copy_context()
        try:
            job = self.workers.pool.threads.submit(lambda: context.run(call.run))
        except RuntimeError as error:  # the system has no thread for it
            call.leave()
            self.fail(error)
        try:
            reply = await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            if job.give_up():
                call.leave()
            else:
                call.cancel()
            raise
        return self._value(reply)

    def _call(self, payload: Any) -> _Call:
        try:
            data = plain(payload) if self.codec.typed else to_json(payload)
            message = request(self.codec.hook.name, data, current_metadata())
        except Exception as error:
            self.codec.refuse_input(error)
        if len(message) > LIMIT:
            told = (
                f"takes {len(message)} bytes as JSON, and at most {LIMIT} go to a worker process; hand over a path, or "
                "a key of the blob store, instead"
            )
            self.codec.refuse("input", [Fault("$", told)])
        return _Call(self, message)

    def _value(self, reply: Reply) -> Any:
        error, faults = reply.get("error"), reply.get("invalid")
        if isinstance(error, dict):
            raise self._error(error)
        if isinstance(faults, list):
            raise self._invalid(reply, faults)
        if not reply.keys() & {"value", "stop"}:
            raise self.unfit(ValueError(f"expected what the hook returned, found {shown(reply)}"))
        value = reply.get("value")
        if reply.get("stop") is True:
            return self.finish(STOP_CHAIN.with_value(value) if "value" in reply else STOP_CHAIN)
        return self.finish(value)

    def _error(self, told: Mapping[str, Any]) -> PluginError:
        error = PluginError(
            f"{self._whose} raised {told.get('message')}{told.get('place')}, in hook {self.codec.hook.name!r}, "
            "in its worker process",
            error_type=str(told.get("type")),
            remote_traceback=str(told.get("traceback")),
            **self._known,
        )
        error.add_note(f"there:\n{error.remote_traceback}")
        return error

    def _invalid(self, reply: Reply, told: list[Any]) -> PayloadInvalid:
        faults = [Fault(str(one[0]), str(one[1])) for one in told if isinstance(one, list) and len(one) == 2]
        message, side = str(reply.get("message")), str(reply.get("side"))
        return PayloadInvalid(message, side=side, path=faults[0].path if faults else "$", faults=faults, **self._known)

    def died(self, how: str) -> PluginError:
        """The error for a call whose process is gone."""
        told = f"the worker process of {self._whose} {how}, in hook {self.codec.hook.name!r}"
        return PluginError(f"{told}; the next call gets another process", **self._known)

    def stopped(self) -> PluginUnavailable:
        """The error for a call that outlasted its plugin."""
        message = f"{self._whose} was stopped, and its worker processes were ended, in hook {self.codec.hook.name!r}"
        return PluginUnavailable(message, reasons={str(self.plugin.name): "stopped"}, **self._known)

    def unfit(self, error: Exception) -> PluginError:
        """The error for a reply that is none."""
        told = f"{self._whose} broke the connection to its worker process, in hook {self.codec.hook.name!r}: {error}"
        return PluginError(told, error_type=type(error).__name__, **self._known)

    def not_started(self, told: str) -> PluginUnavailable:
        """The error for a plugin that could be set up before, but not in another process."""
        message = f"{self._whose} could not be set up in another worker process: {told}"
        return PluginUnavailable(message, reasons={str(self.plugin.name): told}, **self._known)

    @property
    def _whose(self) -> str:
        return f"plugin {self.plugin.name!r} of kind {self.plugin.kind!r}"

    @property
    def _known(self) -> dict[str, str | None]:
        return {"kind": self.plugin.kind, "plugin": self.plugin.name, "hook": self.codec.hook.name}


class _Call:
    """One call, in whatever process takes it.

    Args:
        hook: the hook.
        message: what the process is sent.
    """

    def __init__(self, hook: Remote, message: bytes) -> None:
        self._hook = hook
        self._message = message
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._cancelled = False

    def enter(self) -> None:
        """Wait until the plugin, and the pool, admit one more."""
        gate, places = self._hook.plugin.gate, self._hook.workers.pool.places
        if gate is not None:
            gate.enter()
        try:
            places.enter()
        except BaseException:  # the user interrupts
            if gate is not None:
                gate.leave()
            raise

    async def enter_async(self) -> None:
        """The same, awaited."""
        gate, places = self._hook.plugin.gate, self._hook.workers.pool.places
        if gate is not None:
            await gate.enter_async()
        try:
            await places.enter_async()
        except BaseException:
            if gate is not None:
                gate.leave()
            raise

    def leave(self) -> None:
        """Let the next one in."""
        self._hook.workers.pool.places.leave()
        if self._hook.plugin.gate is not None:
            self._hook.plugin.gate.leave()

    def run(self) -> Reply:
        """Make it, and wait for the reply; then leave, as nobody else knows when a process is free.

        Raises:
            Exception: as callers get it.
        """
        try:
            worker = self._begun()
            return {} if worker is None else self._asked(worker)
        finally:
            self.leave()

    def _begun(self) -> WorkerProcess | None:
        """A process that is set up; ``None`` if the caller gave up meanwhile."""
        hook, workers = self._hook, self._hook.workers
        manifest = hook.plugin.manifest
        try:
            worker, setup = workers.take()
        except TimeoutError:
            seconds = manifest.startup_timeout_sec if manifest is not None else 0
            raise hook.not_started(f"its setup took longer than startup_timeout_sec = {seconds:g}") from None
        except Died as error:
            raise hook.stopped() if workers.ended else hook.not_started(f"the process {error}") from None
        except PluginUnavailable as error:  # a resource can't go there any more
            raise hook.stopped() if workers.ended else hook.not_started(str(error)) from error
        except (OSError, ValueError) as error:  # the system has none, or it sends what is no reply
            raise hook.not_started(raised(error)) from None
        if (failure := setup.get("failed")) is not None:
            workers.drop(worker)
            told = failure.get("reason") or failure.get("message") if isinstance(failure, dict) else failure
            raise hook.not_started(str(told))
        with self._lock:
            if not self._cancelled:
                self._worker = worker
                return worker
        workers.give_back(worker)
        return None

    def _asked(self, worker: WorkerProcess) -> Reply:
        hook, workers = self._hook, self._hook.workers
        seconds = hook.plugin.manifest.call_timeout_sec if hook.plugin.manifest is not None else None
        try:
            reply = worker.ask(self._message, None if seconds is None else time.monotonic() + seconds)
        except BaseException as error:  # the user's interrupt too: nobody would take the reply
            self._done()
            workers.drop(worker)
            if isinstance(error, TimeoutError):
                told = f"the call took longer than call_timeout_sec = {seconds:g}; its process was ended"
                hook.fail(TimeoutError(told))
            if isinstance(error, Died):
                raise hook.stopped() if workers.ended else hook.died(str(error)) from None
            if isinstance(error, ValueError | RecursionError):  # it sends what is no reply, or one too long
                raise hook.unfit(error) from None
            raise
        self._done()
        workers.give_back(worker)
        return reply

    def _done(self) -> None:
        with self._lock:
            self._worker = None

    def cancel(self) -> None:
        """Nobody waits for it any more: end the process that it runs in."""
        with self._lock:
            self._cancelled = True
            if self._worker is not None:
                self._worker.kill()
