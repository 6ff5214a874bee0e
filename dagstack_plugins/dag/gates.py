"""Gates: a node with one waits until a person decides."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from math import inf
from typing import Any, Final, Self

import attrs

from dagstack_plugins.dag.errors import GateDecided, GateError, GateRejected, GateTimeout, GateUnknown
from dagstack_plugins.wording import nearest, place_of, raised, shown

Watcher = Callable[[str], object]
"""Called with a gate's name when its status changed."""


class GateStatus(StrEnum):
    """Where a gate stands."""

    PENDING = "pending"
    """Nobody waits at it yet."""
    WAITING = "waiting"
    """Something waits for a decision."""
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"


DECIDED: Final = (GateStatus.APPROVED, GateStatus.REJECTED, GateStatus.TIMED_OUT)


def _is_time(_: Any, __: Any, value: float | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf):
        raise ValueError(f"a gate's timeout is a number of seconds above 0, found {shown(value)}")


@attrs.frozen
class ApprovalGate:
    """What a gate is like.

    Attributes:
        timeout: how many seconds a person has, from when something waits; ``None``: for ever.
        auto_approve: whether all may pass, as in a trial run.
    """

    timeout: float | None = attrs.field(default=None, validator=_is_time)
    auto_approve: bool = False


@attrs.define(eq=False)
class Ticket:
    """One decision at a gate, and who waits for it; another decision has another ticket.

    Attributes:
        name: the gate's.
        gate: what it is like.
        status: where it stands.
        reason: what the person said who decided.
        deadline: when who waits gives up, on the clock of ``time.monotonic``; ``None``: never.
        waiters: how many wait.
        spent: whether a run has made use of it; until then a decision is kept for the first that comes.
        over: whether that run has ended, so that the next decision is about another one.
        number: tells this decision from others at the same gate.
    """

    name: str
    gate: ApprovalGate
    status: GateStatus = GateStatus.PENDING
    reason: str = ""
    deadline: float | None = None
    waiters: int = 0
    spent: bool = False
    over: bool = False
    number: int = attrs.Factory(itertools.count(1).__next__)

    @property
    def decided(self) -> bool:
        """Whether nobody needs to wait any more."""
        return self.status in DECIDED

    def seconds_left(self, now: float) -> float | None:
        """How long a person still has; ``None`` if nothing waits, or for as long as it takes."""
        if self.status is not GateStatus.WAITING or self.deadline is None:
            return None
        return max(0.0, self.deadline - now)

    def check(self) -> None:
        """Whether what waits may pass.

        Raises:
            GateRejected: if it was rejected.
            GateTimeout: if nobody decided in time.
            GateError: if nobody has decided yet.
        """
        if self.status is GateStatus.APPROVED:
            return
        if self.status is GateStatus.REJECTED:
            told = f": {self.reason}" if self.reason else ""
            raise GateRejected(f"gate {self.name!r} was rejected{told}", gate=self.name, reason=self.reason)
        if self.status is GateStatus.TIMED_OUT:
            raise GateTimeout(f"nobody decided at gate {self.name!r} within {self.gate.timeout:g} s", gate=self.name)
        raise GateError(f"gate {self.name!r} is not decided yet", gate=self.name)


