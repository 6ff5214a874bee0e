"""Who works: threads that take units, and a heart that shows others that they live."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection
from typing import Final

from dagstack_plugins.units.attempt import Attempt
from dagstack_plugins.units.journal import Journal
from dagstack_plugins.units.places import here, is_gone
from dagstack_plugins.units.records import Lease, Superseded
from dagstack_plugins.units.silence import Silence
from dagstack_plugins.wording import raised

_LOOK: Final = 0.25
"""Seconds between looks at what others did."""
_BEATS: Final = 8
"""Beats within the time that others are patient; each is written to the disk."""
_TIDY: Final = 60.0
"""Seconds between two tidyings."""
_AT_ONCE: Final = 1000
"""Units that are forgotten in one go."""
_TROUBLE: Final = 1.0
"""Seconds between two attempts at what the disk refused."""
_log: Final = logging.getLogger("dagstack_plugins.units")

Ending = Callable[[], None]
"""Writes down how an attempt ended."""


class Crew:
    """The workers of this process.

    Whether another crew lives is judged by its beats: one that has not beaten for ``patience`` seconds of our own
    clock, which nobody can set, is dead, and so is one whose process is gone. Its units go to others, and what it
    writes of them later is refused.

    Args:
        journal: the units.
        work: does an attempt; returns what writes down how it ended.
        plugins: tells whose units can be worked on here, as ``kind/name``.
        threads: how many work at once.
        patience: seconds without a beat, after which a crew is taken for dead.
        most: how often a unit may lose its crew.
        keep: seconds that ended units are kept.
    """

    def __init__(
        self,
        journal: Journal,
        work: Callable[[Attempt], Ending],
        plugins: Callable[[], Collection[str]],
        *,
        threads: int,
        patience: float,
        most: int,
        keep: float,
    ) -> None:
        self._journal = journal
        self._work = work
        self._plugins = plugins
        self._here: Collection[str] = ()
        self._patience = patience
        self._most = most
        self._keep = keep
        self.id = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._there = threading.Condition()
        self._hint = 0
        self._attempts: set[Attempt] = set()
        self._silence = Silence()
        self._tidied = time.monotonic()
        self._beaten = 0.0
        names = [f"dagstack-plugins-unit-{number}" for number in range(threads)]
        self._threads = [threading.Thread(target=self._serve, name=name, daemon=True) for name in names]
        self._heart = threading.Thread(target=self._live, name="dagstack-plugins-units", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._here = self._plugins()
        for thread in (self._heart, *self._threads):
            thread.start()

    def stop(self, seconds: float) -> None:
        """Take no more; what runs stops at its next checkpoint, and goes on elsewhere, or at the next start.

        Args:
            seconds: how long that may take; what still runs then is taken from it.
        """
        self._stopping.set()
        for attempt in list(self._attempts):
            attempt.unwanted = attempt.unwanted or "its worker stops"
        self.wake()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._heart.join(_LOOK + _TROUBLE + 1)
        try:
            left = self._journal.bury(self.id, self._most)
        except sqlite3.Error as error:
            _log.error("units at work could not be given back (%s); they are once their crew is taken for dead", error)
        else:
            if left:
                _log.warning(
                    "%d units were still at work after %g s; they begin again from their checkpoints", left, seconds
                )

    def wake(self) -> None:
        """There may be something to do."""
        with self._there:
            self._hint += 1
            self._there.notify_all()

    # Threads

    def _serve(self) -> None:
        lease: Lease | None = None
        while not self._stopping.is_set():
            hint = self._hint
            if lease is None and (lease := self._taken()) is None:
                with self._there:
                    while self._hint == hint and not self._stopping.is_set():
                        self._there.wait()
                continue
            lease = self._do(lease)

    def _do(self, lease: Lease) -> Lease | None:
        """Do a unit; the next one, if there is one."""
        attempt = Attempt(self._journal, lease)
        self._attempts.add(attempt)
        try:
            if self._stopping.is_set():
                attempt.unwanted = "its worker stops"
            return self._taken(attempt, self._work(attempt))
        except BaseException as error:  # what no disk would take: the unit ends all the same
            _log.exception("unit %s", lease.id)
            told = {"type": type(error).__name__, "message": ascii(raised(error))}
            return self._taken(None, lambda: self._journal.fail(lease, told))
        finally:
            self._attempts.discard(attempt)

    def _taken(self, attempt: Attempt | None = None, ending: Ending | None = None) -> Lease | None:
        """Write down how a unit ended, and take the next, at once; a disk that is full for a while loses nothing."""
        told = ""
        while True:
            try:
                with self._journal.changing():
                    if ending is not None:
                        self._write(ending, attempt)
                    return None if self._stopping.is_set() else self._journal.take(self.id, self._here)
            except sqlite3.Error as error:
                if str(error) != told:
                    told = str(error)
                    _log.error("how a unit ended can't be written: %s; it is tried again", told)
                if self._stopping.wait(_TROUBLE):
                    return None

    def _write(self, ending: Ending, attempt: Attempt | None) -> None:
        try:
            # Whoever asked for its news may not have written them yet.
            if attempt is not None and attempt.told is not None:
                self._journal.tell([(attempt.lease, *attempt.told)])
            ending()
        except Superseded as error:
            _log.warning("unit %s was given to others meanwhile; what came of it here is dropped", error)

    # Heart

    def _live(self) -> None:
        told = ""
        while True:
            try:
                self._look()
                told = ""
            except Exception as error:  # without it, all that runs here would be taken for dead
                if str(error) != told:
                    told = str(error)
                    _log.error("units can't be looked at: %s; it is tried again", raised(error))
            if self._stopping.wait(_LOOK):
                break
        self.wake()

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < self._patience / _BEATS:
            return
        self._beaten = time.monotonic()
        had = list(self._attempts)
        if not self._journal.beat(self.id, here()):
            # If we had something, we were stopped for so long that others took us for dead, and have it now.
            for attempt in had:
                attempt.unwanted = attempt.unwanted or "it was given to others"

    def _look(self) -> None:
        self._beat()
        self._here = self._plugins()
        cancelled = set(self._journal.unwanted(self.id))
        for attempt in list(self._attempts):
            if attempt.lease.number in cancelled:
                attempt.unwanted = attempt.unwanted or "it was cancelled"
        news = [(one.lease, told) for one in list(self._attempts) if (told := one.news()) is not None]
        self._journal.tell([(lease, percent, words) for lease, (percent, words) in news])
        self._bury_dead()
        if time.monotonic() - self._tidied > _TIDY:
            self._tidied = time.monotonic()
            if self._journal.tidy(self._keep, _AT_ONCE) == _AT_ONCE:  # there may be more
                self._tidied -= _TIDY
        if self._journal.has_ready():
            self.wake()

    def _bury_dead(self) -> None:
        crews = self._journal.crews()
        silences = self._silence.heard({crew: beats for crew, (beats, _) in crews.items() if crew != self.id})
        for crew in self._journal.orphans():
            self._journal.bury(crew, self._most)
        for crew, silent in silences.items():
            if silent > self._patience or is_gone(crews[crew][1]):
                had = self._journal.bury(crew, self._most)
                if had:
                    _log.warning("a crew has died; its %d units are taken over", had)
                    self.wake()
