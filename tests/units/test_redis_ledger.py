"""The ledger in Redis, whatever happens to the messages and to those who read them: the laws of a queue, by chance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dagstack_plugins.errors import CheckpointConflict
from dagstack_plugins.units.celery.ledger import PREFIX, RedisLedger, Taken
from dagstack_plugins.units.records import ENDED, Superseded, Wanted
from tests.units.cluster import RedisServer, redis

CREWS = st.sampled_from(["one", "two"])
PARTS = st.sampled_from([None, "a", "a", "a", "b"])
SOON = 0.001


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


class Queue(RuleBasedStateMachine):
    """Submissions, messages that come in any order, twice or never, ends, deaths, cancellations."""

    leases = Bundle("leases")
    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        redis.Redis.from_url(self.url).flushdb()
        self.messages: list[str] = []
        self.ledger = RedisLedger(self.url, lambda _: "q 5", lambda unit, *_: self.messages.append(unit))
        self.units: list[str] = []
        self.part: dict[str, Any] = {}
        self.ended: dict[str, str] = {}
        self.held: dict[str, Taken] = {}
        self.unwanted: set[str] = set()
        self.versions: dict[str, int] = {}
        self.asked = self.ledger._script

    @rule(twice=st.booleans())
    def answers_are_lost(self, twice: bool) -> None:
        """Whether each command is sent a second time, as is done when the first one's answer does not come."""
        once = self.asked
        self.ledger._script = (lambda **args: (once(**args), once(**args))[1]) if twice else once

    def teardown(self) -> None:
        try:
            for lease in list(self.held.values()):
                self.finish(lease, lambda lease=lease: self.ledger.succeed(lease, "1"), "succeeded")  # type: ignore[misc]
            while len(self.ended) < len(self.units):
                self.all_messages_come()
                before = len(self.ended)
                for unit in dict.fromkeys(self.messages):
                    lease = self.taken(unit, "one")
                    if lease is not None:
                        self.finish(lease, lambda lease=lease: self.ledger.succeed(lease, "1"), "succeeded")  # type: ignore[misc]
                assert len(self.ended) > before, "what waits never comes up"
            self.what_is_told_is_what_happened()
        finally:
            self.ledger.close()

    def all_messages_come(self) -> None:
        """As keepers see to: what is due is sent, what was lost is sent again."""
        time.sleep(2 * SOON)
        for lane in self.ledger.keep(1e9).lanes:
            self.ledger.resend(self.ledger.under_way(lane))

    @rule(parts=st.lists(PARTS, min_size=1, max_size=4))
    def submit(self, parts: list[str | None]) -> None:
        for part in parts:
            unit, known = self.ledger.add(Wanted("tool", "doer", "execute", "{}", "1", part=part))
            assert not known
            self.units.append(unit)
            self.part[unit] = part

    @precondition(lambda self: self.messages)
    @rule(number=st.integers(0, 5), times=st.sampled_from([0, 2]))
    def lose_or_double(self, number: int, times: int) -> None:
        unit = self.messages.pop(number % len(self.messages))
        self.messages += [unit] * times

    @rule()
    def keep(self) -> None:
        self.all_messages_come()

    @precondition(lambda self: self.messages)
    @rule(target=leases, number=st.integers(0, 5), crew=CREWS)
    def receive(self, number: int, crew: str) -> Any:
        lease = self.taken(self.messages.pop(number % len(self.messages)), crew)
        return multiple() if lease is None else lease

    def taken(self, unit: str, crew: str) -> Taken | None:
        lease = self.ledger.take(unit, crew)
        if lease is None:
            return None
        assert lease.id not in self.ended
        assert lease.id not in self.held, "two have it"
        if (part := self.part[lease.id]) is not None:
            assert all(self.part[other] != part for other in self.held), "two of a partition at once"
            before = self.units[: self.units.index(lease.id)]
            assert all(one in self.ended for one in before if self.part[one] == part), "out of order"
        self.held[lease.id] = lease
        return lease

    def finish(self, lease: Taken, end: Any, state: str) -> None:
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
    def succeed(self, lease: Taken) -> None:
        self.finish(lease, lambda: self.ledger.succeed(lease, '"done"'), "succeeded")

    @rule(lease=consumes(leases))
    def fail(self, lease: Taken) -> None:
        self.finish(lease, lambda: self.ledger.fail(lease, {"type": "E", "message": "m"}), "failed")

    @rule(lease=consumes(leases), seconds=st.sampled_from([0.0, SOON]), counts=st.booleans())
    def put_back(self, lease: Taken, seconds: float, counts: bool) -> None:
        self.finish(lease, lambda: self.ledger.put_back(lease, seconds, counts=counts), "queued")

    @rule(lease=leases, state=st.integers(0, 9))
    def save(self, lease: Taken, state: int) -> None:
        mine = self.held.get(lease.id) == lease
        try:
            version, wanted = self.ledger.save(lease, "s", '"k"', str(state))
        except Superseded:
            assert not mine
        else:
            assert mine
            self.versions[lease.id] = self.versions.get(lease.id, 0) + 1
            assert version == self.versions[lease.id]
            assert wanted == (lease.id not in self.unwanted)
            assert self.ledger.load(lease, "s", '"k"') == (str(state), version)
            with pytest.raises(CheckpointConflict):
                self.ledger.save(lease, "s", '"k"', "0", version - 1)

    @precondition(lambda self: self.held)
    @rule(crew=CREWS)
    def die(self, crew: str) -> None:
        had = [unit for unit, lease in self.held.items() if lease.crew == crew]
        self.ledger.bury(crew, 1000)
        for unit in had:
            del self.held[unit]
            if unit in self.unwanted:
                self.ended[unit] = "cancelled"

    @precondition(lambda self: self.units)
    @rule(number=st.integers(0, 5))
    def cancel(self, number: int) -> None:
        unit = self.units[-1 - number % len(self.units)]
        state = self.ledger.cancel(unit)
        if unit in self.held:
            assert state == "running"
            self.unwanted.add(unit)
        elif unit not in self.ended:
            assert state == "cancelled"
            self.ended[unit] = "cancelled"
        else:
            assert state == self.ended[unit]

    @invariant()
    def what_is_told_is_what_happened(self) -> None:
        rows = self.ledger.search()
        assert [row["id"] for row in rows] == self.units[::-1]
        for row in rows:
            expected = self.ended.get(row["id"], "running" if row["id"] in self.held else "queued")
            assert row["state"] == expected
            assert (row["finished_at"] is not None) == (expected in ENDED)