class GateController:
    """The gates of a run, by the names of their nodes; decided by people, from any thread.

    Examples:
        >>> gates = GateController({"publish": ApprovalGate(timeout=600)})
        >>> gates.approve("publish")
        >>> gates.wait("publish")

    Args:
        gates: the gates, by name.
    """

    def __init__(self, gates: Mapping[str, ApprovalGate] | None = None) -> None:
        self._changed = threading.Condition()
        self._tickets: dict[str, Ticket] = {}
        self._watchers: list[Watcher] = []
        for name, gate in (gates or {}).items():
            self.add(name, gate)

    def add(self, name: str, gate: ApprovalGate | None = None) -> None:
        """Add a gate.

        Raises:
            GateError: if there is one of that name.
            TypeError: if it is no ``ApprovalGate``.
        """
        gate = ApprovalGate() if gate is None else gate
        if not isinstance(gate, ApprovalGate):
            raise TypeError(f"gate {name!r}: expected an ApprovalGate, found {shown(gate)}")
        with self._changed:
            if name in self._tickets:
                raise GateError(f"there are two gates called {name!r}", gate=name)
            self._tickets[name] = Ticket(name, gate)

    # What people do

    def approve(self, name: str, reason: str = "") -> None:
        """Let pass what waits at a gate, or will.

        Args:
            name: the gate's.
            reason: what there is to say about it.

        Raises:
            GateUnknown: if there is no such gate.
            GateDecided: if it was decided already.
        """
        self._decide(name, GateStatus.APPROVED, reason, anew=True)

    def reject(self, name: str, reason: str = "") -> None:
        """Turn away what waits at a gate, or will: its node fails.

        Args:
            name: the gate's.
            reason: why, for whoever reads the error.

        Raises:
            GateUnknown: if there is no such gate.
            GateDecided: if it was decided already.
        """
        self._decide(name, GateStatus.REJECTED, reason, anew=True)

    def answer(self, name: str, *, approved: bool, reason: str = "", number: int | None = None) -> None:
        """Decide as somebody who sees the gate: what comes too late is no decision about the next run.

        Args:
            name: the gate's.
            approved: whether what waits may pass.
            reason: why.
            number: which decision is meant, of ``overview``; left out, the one that is open now.

        Raises:
            GateUnknown: if there is no such gate.
            GateDecided: if it was decided already.
        """
        self._decide(name, GateStatus.APPROVED if approved else GateStatus.REJECTED, reason, anew=False, number=number)

    def _decide(self, name: str, status: GateStatus, reason: str, *, anew: bool, number: int | None = None) -> None:
        with self._changed:
            ticket = self._ticket(name)
            if number is not None and number != ticket.number:
                raise GateDecided(f"at gate {name!r} something else waits now; nothing was decided", gate=name)
            if ticket.over and anew:
                ticket = self._tickets[name] = Ticket(name, ticket.gate)
            if ticket.decided:
                raise GateDecided(f"{_told(ticket)}; that stands", gate=name)
            ticket.status, ticket.reason = status, reason
            self._changed.notify_all()
        self._tell(name)

    # What is known

    def status(self, name: str) -> GateStatus:
        """Where a gate stands.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            return self._ticket(name).status

    def reason(self, name: str) -> str:
        """What the person said who decided; empty if nothing.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            return self._ticket(name).reason

    def gate(self, name: str) -> ApprovalGate:
        """What a gate is like.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            return self._ticket(name).gate

    def overview(self) -> dict[str, dict[str, Any]]:
        """How all gates stand, for whoever shows them.

        Returns:
            For each name: ``number``, which tells a decision from others at the same gate, for ``answer``; ``status``;
            ``reason``; ``timeout``; and ``seconds_left``, ``None`` if nothing waits, or for as long as it takes.
        """
        now = time.monotonic()
        with self._changed:
            return {
                name: {
                    "number": ticket.number,
                    "status": str(ticket.status),
                    "reason": ticket.reason,
                    "timeout": ticket.gate.timeout,
                    "seconds_left": ticket.seconds_left(now),
                }
                for name, ticket in self._tickets.items()
            }

    def has_gate(self, name: str) -> bool:
        """Whether there is a gate of that name."""
        return name in self._tickets

    def names(self) -> list[str]:
        """The gates, in the order in which they were added."""
        return list(self._tickets)

    def waiting_gates(self) -> list[str]:
        """Those that wait for a decision now."""
        with self._changed:
            return [name for name, ticket in self._tickets.items() if ticket.status is GateStatus.WAITING]

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Be told of each gate whose status changed, on the thread that changed it.

        Returns:
            What takes it back.
        """
        with self._changed:
            self._watchers.append(watcher)

        def unwatch() -> None:
            with self._changed:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)

        return unwatch

    def _tell(self, name: str) -> None:
        failures = []
        for watcher in tuple(self._watchers):
            try:
                watcher(name)
            except Exception as error:  # whoever decides is not to blame, and the others are told
                failures.append(f"a watcher of gates failed at {name!r}: {raised(error)}{place_of(error)}")
        for told in failures:
            warnings.warn(told, RuntimeWarning, stacklevel=3)

    # What waits

    def wait(self, name: str) -> None:
        """Block until a gate is decided.

        Raises:
            GateUnknown: if there is no such gate.
            GateRejected: if it is rejected.
            GateTimeout: if nobody decides within its ``timeout``.
        """
        ticket = self.enter(name)
        try:
            with self._changed:
                while not ticket.decided:
                    left = None if ticket.deadline is None else ticket.deadline - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    self._changed.wait(left if left is None else min(left, threading.TIMEOUT_MAX))
            self.expire(ticket)
        finally:
            self.leave(ticket)
        ticket.check()

    async def wait_async(self, name: str) -> None:
        """The same, awaited, and from any event loop.

        Raises:
            GateUnknown: if there is no such gate.
            GateRejected: if it is rejected.
            GateTimeout: if nobody decides within its ``timeout``.
        """
        loop, decided = asyncio.get_running_loop(), asyncio.Event()

        def look(changed: str) -> None:
            if changed == name:
                loop.call_soon_threadsafe(decided.set)

        unwatch = self.watch(look)
        ticket = self.enter(name)
        try:
            left = None if ticket.deadline is None else max(0.0, ticket.deadline - time.monotonic())
            try:
                async with asyncio.timeout(left):
                    while not ticket.decided:
                        await decided.wait()
                        decided.clear()
            except TimeoutError:
                self.expire(ticket)
        finally:
            unwatch()
            self.leave(ticket)
        ticket.check()

    def enter(self, name: str) -> Ticket:
        """Begin to wait at a gate; ``leave`` ends that.

        Returns:
            The decision to wait for; it may have been made.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            ticket = self._ticket(name)
            ticket.spent = True
            ticket.waiters += 1
            if ticket.status is not GateStatus.PENDING:
                return ticket
            if ticket.gate.auto_approve:
                ticket.status, ticket.reason = GateStatus.APPROVED, "approved by itself"
            else:
                ticket.status = GateStatus.WAITING
                if ticket.gate.timeout is not None:
                    ticket.deadline = time.monotonic() + ticket.gate.timeout
        self._tell(name)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Wait no more; where nobody does, the gate is as it was before."""
        with self._changed:
            ticket.waiters -= 1
            if ticket.waiters or ticket.status is not GateStatus.WAITING:
                return
            ticket.status, ticket.deadline, ticket.spent = GateStatus.PENDING, None, False
        self._tell(ticket.name)

    def expire(self, ticket: Ticket) -> None:
        """Give up waiting, if the time is over and nobody has decided."""
        with self._changed:
            over = ticket.deadline is not None and time.monotonic() >= ticket.deadline
            if ticket.status is not GateStatus.WAITING or not over:
                return
            ticket.status = GateStatus.TIMED_OUT
            self._changed.notify_all()
        self._tell(ticket.name)

    def reset(self, name: str | None = None) -> None:
        """Forget the decision at a gate, or at all of them; who waits for one goes on waiting.

        Raises:
            GateUnknown: if there is no such gate.
        """
        for one in self.names() if name is None else [name]:
            with self._changed:
                ticket = self._ticket(one)
                if not ticket.decided:
                    continue
                self._tickets[one] = Ticket(one, ticket.gate)
            self._tell(one)

    def begin_run(self, names: Iterable[str]) -> None:
        """Forget the decisions that an earlier run has made use of; those made in advance are kept.

        Args:
            names: the gates of the run.
        """
        for name in names:
            if self._ticket(name).spent:
                self.reset(name)

    def end_run(self, names: Iterable[str]) -> None:
        """A decision is good for one run, whether that came to the gate or not.

        Args:
            names: the gates of the run.
        """
        with self._changed:
            for name in names:
                ticket = self._ticket(name)
                ticket.over = ticket.over or ticket.decided
                ticket.spent = ticket.spent or ticket.over

    def _ticket(self, name: str) -> Ticket:
        if name not in self._tickets:
            raise GateUnknown(f"there is no gate {name!r}{nearest(str(name), self._tickets)}", gate=name)
        return self._tickets[name]

    # To and from a dict

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All gates as JSON: for each name ``timeout``, ``auto_approve``, ``status``, ``reason`` and ``spent``."""
        with self._changed:
            return {
                name: {
                    "timeout": ticket.gate.timeout,
                    "auto_approve": ticket.gate.auto_approve,
                    "status": str(ticket.status),
                    "reason": ticket.reason,
                    "spent": ticket.spent,
                }
                for name, ticket in self._tickets.items()
            }

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]]) -> Self:
        """Gates from what ``to_dict`` gave; where something waited, nothing does now.

        Raises:
            ValueError: if it is something else.
        """
        made = cls()
        for name, fields in data.items():
            unknown = fields.keys() - {"timeout", "auto_approve", "status", "reason", "spent"}
            if unknown:
                raise ValueError(f"gate {name!r}: unknown: {', '.join(map(repr, sorted(unknown)))}")
            made.add(name, ApprovalGate(fields.get("timeout"), bool(fields.get("auto_approve", False))))
            status = GateStatus(fields.get("status", GateStatus.PENDING))
            if status in DECIDED:
                ticket = made._tickets[name]
                ticket.status, ticket.reason = status, str(fields.get("reason", ""))
                ticket.spent = ticket.over = bool(fields.get("spent", False))
        return made


def _told(ticket: Ticket) -> str:
    if ticket.status is GateStatus.TIMED_OUT:
        return f"nobody decided at gate {ticket.name!r} in time"
    reason = f" ({ticket.reason})" if ticket.reason else ""
    return f"gate {ticket.name!r} was {ticket.status} already{reason}"
