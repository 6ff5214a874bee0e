"""Gates: a node with one waits until a person decides."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Self

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


DECIDED = (GateStatus.APPROVED, GateStatus.REJECTED, GateStatus.TIMED_OUT)


def _is_time(_: Any, __: Any, value: float | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
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
class _State:
    """Where one gate stands.

    Attributes:
        gate: what it is like.
        status: where it stands.
        reason: what the person said who decided.
        deadline: when who waits gives up, on the clock of ``time.monotonic``.
        used: whether something has waited at it, or passed; until then a decision is kept for the first who comes.
    """

    gate: ApprovalGate
    status: GateStatus = GateStatus.PENDING
    reason: str = ""
    deadline: float | None = None
    used: bool = False


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
        self._states: dict[str, _State] = {}
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
            if name in self._states:
                raise GateError(f"there are two gates called {name!r}", gate=name)
            self._states[name] = _State(gate)

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
        self._decide(name, GateStatus.APPROVED, reason)

    def reject(self, name: str, reason: str = "") -> None:
        """Turn away what waits at a gate, or will: its node fails.

        Args:
            name: the gate's.
            reason: why, for whoever reads the error.

        Raises:
            GateUnknown: if there is no such gate.
            GateDecided: if it was decided already.
        """
        self._decide(name, GateStatus.REJECTED, reason)

    def _decide(self, name: str, status: GateStatus, reason: str) -> None:
        with self._changed:
            state = self._state(name)
            if state.status in DECIDED:
                raise GateDecided(f"gate {name!r} was {_told(state)} already; that stands", gate=name)
            state.status, state.reason = status, reason
            self._changed.notify_all()
        self._tell(name)

    # What is known

    def status(self, name: str) -> GateStatus:
        """Where a gate stands.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            return self._state(name).status

    def reason(self, name: str) -> str:
        """What the person said who decided; empty if nothing.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            return self._state(name).reason

    def gate(self, name: str) -> ApprovalGate:
        """What a gate is like.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            return self._state(name).gate

    def has_gate(self, name: str) -> bool:
        """Whether there is a gate of that name."""
        return name in self._states

    def names(self) -> list[str]:
        """The gates, in the order in which they were added."""
        return list(self._states)

    def waiting_gates(self) -> list[str]:
        """Those that wait for a decision now."""
        with self._changed:
            return [name for name, state in self._states.items() if state.status is GateStatus.WAITING]

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
        for watcher in tuple(self._watchers):
            try:
                watcher(name)
            except Exception as error:  # whoever decides is not to blame
                told = f"a watcher of gates failed at {name!r}: {raised(error)}{place_of(error)}"
                warnings.warn(told, RuntimeWarning, stacklevel=3)

    # What waits

    def wait(self, name: str) -> None:
        """Block until a gate is decided.

        Raises:
            GateUnknown: if there is no such gate.
            GateRejected: if it is rejected.
            GateTimeout: if nobody decides within its ``timeout``.
        """
        self.enter(name)
        with self._changed:
            state = self._state(name)
            while state.status not in DECIDED:
                left = None if state.deadline is None else state.deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
        self.expire(name)
        self.check(name)

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
        try:
            deadline = self.enter(name)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                async with asyncio.timeout(left):
                    while self.status(name) not in DECIDED:
                        await decided.wait()
                        decided.clear()
            except TimeoutError:
                self.expire(name)
        finally:
            unwatch()
        self.check(name)

    def enter(self, name: str) -> float | None:
        """Begin to wait at a gate.

        Returns:
            When to give up, on the clock of ``time.monotonic``; ``None``: never.

        Raises:
            GateUnknown: if there is no such gate.
        """
        with self._changed:
            state = self._state(name)
            state.used = True
            if state.status is not GateStatus.PENDING:
                return state.deadline
            if state.gate.auto_approve:
                state.status, state.reason = GateStatus.APPROVED, "approved by itself"
            else:
                state.status = GateStatus.WAITING
                if state.gate.timeout is not None:
                    state.deadline = time.monotonic() + state.gate.timeout
            deadline = state.deadline
        self._tell(name)
        return deadline

    def expire(self, name: str) -> None:
        """Give up waiting, if the time is over and nobody has decided."""
        with self._changed:
            state = self._state(name)
            over = state.deadline is not None and time.monotonic() >= state.deadline
            if state.status is not GateStatus.WAITING or not over:
                return
            state.status = GateStatus.TIMED_OUT
            self._changed.notify_all()
        self._tell(name)

    def check(self, name: str) -> None:
        """Whether what waits at a gate may pass.

        Raises:
            GateUnknown: if there is no such gate.
            GateRejected: if it was rejected.
            GateTimeout: if nobody decided in time.
        """
        with self._changed:
            state = self._state(name)
            status, reason, timeout = state.status, state.reason, state.gate.timeout
        if status is GateStatus.REJECTED:
            told = f": {reason}" if reason else ""
            raise GateRejected(f"gate {name!r} was rejected{told}", gate=name, reason=reason)
        if status is GateStatus.TIMED_OUT:
            raise GateTimeout(f"nobody decided at gate {name!r} within {timeout:g} s", gate=name)

    def reset(self, name: str | None = None) -> None:
        """Forget the decision at a gate, or at all of them.

        Raises:
            GateUnknown: if there is no such gate.
        """
        names = self.names() if name is None else [name]
        with self._changed:
            for one in names:
                self._states[one] = _State(self._state(one).gate)
        for one in names:
            self._tell(one)

    def begin_run(self) -> None:
        """Forget the decisions that an earlier run has used; those that were made in advance are kept."""
        for name in self.names():
            with self._changed:
                used = self._states[name].used
            if used:
                self.reset(name)

    def _state(self, name: str) -> _State:
        if name not in self._states:
            raise GateUnknown(f"there is no gate {name!r}{nearest(str(name), self._states)}", gate=name)
        return self._states[name]

    # To and from a dict

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All gates as JSON: for each name ``timeout``, ``auto_approve``, ``status`` and ``reason``."""
        with self._changed:
            return {
                name: {
                    "timeout": state.gate.timeout,
                    "auto_approve": state.gate.auto_approve,
                    "status": str(state.status),
                    "reason": state.reason,
                }
                for name, state in self._states.items()
            }

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]]) -> Self:
        """Gates from what ``to_dict`` gave; where something waited, nothing does now.

        Raises:
            ValueError: if it is something else.
        """
        made = cls()
        for name, fields in data.items():
            unknown = fields.keys() - {"timeout", "auto_approve", "status", "reason"}
            if unknown:
                raise ValueError(f"gate {name!r}: unknown: {', '.join(map(repr, sorted(unknown)))}")
            made.add(name, ApprovalGate(fields.get("timeout"), bool(fields.get("auto_approve", False))))
            status = GateStatus(fields.get("status", GateStatus.PENDING))
            if status in DECIDED:
                made._states[name].status, made._states[name].reason = status, str(fields.get("reason", ""))
        return made


def _told(state: _State) -> str:
    word = "given up, as nobody decided in time" if state.status is GateStatus.TIMED_OUT else str(state.status)
    return f"{word} ({state.reason})" if state.reason else word
