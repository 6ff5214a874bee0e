"""What is known of a unit, to whoever keeps it: what was asked for, who has it, and how it may end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import attrs

ENDED: Final = ("succeeded", "failed", "cancelled", "expired")
"""The states that a unit never leaves."""
LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts, at most."""


@attrs.frozen
class Wanted:
    """A unit that is to be queued.

    Attributes:
        kind: the plugin's kind.
        plugin: the plugin's name.
        hook: the hook that is called.
        args: the payload, as JSON text.
        code: what the plugin's code is: its version, or the hash of its files.
        key: units of one key are one; ``None`` for a unit of its own.
        part: the partition; ``None`` for none.
        priority: higher ones are taken first.
        not_before: the earliest moment, in seconds since 1970; ``None`` for now.
        expires_at: the latest moment to begin; ``None`` for any.
    """

    kind: str
    plugin: str
    hook: str
    args: str
    code: str
    key: str | None = None
    part: str | None = None
    priority: int = 0
    not_before: float | None = None
    expires_at: float | None = None


@attrs.frozen
class Lease:
    """A unit that a crew has, for one attempt.

    Attributes:
        number: the unit's, in the order of submission.
        id: the unit's.
        kind: the plugin's kind.
        plugin: the plugin's name.
        hook: the hook that is called.
        args: the payload, as JSON text.
        code: what the plugin's code was when it was queued.
        attempt: how often it was begun, this time included.
        losses: how often its crew died.
        crew: who has it.
    """

    number: int
    id: str
    kind: str
    plugin: str
    hook: str
    args: str
    code: str
    attempt: int
    losses: int
    crew: str


class Superseded(Exception):
    """The unit was given to somebody else, as its crew was taken for dead."""


class Ledger(Protocol):
    """Where units are kept; each method is one change that is there as a whole or not at all.

    Attributes:
        troubles: what it raises when it can't be read or written just now.
    """

    troubles: ClassVar[tuple[type[Exception], ...]]

    def add(self, wanted: Wanted) -> tuple[str, bool]:
        """Queue a unit; its id, and whether there was one of its key already."""

    def succeed(self, lease: Lease, result: str, digest: str | None = None) -> None:
        """An attempt has a result."""

    def fail(self, lease: Lease, error: Mapping[str, Any]) -> None:
        """The unit failed."""

    def drop(self, lease: Lease) -> None:
        """The unit ended as it was cancelled."""

    def put_back(
        self, lease: Lease, seconds: float, error: Mapping[str, Any] | None = None, *, counts: bool = True
    ) -> None:
        """The unit is tried again later."""

    def tell(self, progress: Sequence[tuple[Lease, float | None, str]]) -> None:
        """How far units are."""

    def save(self, lease: Lease, scope: str, key: str, state: str, expected: int | None = None) -> tuple[int, bool]:
        """Keep a state of a unit; its version, and whether the unit is still wanted."""

    def load(self, lease: Lease, scope: str, key: str) -> tuple[str, int]:
        """A state, and its version."""

    def keys(self, lease: Lease, scope: str) -> list[str]:
        """The keys that a unit has states under."""

    def find(self, unit: str) -> dict[str, Any] | None:
        """All that is known of a unit."""

    def search(self, *, after: str | None = None, limit: int = -1, **conditions: Any) -> list[dict[str, Any]]:
        """Units that fit all conditions given, the newest first."""

    def ids(self, **conditions: Any) -> list[str]:
        """The ids of units that fit all conditions given, the newest first."""

    def cancel(self, unit: str) -> str | None:
        """Nobody wants a unit any more; its state then."""

    def again(self, unit: str, expires_at: float | None = None) -> bool:
        """Queue a copy of a unit that has ended."""
