"""Threads that work through a queue. A worker that ends a step goes on with the next one, under one lock for both."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

_NAME: Final = "dagstack-plugins-dag"


class Lost(Enum):
    """What a step returns whose worker was replaced meanwhile: it ends."""

    TOKEN = 0


LOST: Final = Lost.TOKEN


class Workers:
    """Threads that are made when there is more to do than those that are there can begin.

    Args:
        lock: guards the queue, and what else its owner wants to change together with it.
        step: does one thing of the queue, and returns the next one to do, ``None``, or ``LOST``.
        admit: whether something that comes up is still to be done; asked under the lock.
        broken: is told of what a step raised, which none should; the worker goes on.
        most: how many there may be.
    """

    def __init__(
        self,
        lock: threading.Lock,
        step: Callable[[Any], Any],
        admit: Callable[[Any], bool],
        broken: Callable[[BaseException], None],
        most: int,
    ) -> None:
        self._lock = lock
        # What they wait for: a queue wakes them for a third of what a condition takes.
        self._bells: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._step = step
        self._admit = admit
        self._broken = broken
        self._most = most
        self._queue: deque[Any] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._woken = 0  # or started: those that are about to take something
        self._closed = False

    def give(self, *things: Any) -> None:
        """Leave things to do to whichever worker is free."""
        with self._lock:
            self.put(things)

    def give_first(self, thing: Any) -> None:
        """Leave a thing to do before all others."""
        with self._lock:
            self._queue.appendleft(thing)
            self._see_to_workers()

    def put(self, things: Iterable[Any]) -> None:
        """The same, for who holds the lock."""
        self._queue.extend(things)
        self._see_to_workers()

    def _pick(self) -> Any:
        while self._queue:
            one = self._queue.popleft()
            if self._admit(one):
                return one
        return None

    def go_on(self, things: Iterable[Any]) -> Any:
        """Leave things to do, and take the next one, for a worker that holds the lock."""
        self._queue.extend(things)
        thing = self._pick()
        self._see_to_workers()
        return thing

    def lose(self, thread: threading.Thread) -> None:
        """Count no more on a worker, which may never end its step; another takes its place."""
        with self._lock:
            self._threads.discard(thread)
            self._see_to_workers()

    def close(self, *, wait: bool) -> None:
        """Let workers end when they have nothing to do.

        Args:
            wait: whether to wait for them.
        """
        with self._lock:
            self._closed = True
            self._wake(self._idle)
            threads = list(self._threads)
        for thread in threads if wait else ():
            thread.join()

    def _see_to_workers(self) -> None:
        waiting = len(self._queue) - self._woken
        if waiting <= 0:
            return
        if self._idle:
            woken = min(waiting, self._idle)
            self._wake(woken)
            waiting -= woken
        for _ in range(min(waiting, self._most - len(self._threads))):
            thread = threading.Thread(target=self._work, name=_NAME, daemon=True)
            try:
                thread.start()  # under the lock, so that whoever joins them all finds them started
            except RuntimeError:  # the system has no more: those that there are will do
                if not self._threads:
                    raise
                return
            self._threads.add(thread)
            self._woken += 1

    def _wake(self, count: int) -> None:
        self._idle -= count
        self._woken += count
        for _ in range(count):
            self._bells.put(None)

    def _work(self) -> None:
        thing = self._taken(woken=True)
        while thing is not None and thing is not LOST:
            try:
                thing = self._step(thing)
            except BaseException as error:
                self._broken(error)
                thing = None
            if thing is None:
                thing = self._taken(woken=False)

    def _taken(self, *, woken: bool) -> Any:
        while True:
            with self._lock:
                self._woken -= woken
                thing = self._pick()
                if thing is not None or self._closed:
                    return thing
                self._idle += 1
            self._bells.get()
            woken = True
