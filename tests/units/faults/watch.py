"""Who looks at all units, all the time, as any host may: through ``registry.units.status``."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from dagstack_plugins import PluginError, PluginRegistry
from tests.units.faults.notes import lines

_PAUSE = 0.1
"""Seconds between two looks at all."""
OPEN = ("queued", "running")


@attrs.define
class Watch:
    """What was seen of the units that were accepted.

    Args:
        registry: the host that looks.
        folder: where the accepted ones are written down.

    Attributes:
        ids: the ids that each number was accepted under.
        ends: the first end that was seen of each unit.
        odd_ends: each time that a unit was seen otherwise after its end.
        looks: how often all were looked at.
        refused: what the orchestrator said each time that it gave no answer.
        shifts: by how many seconds the ends differ from the time at which they were seen.
    """

    registry: PluginRegistry
    folder: Path
    ids: dict[int, set[str]] = attrs.Factory(dict)
    ends: dict[str, tuple[str, str]] = attrs.Factory(dict)
    odd_ends: list[str] = attrs.Factory(list)
    looks: int = 0
    refused: list[str] = attrs.Factory(list)
    shifts: list[float] = attrs.Factory(list)

    def until(self, over: threading.Event) -> None:
        """Look again and again."""
        while not over.wait(_PAUSE):
            self.look()

    def look(self) -> None:
        """Look at all units once."""
        for number, unit in lines(self.folder / "accepted"):
            self.ids.setdefault(int(number), set()).add(unit)
        for unit in [unit for ids in self.ids.values() for unit in ids]:
            try:
                status = self.registry.units.status(unit)
            except PluginError as error:
                self.refused.append(f"no answer about unit {unit}: {error!r}, {error.__cause__!r}")
            else:
                self._see(unit, status)
        self.looks += 1

    def _see(self, unit: str, status: Any) -> None:
        now = (status.state, str(status.to_dict().get("finished_at")))
        before = self.ends.get(unit)
        if before is None and status.state not in OPEN:
            self.ends[unit] = now
            self.shifts.append(abs(datetime.fromisoformat(now[1]).timestamp() - time.time()))
        elif before not in (None, now):
            self.odd_ends.append(f"unit {unit} ended as {before}, and later it was {now}")