def test_the_laws_of_a_queue(server: RedisServer) -> None:
    Queue.url = server.url()
    run_state_machine_as_test(Queue, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))


@pytest.fixture
def ledger(server: RedisServer) -> Iterator[RedisLedger]:
    redis.Redis.from_url(server.url(1)).flushdb()
    ledger = RedisLedger(server.url(1), lambda wanted: f"q {wanted.priority}", lambda *_: None)
    yield ledger
    ledger.close()


def wanted(**fields: Any) -> Wanted:
    return Wanted("tool", "doer", "execute", "{}", "1", **fields)


def test_what_was_sent_before_one_that_came_is_overtaken(ledger: RedisLedger) -> None:
    first, second, urgent = (ledger.add(wanted(priority=lane))[0] for lane in (5, 5, 0))
    assert ledger.keep(100).overtaken == []
    assert ledger.take(urgent, "crew") is not None
    assert ledger.keep(100).overtaken == [], "that of another priority overtakes nothing"
    assert ledger.take(second, "crew") is not None
    assert ledger.keep(100).overtaken == [first]
    ledger.resend([first])
    assert ledger.keep(100).overtaken == []


def test_what_a_crew_was_given_and_never_heard_of_comes_back(ledger: RedisLedger) -> None:
    unit, _ = ledger.add(wanted())
    lease = ledger.take(unit, "crew")
    assert lease is not None
    assert ledger.look("crew", beats=True) == {lease.token: (unit, False)}
    ledger.lost(unit, "another attempt")
    assert ledger.take(unit, "other") is None
    ledger.lost(unit, lease.token)
    again = ledger.take(unit, "other")
    assert again is not None
    assert again.attempt == 1
    with pytest.raises(Superseded):
        ledger.succeed(lease, "1")


