"""Gates, decided by people from any thread, waited for in threads and in tasks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dagstack_plugins.dag import (
    ApprovalGate,
    GateController,
    GateDecided,
    GateError,
    GateRejected,
    GateStatus,
    GateTimeout,
    GateUnknown,
)
from tests.waiting import until


def test_a_thread_waits_until_a_person_approves() -> None:
    gates = GateController({"review": ApprovalGate()})
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (gates.wait("review"), passed.set()))
    thread.start()
    until(lambda: gates.waiting_gates() == ["review"])
    assert not passed.is_set()
    gates.approve("review", "looks fine")
    thread.join(10)
    assert passed.is_set()
    assert (gates.status("review"), gates.reason("review")) == (GateStatus.APPROVED, "looks fine")


async def test_a_task_waits_until_a_person_rejects() -> None:
    gates = GateController({"review": ApprovalGate()})
    task = asyncio.create_task(gates.wait_async("review"))
    while not gates.waiting_gates():
        await asyncio.sleep(0)
    await asyncio.to_thread(gates.reject, "review", "too early")
    with pytest.raises(GateRejected, match="gate 'review' was rejected: too early") as info:
        await task
    assert (info.value.gate, info.value.reason) == ("review", "too early")


def test_nobody_decides_in_time() -> None:
    gates = GateController({"review": ApprovalGate(timeout=0.01)})
    with pytest.raises(GateTimeout, match=r"nobody decided at gate 'review' within 0\.01 s"):
        gates.wait("review")
    with pytest.raises(GateDecided, match="nobody decided at gate 'review' in time; that stands"):
        gates.approve("review")


async def test_nobody_decides_in_time_in_a_task() -> None:
    gates = GateController({"review": ApprovalGate(timeout=0.01)})
    with pytest.raises(TimeoutError):
        await gates.wait_async("review")
    assert gates.status("review") == "timed_out"


async def test_what_was_decided_before_is_not_waited_for() -> None:
    gates = GateController({"now": ApprovalGate(auto_approve=True), "no": ApprovalGate(), "yes": ApprovalGate()})
    gates.approve("yes")
    gates.reject("no")
    gates.wait("now")
    gates.wait("yes")
    await gates.wait_async("now")
    await gates.wait_async("yes")
    with pytest.raises(GateRejected, match=r"gate 'no' was rejected$"):
        await gates.wait_async("no")


def test_a_gate_is_decided_once() -> None:
    gates = GateController({"review": ApprovalGate()})
    gates.approve("review", "Ada")
    for decide in (gates.approve, gates.reject):
        with pytest.raises(GateDecided, match=r"gate 'review' was approved already \(Ada\); that stands"):
            decide("review")
    gates.reset("review")
    gates.reject("review")
    assert gates.status("review") is GateStatus.REJECTED


def test_watchers_hear_of_changes_and_one_that_fails_stops_nobody() -> None:
    gates, heard = GateController({"a": ApprovalGate(), "b": ApprovalGate()}), []

    def fails(name: str) -> None:
        raise ValueError(name)

    gates.watch(fails)
    unwatch = gates.watch(heard.append)
    with pytest.warns(RuntimeWarning, match="a watcher of gates failed at 'a': ValueError: a"):
        gates.approve("a")
    unwatch()
    unwatch()
    with pytest.warns(RuntimeWarning):
        gates.approve("b")
    assert heard == ["a"]


def test_to_and_from_a_dict() -> None:
    gates = GateController({"a": ApprovalGate(timeout=5), "b": ApprovalGate(auto_approve=True), "c": ApprovalGate()})
    gates.reject("a", "no")
    assert gates.enter("c").waiters == 1
    data = json.loads(json.dumps(gates.to_dict()))
    assert data["a"] == {"timeout": 5, "auto_approve": False, "status": "rejected", "reason": "no", "spent": False}
    again = GateController.from_dict(data)
    assert again.to_dict() == {**data, "c": {**data["c"], "status": "pending", "spent": False}}
    gates.end_run(["a"])
    assert GateController.from_dict(gates.to_dict()).to_dict()["a"]["spent"] is True
    assert again.gate("a") == ApprovalGate(timeout=5)


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (lambda: ApprovalGate(timeout=0), ValueError, "above 0, found 0"),
        (lambda: ApprovalGate(timeout="5"), ValueError, "above 0, found '5'"),  # type: ignore[arg-type]
        (lambda: GateController({"a": 5}), TypeError, "gate 'a': expected an ApprovalGate, found 5"),  # type: ignore[dict-item]
        (lambda: GateController({"a": ApprovalGate()}).add("a"), GateError, "two gates called 'a'"),
        (lambda: GateController({"review": ApprovalGate()}).approve("reveiw"), GateUnknown, "did you mean 'review'"),
        (lambda: GateController().wait("a"), KeyError, "there is no gate 'a'"),
        (lambda: GateController().reset("a"), GateUnknown, "no gate 'a'"),
        (lambda: GateController.from_dict({"a": {"timout": 5}}), ValueError, "gate 'a': unknown: 'timout'"),
        (lambda: GateController.from_dict({"a": {"status": "maybe"}}), ValueError, "maybe"),
    ],
)
def test_what_is_wrong(fault: Callable[[], Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        fault()


def test_a_reset_lets_nobody_pass() -> None:
    gates = GateController({"review": ApprovalGate()})
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (gates.wait("review"), passed.set()))
    thread.start()
    until(lambda: gates.waiting_gates() == ["review"])
    gates.reset()
    assert gates.waiting_gates() == ["review"]
    assert not passed.wait(0.05)
    gates.approve("review")
    thread.join(10)
    assert passed.is_set()


async def test_who_gives_up_waiting_leaves_the_gate_as_it_was() -> None:
    gates = GateController({"review": ApprovalGate(timeout=60)})
    task = asyncio.create_task(gates.wait_async("review"))
    while not gates.waiting_gates():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gates.status("review") is GateStatus.PENDING


class Deciding(RuleBasedStateMachine):
    """A gate keeps its first decision, whoever comes and goes, until that is reset or a run that used it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = GateController({"g": ApprovalGate()})
        self.decided: GateStatus | None = None
        self.spent = False
        self.over = False
        self.waiting: list[Any] = []

    @rule(approved=st.booleans())
    def decide(self, approved: bool) -> None:
        decide = self.gates.approve if approved else self.gates.reject
        if self.decided is None or self.over:
            decide("g")
            self.spent = self.spent and not self.over
            self.decided, self.over = GateStatus.APPROVED if approved else GateStatus.REJECTED, False
        else:
            with pytest.raises(GateDecided):
                decide("g")

    @rule(approved=st.booleans())
    def answer(self, approved: bool) -> None:
        """Who sees the gate decides only what is open."""
        if self.decided is None:
            self.gates.answer("g", approved=approved)
            self.decided = GateStatus.APPROVED if approved else GateStatus.REJECTED
        else:
            with pytest.raises(GateDecided):
                self.gates.answer("g", approved=approved)

    @rule()
    def enter(self) -> None:
        self.waiting.append(self.gates.enter("g"))
        self.spent = True

    @precondition(lambda self: self.waiting)
    @rule()
    def leave(self) -> None:
        ticket = self.waiting.pop()
        self.gates.leave(ticket)
        if self.decided is None and not self._waiting_now():
            self.spent = False

    @rule()
    def reset(self) -> None:
        self.gates.reset()
        if self.decided is not None:
            self.decided, self.spent, self.over = None, False, False

    @rule()
    def begin_run(self) -> None:
        self.gates.begin_run(["g"])
        if self.spent and self.decided is not None:
            self.decided, self.spent, self.over = None, False, False

    @rule()
    def end_run(self) -> None:
        self.gates.end_run(["g"])
        self.over = self.decided is not None
        self.spent = self.spent or self.over

    def _waiting_now(self) -> bool:
        return any(not ticket.decided for ticket in self.waiting)

    @invariant()
    def it_stands_where_it_should(self) -> None:
        open_ = GateStatus.WAITING if self._waiting_now() else GateStatus.PENDING
        assert self.gates.status("g") is (self.decided or open_)
        assert self.gates.to_dict()["g"]["spent"] is self.spent


TestDeciding = Deciding.TestCase
