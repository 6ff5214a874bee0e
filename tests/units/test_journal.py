"""The laws of the queue, whatever is done to it in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from dagstack_plugins.units.journal import Journal
from dagstack_plugins.units.records import ENDED, Lease, Superseded, Wanted

CREWS = st.sampled_from(["one", "two"])
PARTS = st.sampled_from([None, "a", "b"])


class Queue(RuleBasedStateMachine):
    """Units are handed in, taken, ended, lost, cancelled; crews die and come back; time passes."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.time = 1000.0
        self.journal = Journal(Path(self.folder.name) / "units.db", lambda: self.time)
        for crew in ("one", "two"):
            self.journal.beat(crew)
        self.units: list[str] = []
        self.part: dict[str, Any] = {}
        self.begun: list[str] = []
        self.ended: dict[str, str] = {}
        self.held: dict[str, Lease] = {}
        self.unwanted: set[str] = set()

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    @rule(part=PARTS, priority=st.integers(0, 2), delay=st.sampled_from([None, 5.0]))
    def submit(self, part: str | None, priority: int, delay: float | None) -> None:
        later = None if delay is None else self.time + delay
        wanted = Wanted("tool", "doer", "execute", "{}", "1", part=part, priority=priority, not_before=later)
        unit, known = self.journal.add(wanted)
        assert not known
        self.units.append(unit)
        self.part[unit] = part

    @rule(target=leases, crew=CREWS)
    def take(self, crew: str) -> Any:
        lease = self.journal.take(crew)
        if lease is None:
            return multiple()
        assert lease.id not in self.ended
        assert lease.id not in self.held, "two have it"
        if (part := self.part[lease.id]) is not None:
            assert all(self.part[other] != part for other in self.held), "two of a partition at once"
            before = self.units[: self.units.index(lease.id)]
            assert all(one in self.ended for one in before if self.part[one] == part), "out of order"
        self.held[lease.id] = lease
        return lease

    def finish(self, lease: Lease, end: Any, state: str) -> None:
        mine = self.held.get(lease.id) == lease
        try:
            end()
        except Superseded:
            assert not mine
            return
        assert mine, "two ended it"
        del self.held[lease.id]
        if state == "queued" and lease.id in self.unwanted:
            state = "cancelled"
        if state in ENDED:
            self.ended[lease.id] = state

    @rule(lease=consumes(leases))
    def succeed(self, lease: Lease) -> None:
        self.finish(lease, lambda: self.journal.succeed(lease, '"done"'), "succeeded")

    @rule(lease=consumes(leases))
    def fail(self, lease: Lease) -> None:
        self.finish(lease, lambda: self.journal.fail(lease, {"type": "E", "message": "m"}), "failed")

    @rule(lease=consumes(leases), seconds=st.sampled_from([0.0, 5.0]))
    def put_back(self, lease: Lease, seconds: float) -> None:
        self.finish(lease, lambda: self.journal.put_back(lease, seconds), "queued")

    @rule(lease=leases, state=st.integers(0, 9))
    def save(self, lease: Lease, state: int) -> None:
        mine = self.held.get(lease.id) == lease
        try:
            self.journal.save(lease, "s", "k", str(state))
        except Superseded:
            assert not mine
        else:
            assert mine
            assert self.journal.load(lease, "s", "k")[0] == str(state)

    @rule(crew=CREWS)
    def die(self, crew: str) -> None:
        had = [unit for unit, lease in self.held.items() if lease.crew == crew]
        assert self.journal.bury(crew, 1000) == len(had)
        for unit in had:
            del self.held[unit]
            if unit in self.unwanted:
                self.ended[unit] = "cancelled"
        self.journal.beat(crew)

    @rule(number=st.integers(0, 30))
    def cancel(self, number: int) -> None:
        if number < len(self.units):
            unit = self.units[number]
            state = self.journal.cancel(unit)
            if unit in self.held:
                assert state == "running"
                self.unwanted.add(unit)
            elif unit not in self.ended:
                assert state == "cancelled"
                self.ended[unit] = "cancelled"
            else:
                assert state == self.ended[unit]

    @rule(seconds=st.sampled_from([1.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.time += seconds

    @invariant()
    def what_is_told_is_what_happened(self) -> None:
        for row in self.journal.search():
            expected = self.ended.get(row["id"], "running" if row["id"] in self.held else "queued")
            assert row["state"] == expected
            assert (row["finished_at"] is not None) == (expected in ENDED)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Whatever waits comes up in the end, if all that runs ends and time passes."""
        assert len(self.journal.search()) == len(self.units)
        waiting = [unit for unit in self.units if unit not in self.ended and unit not in self.held]
        busy = {self.part[unit] for unit in self.held}
        free = [unit for unit in waiting if self.part[unit] is None or self.part[unit] not in busy]
        now, self.time = self.time, self.time + 100
        assert self.journal.has_ready() == bool(free)
        self.time = now


Queue.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueue = Queue.TestCase


def test_a_clock_that_was_set_back_holds_up_no_retry(tmp_path: Path) -> None:
    moment = 10_000.0
    journal = Journal(tmp_path / "units.db", lambda: moment)
    for part in ("a", "b"):
        journal.add(Wanted("tool", "doer", "execute", "{}", "1", part=part, not_before=None))
    first, second = journal.take("crew"), journal.take("crew")
    assert first is not None
    assert second is not None
    journal.put_back(first, 100)
    moment -= 500
    assert journal.has_ready()
    journal.put_back(second, 100)
    again = journal.take("crew")
    assert again is not None
    assert again.id == first.id
    assert journal.take("crew") is None, "that one waits for its time by today's clock"
    journal.close()
