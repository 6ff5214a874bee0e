"""Who looks after the units in Redis: each process that has the orchestrator, in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from dagstack_plugins.units.attempt import Attempt
from dagstack_plugins.units.celery.ledger import RedisLedger, Taken
from dagstack_plugins.units.celery.messages import Messages
from dagstack_plugins.units.places import is_gone
from dagstack_plugins.units.silence import Silence
from dagstack_plugins.wording import raised

_LOOK: Final = 0.5
"""Seconds between two looks."""
_CROWD: Final = 0.01
"""Seconds more for each crew: the work of looking after a thousand is shared by a thousand."""
_BEATS: Final = 8
"""Beats within the time that others are patient."""
_SEARCHES: Final = 4
"""Searches for lost messages within that time."""
_log: Final = logging.getLogger("dagstack_plugins.units")


class Keeper:
    """Shows that this process lives, and sees to what others leave behind.

    As on one machine, a crew that has not beaten for ``patience`` seconds of our own clock, which nobody can set, is
    dead, and so is one whose process is seen to be gone. A message that was not received for as long, though later
    ones were or the queue is empty, is lost.

    Args:
        ledger: the units.
        messages: Celery's queues.
        crew: this process: an id, and where it is.
        patience: see above.
        most: how often a unit may lose its crew.
        keep: seconds that ended units are kept.
        place: what Redis is called, for messages.
    """

    def __init__(
        self,
        ledger: RedisLedger,
        messages: Messages,
        crew: str,
        *,
        patience: float,
        most: int,
        keep: float,
        place: str,
    ) -> None:
        self._ledger = ledger
        self._messages = messages
        self._crew = crew
        self._patience = patience
        self._most = most
        self._keep = keep
        self._place = place
        self._works = False
        self._leaving: Callable[[], bool] = bool
        self._attempts: dict[str, Attempt] = {}
        self._strange: set[str] = set()
        self._beaten = 0.0
        self._silence = Silence()
        self._missing: dict[str, float] = {}
        self._searched = 0.0
        self._crews = 0
        self._checked = False
        self._stopping = threading.Event()
        # Two, so that much to look after keeps nobody from showing that we live.
        threads = {"dagstack-plugins-units": self._look_at_own, "dagstack-plugins-units-keeper": self._look_at_others}
        self._threads = [
            threading.Thread(target=self._live, args=(look,), name=name, daemon=True) for name, look in threads.items()
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def work(self, leaving: Callable[[], bool]) -> None:
        """This process is a crew, from now on; ``leaving`` tells whether it is to end soon."""
        self._leaving = leaving
        self._works = True

    @contextmanager
    def having(self, attempt: Attempt) -> Iterator[None]:
        """Inside, this process works on an attempt."""
        assert isinstance(attempt.lease, Taken)
        self._attempts[attempt.lease.token] = attempt
        try:
            if self._leaving():
                attempt.unwanted = "its worker stops"
            yield
        finally:
            del self._attempts[attempt.lease.token]

    def stop(self) -> None:
        """Look no more; what is still at work here is given back."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * _LOOK + 5)
        if self._works:
            try:
                self._ledger.bury(self._crew, self._most)
            except self._ledger.troubles as error:
                _log.warning("%s: %s; what was at work here is given to others later", self._place, raised(error))

    def _live(self, look: Callable[[], None]) -> None:
        told = ""
        while not self._stopping.wait(self._pause() if look == self._look_at_others else _LOOK):
            try:
                look()
                if told:
                    _log.warning("%s is there again", self._place)
                told = ""
            except Exception as error:  # without it, all that runs here would be taken for dead
                if self._stopping.is_set():
                    return
                if raised(error) != told:
                    told = raised(error)
                    _log.error("%s: units can't be looked at: %s; it is tried again", self._place, told)

    def _pause(self) -> float:
        return max(_LOOK, _CROWD * self._crews)

    def _look_at_others(self) -> None:
        if not self._works and not self._checked:  # a worker says it once for all of its processes
            self.check()
        kept = self._ledger.keep(self._keep)
        self._crews = len(kept.crews)
        self._bury_dead(kept.crews)
        if time.monotonic() - self._searched >= self._patience / _SEARCHES:
            self._searched = time.monotonic()
            self._find_lost([*kept.overtaken, *self._left_in_empty(kept.lanes)])

    def check(self) -> None:
        """Say what of the server's settings may lose units."""
        facts = self._ledger.facts()
        if facts.get("appendonly") == "no":
            _log.warning("%s keeps nothing when it is restarted: set `appendonly yes` there", self._place)
        if (policy := facts.get("maxmemory-policy", "noeviction")) != "noeviction":
            _log.warning(
                "%s may drop units when it is full (%s): set `maxmemory-policy noeviction`", self._place, policy
            )
        self._checked = True

    # Those that run here

    def _look_at_own(self) -> None:
        if not self._works:
            return
        now = time.monotonic()
        beats = now - self._beaten >= self._patience / _BEATS
        own = dict(self._attempts)
        news = [(one.lease, told) for one in own.values() if (told := one.news()) is not None]
        self._ledger.tell([(lease, percent, words) for lease, (percent, words) in news])
        known = self._ledger.look(self._crew, beats=beats)
        if beats:
            self._beaten = now
        for token, attempt in own.items():
            if token in known and known[token][1]:
                attempt.unwanted = attempt.unwanted or "it was cancelled"
            elif self._leaving():
                attempt.unwanted = attempt.unwanted or "its worker stops"
            elif token not in known and token in self._attempts:
                # We were stopped for so long that others took us for dead: what we have is theirs.
                attempt.unwanted = attempt.unwanted or "it was given to others"
        self._give_back({token: unit for token, (unit, _) in known.items() if token not in self._attempts})

    def _give_back(self, strange: Mapping[str, str]) -> None:
        """What Redis believes to be here, and is not, twice in a row: the answer that said so never came."""
        for token in self._strange & strange.keys():
            _log.warning("unit %s was never received here, and is given back", strange[token])
            self._ledger.lost(strange[token], token)
        self._strange = set(strange)

    # Those of others

    def _bury_dead(self, crews: Mapping[str, int]) -> None:
        others = {crew: beats for crew, beats in crews.items() if crew != self._crew}
        silences = self._silence.heard(others, 2 * self._pause())
        for crew, silent in silences.items():
            if silent > self._patience or is_gone(crew.partition(" ")[2]):
                had = self._ledger.bury(crew, self._most)
                if had:
                    _log.warning("a worker has died; others take its %d units", had)

    def _left_in_empty(self, lanes: Sequence[str]) -> list[str]:
        """Units whose messages are on their way in queues that are empty."""
        empty = {queue for queue in {_queue(lane) for lane in lanes} if self._messages.count(queue) == 0}
        return [unit for lane in lanes if _queue(lane) in empty for unit in self._ledger.under_way(lane)]

    def _find_lost(self, missing: list[str]) -> None:
        now = time.monotonic()
        self._missing = {unit: self._missing.get(unit, now) for unit in missing}
        lost = [unit for unit, since in self._missing.items() if now - since > self._patience]
        if lost:
            _log.warning("the messages of %d units were lost, and are sent again", len(lost))
            self._ledger.resend(lost)
            for unit in lost:
                del self._missing[unit]


def _queue(lane: str) -> str:
    return lane.rpartition(" ")[0]
