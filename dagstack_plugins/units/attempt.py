"""One attempt at a unit: its checkpoints, its progress, and whether anybody still wants it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from dagstack_plugins.checkpoints import Keys, encode_state
from dagstack_plugins.errors import PluginError, UnitCancelled
from dagstack_plugins.progress import ProgressEvent
from dagstack_plugins.units.records import Lease, Ledger
from dagstack_plugins.wording import raised

_LONGEST: Final = 1000
"""Characters of a message that are kept."""


class Attempt:
    """The work that a lease is for; what runs inside ``bound_work`` of it reaches it through ``ctx``.

    Args:
        ledger: where checkpoints go.
        lease: the unit.

    Attributes:
        lease: see above.
        unwanted: why it should stop; empty while it should not.
        noticed: whether the plugin was told so.
        told: how far it is, as it told last: percent, and words; ``None`` while it has not.
        hindered: whether the ledger did nothing for a checkpoint, which is no fault of the plugin's.
    """

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._ledger = ledger
        self.lease = lease
        self.unwanted = ""
        self.noticed = False
        self.hindered = False
        self.told: tuple[float | None, str] | None = None
        self._written: tuple[float | None, str] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it should stop."""
        if self.unwanted:
            self.noticed = True
        return bool(self.unwanted)

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state of this unit.

        Raises:
            UnitCancelled: after it was kept, if the unit should stop.
            Superseded: if the unit is somebody else's by now; nothing was kept.
            CheckpointConflict: if another version than ``expected`` is there; nothing was kept.
            PluginError: if the ledger refuses it; nothing was kept.
        """
        text = encode_state(state)
        with self._hindering("kept"):
            version, wanted = self._ledger.save(self.lease, scope, json.dumps(key), text, expected)
        if not wanted:
            self.unwanted = self.unwanted or "it was cancelled"
        if self.unwanted:
            self.noticed = True
            raise UnitCancelled(f"the unit of work {self.lease.id} stops here: {self.unwanted}", unit_id=self.lease.id)
        return version

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state that was kept for this unit, and its version."""
        with self._hindering("read"):
            state, version = self._ledger.load(self.lease, scope, json.dumps(key))
        return json.loads(state), version

    def list(self, scope: str, prefix: str = "") -> Keys:
        """The keys of its states."""
        with self._hindering("read"):
            keys: Keys = sorted(json.loads(key) for key in self._ledger.keys(self.lease, scope))
        return [key for key in keys if key.startswith(prefix)]

    @contextmanager
    def _hindering(self, what: str) -> Iterator[None]:
        """What the ledger can't do just now is no fault of the plugin's, and the attempt does not count."""
        try:
            yield
        except self._ledger.troubles as error:
            self.hindered = True
            told = f"a checkpoint can't be {what}: {raised(error)}"
            raise PluginError(told, error_type=type(error).__name__) from error

    def emit(self, event: ProgressEvent) -> None:
        """Remember how far it is; that is written now and then, so that the plugin waits for no disk."""
        if (event.kind, event.plugin) == (self.lease.kind.partition("@")[0], self.lease.plugin):
            before = self.told[0] if self.told else None
            # Half of a surrogate pair, as in the names of some files, has no form on the disk.
            said = event.message[:_LONGEST].encode("utf-8", "backslashreplace").decode()
            self.told = (before if event.percent is None else event.percent), said

    def news(self) -> tuple[float | None, str] | None:
        """What it told last, if it has told anything since this was asked."""
        told = self.told
        if told is self._written:
            return None
        self._written = told
        return told
