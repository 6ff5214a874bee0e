"""What plugins noted, held against what units promise."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import attrs

from tests.units.faults.notes import lines


@attrs.define
class Ledger:
    """What happened to the units of all partitions.

    Attributes:
        units: units that began.
        begun: attempts that began.
        failed: attempts that failed, as they were to.
        done: steps that were done, each time that they were.
        redone: of these, the ones that had been done before.
        late: what was noted by attempts whose unit was begun again meanwhile: by who was taken for dead, and slept.
        disorder: each time that units of a partition were not done one at a time, in their order.
        wrong: each other promise that was broken, as a sentence; what is late is not out of order.
    """

    units: int = 0
    begun: int = 0
    failed: int = 0
    done: int = 0
    redone: int = 0
    late: int = 0
    disorder: list[str] = attrs.Factory(list)
    wrong: list[str] = attrs.Factory(list)

    @property
    def losses(self) -> int:
        """Attempts after the first that no failure explains."""
        return self.begun - self.units - self.failed

    def read(self, partition: Path) -> None:
        """Add the notes of one partition, in the order in which they were written."""
        units: defaultdict[int, _Unit] = defaultdict(_Unit)
        last = -1
        for number, attempt, what, step in lines(partition):
            unit = units[int(number)]
            told = f"{partition.name}: unit {number}, {what} {step} of attempt {attempt}"
            is_late = what != "begin" and attempt != unit.attempt
            self.late += is_late
            if not is_late:
                if int(number) < last:
                    self.disorder.append(f"{told} comes after unit {last} began")
                last = max(last, int(number))
            if what == "begin":
                self._begin(unit, attempt, int(step), told)
            else:
                self._go_on(unit, what, int(step), told, is_late=is_late)
        self.units += len(units)

    def _begin(self, unit: _Unit, attempt: str, step: int, told: str) -> None:
        self.begun += 1
        if step <= unit.saved:
            self.wrong.append(f"{told} goes back behind the checkpoint of step {unit.saved}")
        if step < unit.reached:
            self.wrong.append(f"{told} does more than one checkpoint's work again, as step {unit.reached} had begun")
        unit.attempt, unit.began_at = attempt, step

    def _go_on(self, unit: _Unit, what: str, step: int, told: str, *, is_late: bool) -> None:
        if what == "fail":
            self.failed += 1
        elif what == "step":
            self.done += 1
            self.redone += step in unit.steps
            unit.steps.add(step)
            unit.reached = max(unit.reached, step)
        elif what == "saved":
            if is_late and step >= unit.began_at:
                self.wrong.append(f"{told} was accepted, although the unit was begun again at {unit.began_at}")
            unit.saved = max(unit.saved, step)
        elif unit.steps != set(range(step)):
            self.wrong.append(f"{told} comes without all steps: only {sorted(unit.steps)} were done")


@attrs.define
class _Unit:
    attempt: str = ""
    began_at: int = 0
    reached: int = -1
    saved: int = -1
    steps: set[int] = attrs.Factory(set)