def test_what_ended_is_forgotten_with_all_that_belongs_to_it(ledger: RedisLedger, server: RedisServer) -> None:
    for _ in range(2):
        lease = ledger.take(ledger.add(wanted(part="p"))[0], "crew")
        assert lease is not None
        ledger.save(lease, "scope", '"key"', "1")
        ledger.succeed(lease, '"equal"', "hash")
    keyed = ledger.take(ledger.add(wanted(key="k", expires_at=time.time() + 100))[0], "crew")
    assert keyed is not None
    ledger.succeed(keyed, "1")
    assert ledger.bury("crew", 1) == 0
    kept = redis.Redis.from_url(server.url(1), decode_responses=True)
    assert kept.hgetall(f"{PREFIX}:uses") == {"hash": "2"}
    time.sleep(0.01)
    ledger.keep(0.001)
    assert ledger.search() == []
    left = {name.removeprefix(f"{PREFIX}:") for name in kept.keys()}  # noqa: SIM118 - Redis has them
    assert left == {"numbers", "turns", "lanes", "taken"}


def test_a_clock_that_was_set_back_holds_up_no_retry(ledger: RedisLedger, server: RedisServer) -> None:
    units = [ledger.add(wanted())[0] for _ in range(2)]
    for unit in units:
        lease = ledger.take(unit, "crew")
        assert lease is not None
        ledger.put_back(lease, 200)
    redis.Redis.from_url(server.url(1)).zadd(f"{PREFIX}:put", {units[0]: time.time() + 60})
    ledger.keep(100)
    assert ledger.take(units[0], "crew") is not None
    assert ledger.take(units[1], "crew") is None


@pytest.mark.parametrize("by", ["keeper", "message"])
def test_what_nobody_began_in_time_expires_and_holds_up_nobody(ledger: RedisLedger, by: str) -> None:
    unit, _ = ledger.add(wanted(part="p", key="k", expires_at=time.time()))
    behind, _ = ledger.add(wanted(part="p"))
    if by == "keeper":
        ledger.keep(100)
    assert ledger.take(unit, "crew") is None
    row = ledger.find(unit)
    assert row is not None
    assert row["state"] == "expired"
    assert ledger.take(behind, "crew") is not None
    assert ledger.add(wanted(key="k"))[1] is False, "its key is free again"


def test_one_that_was_begun_expires_no_more(ledger: RedisLedger) -> None:
    unit, _ = ledger.add(wanted(expires_at=time.time() + 0.1))
    lease = ledger.take(unit, "crew")
    assert lease is not None
    time.sleep(0.15)
    ledger.put_back(lease, 0)
    ledger.keep(100)
    assert ledger.take(unit, "crew") is not None


def test_equal_results_are_kept_once_and_read_by_all(ledger: RedisLedger) -> None:
    for _ in range(2):
        lease = ledger.take(ledger.add(wanted())[0], "crew")
        assert lease is not None
        ledger.succeed(lease, '"equal"', "hash")
        row = ledger.find(lease.id)
        assert row is not None
        assert row["result"] == '"equal"'


@pytest.mark.parametrize("end", ["dies", "gives back", "never heard"])
def test_one_that_nobody_wants_does_not_come_back(ledger: RedisLedger, end: str) -> None:
    unit, _ = ledger.add(wanted(part="p"))
    behind, _ = ledger.add(wanted(part="p"))
    lease = ledger.take(unit, "crew")
    assert lease is not None
    assert ledger.cancel(unit) == "running"
    assert ledger.look("crew", beats=False) == {lease.token: (unit, True)}
    if end == "dies":
        ledger.bury("crew", 10)
    elif end == "gives back":
        ledger.put_back(lease, 0)
    else:
        ledger.lost(unit, lease.token)
    row = ledger.find(unit)
    assert row is not None
    assert row["state"] == "cancelled"
    assert ledger.take(unit, "crew") is None
    assert ledger.take(behind, "crew") is not None


def test_losses_are_counted_whoever_lost_it(ledger: RedisLedger) -> None:
    unit, _ = ledger.add(wanted())
    for _ in range(2):
        assert ledger.take(unit, "crew") is not None
        ledger.bury("crew", 3)
    lease = ledger.take(unit, "crew")
    assert lease is not None
    assert (lease.attempt, lease.losses) == (3, 2)
    ledger.refuse(lease, 0, {"type": "OtherCode", "message": "m"}, 3)
    lease = ledger.take(unit, "crew")
    assert lease is not None
    ledger.refuse(lease, 0, {"type": "OtherCode", "message": "at last"}, 3)
    row = ledger.find(unit)
    assert row is not None
    assert (row["state"], row["error"]) == ("failed", '{"type": "OtherCode", "message": "at last"}')
