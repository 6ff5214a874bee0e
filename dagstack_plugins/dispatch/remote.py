"""Functions of plugins that say ``process_cpu_bound``: called in a process of the plugin's, whoever calls."""

from __future__ import annotations

import asyncio
import threading
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
from dagstack_plugins.runtimes.processes import PluginWorkers, Reply, WorkerProcess, deadline, request


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
        if self.plugin.gate is not None:
            self.plugin.gate.enter()
        try:
            self.workers.pool.places.enter()
            try:
                reply = call.run()
            finally:
                self.workers.pool.places.leave()
        finally:
            if self.plugin.gate is not None:
                self.plugin.gate.leave()
        return self._value(reply)

    async def wait(self, payload: Any) -> Any:
        """Call it, and wait until its value is there."""
        call = self._call(payload)
        if self.plugin.gate is not None:
            await self.plugin.gate.enter_async()
        try:
            await self.workers.pool.places.enter_async()
            try:
                reply = await self._in_thread(call)
            finally:
                self.workers.pool.places.leave()
        finally:
            if self.plugin.gate is not None:
                self.plugin.gate.leave()
        return self._value(reply)

    async def _in_thread(self, call: _Call) -> Reply:
        try:
            job = self.workers.pool.threads.submit(call.run)
        except RuntimeError as error:  # the system has no thread for it
            self.fail(error)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            if not job.give_up():
                call.cancel()
            raise

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

    def died(self, worker: WorkerProcess | None) -> PluginError:
        """The error for a call whose process is gone."""
        how = worker.ended_by if worker is not None else "was ended, as the plugin was stopped"
        return PluginError(
            f"the worker process of {self._whose} {how}, in hook {self.codec.hook.name!r}; "
            "the next call gets another process",
            **self._known,
        )

    def unfit(self, error: Exception) -> PluginError:
        """The error for a reply that is none."""
        told = f"{self._whose} broke the connection to its worker process, in hook {self.codec.hook.name!r}: {error}"
        return PluginError(told, error_type=type(error).__name__, **self._known)

    def not_started(self, failure: Any) -> PluginUnavailable:
        """The error for a plugin that could be set up before, but not in another process."""
        told = failure.get("reason") or failure.get("message") if isinstance(failure, dict) else failure
        message = f"{self._whose} could not be set up in another worker process: {told}"
        return PluginUnavailable(message, reasons={str(self.plugin.name): str(told)}, **self._known)

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

    def run(self) -> Reply:
        """Make it, and wait for the reply.

        Raises:
            Exception: as callers get it.
        """
        hook, manifest = self._hook, self._hook.plugin.manifest
        seconds = manifest.call_timeout_sec if manifest is not None else None
        until = deadline(seconds)
        try:
            return self._asked(until)
        except TimeoutError:
            hook.fail(TimeoutError(f"the call took longer than call_timeout_sec = {seconds:g}; its process was ended"))
        except EOFError:
            raise hook.died(self._worker) from None
        except (ValueError, RecursionError) as error:  # it sends what is no reply, or one too long
            raise hook.unfit(error) from None

    def _asked(self, until: float | None) -> Reply:
        workers = self._hook.workers
        worker, setup = workers.take(until)
        try:
            if "failed" in setup:
                raise self._hook.not_started(setup["failed"])
            with self._lock:
                self._worker = worker
                if self._cancelled:
                    raise EOFError
            reply = worker.ask(self._message, until)
        except BaseException:  # the user's interrupt too: nobody would take the reply
            workers.drop(worker)
            raise
        workers.give_back(worker)
        return reply

    def cancel(self) -> None:
        """Nobody waits for it any more: end the process that it runs in."""
        with self._lock:
            self._cancelled = True
            if self._worker is not None:
                self._worker.kill()
