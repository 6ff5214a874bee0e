"""Threads for plugins that say ``thread_cpu_bound``: their calls hold up no event loop."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

Work = Callable[[], Any]

_IDLE: Final = 30.0
"""Seconds after which a thread without work ends."""


class WorkerThreads:
    """Runs functions in threads, at most so many at once; started as they are needed.

    The standard library's executor joins its threads when the interpreter ends, so that a plugin that hangs keeps the
    host from ending; these are daemons. One whose caller gave up is not counted any more: another takes its place.

    Args:
        most: threads that work at once; by default as many as the standard library's executor takes.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = min(32, (os.cpu_count() or 1) + 4) if most is None else most
        self._queue: deque[Job] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._resting = False

    def submit(self, work: Work) -> Job:
        """Run ``work`` in a thread, as soon as there is one.

        Raises:
            RuntimeError: if the system has none.
        """
        job = Job(work, self)
        with self._changed:
            self._resting = False
            self._queue.append(job)
            if self._idle >= len(self._queue):
                self._changed.notify()
            elif self._threads < self.most:
                self._start()
            if self._threads == 0:
                self._queue.remove(job)
                raise RuntimeError("the system has no thread left for the call")
        return job

    def _start(self) -> None:
        """Start a thread, if the system has one; those there are take what waits otherwise."""
        try:
            threading.Thread(target=self._serve, name="dagstack-plugins-worker", daemon=True).start()
        except RuntimeError:
            return
        self._threads += 1

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            with self._changed:
                if job.lost:  # another thread has taken this one's place
                    return
            del job  # whatever it holds should not wait with this thread for the next one

    def _next(self) -> Job | None:
        with self._changed:
            told = True
            while not self._queue:
                if self._resting or not told:
                    self._threads -= 1
                    return None
                self._idle += 1
                told = self._changed.wait(_IDLE)
                self._idle -= 1
            return self._queue.popleft()

    def rest(self) -> None:
        """End the threads that have nothing to do; they start again when there is."""
        with self._changed:
            self._resting = True
            self._changed.notify_all()

    def give_up(self, job: Job) -> bool:
        """Wait for a job no longer; whether it never runs. If it does, its thread is let go."""
        with self._changed:
            if job.future.cancel():
                return True
            if not job.ended and not job.lost:
                job.lost = True
                self._threads -= 1
                if self._queue:
                    self._start()
            return False


class Job:
    """One piece of work.

    Attributes:
        future: its value, or its error.
        lost: whether nobody waits for it any more, while it still runs.
        ended: whether it has run.
    """

    def __init__(self, work: Work, threads: WorkerThreads) -> None:
        self.future: Future[Any] = Future()
        self.lost = False
        self.ended = False
        self._work = work
        self._threads = threads

    def run(self) -> None:
        """Run it, in the thread of the caller."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            value = self._work()
        except BaseException as error:
            self.ended = True
            self.future.set_exception(error)
        else:
            self.ended = True
            self.future.set_result(value)

    def give_up(self) -> bool:
        """Wait for it no longer; whether it never runs."""
        return self._threads.give_up(self)
