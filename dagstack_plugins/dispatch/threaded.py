"""Functions of plugins that say ``thread_cpu_bound``: called in a thread of the pool, whoever calls."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, NoReturn

import attrs

from dagstack_plugins.gate import Gate
from dagstack_plugins.runtimes.pools import Job, WorkerThreads


@attrs.frozen(eq=False)
class Threaded:
    """A function in threads, blocking and awaited.

    Attributes:
        work: payload to result; raises what callers get.
        threads: where it runs.
        gate: the manifest's ``max_concurrency``.
        seconds: the manifest's ``call_timeout_sec``; waiting for a thread counts, as nothing else bounds it.
        fail: tells of an error as the plugin's.
    """

    work: Callable[[Any], Any]
    threads: WorkerThreads
    gate: Gate | None
    seconds: float | None
    fail: Callable[[BaseException], NoReturn]

    def block(self, payload: Any) -> Any:
        """Call it, and block until its value is there."""
        if self.gate is not None:
            self.gate.enter()
        job = self._begin(payload)
        try:
            value, error = job.future.result(self.seconds)
        except BaseException as failure:  # too late, or the user interrupts
            self._give_up(job, failure)
        return _raised_or(value, error)

    async def wait(self, payload: Any) -> Any:
        """Call it, and wait until its value is there."""
        if self.gate is not None:
            await self.gate.enter_async()
        job = self._begin(payload)
        try:
            async with asyncio.timeout(self.seconds):
                value, error = await asyncio.wrap_future(job.future)
        except BaseException as failure:  # too late, or the caller was cancelled
            self._give_up(job, failure)
        return _raised_or(value, error)

    def _begin(self, payload: Any) -> Job:
        # Context variables follow, the caller's metadata among them.
        context = contextvars.copy_context()

        def run() -> tuple[Any, BaseException | None]:
            # Errors are values here: no future takes every one, and a plugin's own timeout must not look like ours.
            try:
                return context.run(self.work, payload), None
            except BaseException as error:
                return None, error
            finally:
                self._leave()

        try:
            return self.threads.submit(run)
        except RuntimeError as error:  # the system has no thread for it
            self._leave()
            self.fail(error)

    def _give_up(self, job: Job, failure: BaseException) -> NoReturn:
        if job.give_up():
            self._leave()
        if isinstance(failure, TimeoutError):
            told = f"the call took longer than call_timeout_sec = {self.seconds:g}; its thread goes on until it ends"
            self.fail(TimeoutError(told))
        raise failure

    def _leave(self) -> None:
        if self.gate is not None:
            self.gate.leave()


def _raised_or(value: Any, error: BaseException | None) -> Any:
    if error is not None:
        raise error
    return value
