"""What came of a scenario: what was counted, and what was found wrong."""

from __future__ import annotations

from typing import Any, Final

import attrs

from dagstack_plugins import PluginRegistry
from tests.units.faults.ledger import Ledger
from tests.units.faults.stage import Stage

_PAGE: Final = 500
_TOLD: Final = 20
"""Sentences of what is wrong; there may be one for each unit."""
_MOVED: Final = 1800.0
"""Seconds by which a clock is wrong that was moved."""


@attrs.frozen
class Counts:
    """What was counted.

    Attributes:
        units: that were to be handed in.
        accepted: that were.
        ended: that ended.
        kills: workers that were killed.
        host_kills: hosts that were killed while they handed units in.
        fell: processes that ended by themselves.
        attempts: at all units, as they say.
        losses: attempts after a unit's first that no failure explains.
        retries: attempts that failed, as they were to.
        steps: that were done, each time.
        redone: of these, those that had been done before.
        late: notes of attempts whose unit others had begun again meanwhile.
        order_violations: times that a partition's units were not done one at a time and in order.
        doubled_ends: times that a unit was seen otherwise after its end.
        looks: at all units.
        moved: ends by a clock that was wrong.
        full_ends: units that ended while the disk was full.
        seconds: that all of it took.
        wrong: what must not be, as sentences.
    """

    units: int
    accepted: int
    ended: int
    kills: int
    host_kills: int
    fell: int
    attempts: int
    losses: int
    retries: int
    steps: int
    redone: int
    late: int
    order_violations: int
    doubled_ends: int
    looks: int
    moved: int
    full_ends: int
    seconds: float
    wrong: list[str]

    def __str__(self) -> str:
        told = attrs.asdict(self, filter=lambda one, _: one.name != "wrong")
        table = [f"{name.replace('_', ' '):18}{value:>8}" for name, value in told.items()]
        return "\n".join([*table, *self.wrong[:_TOLD]])


def counted(stage: Stage, seconds: float) -> Counts:
    """Look at all that is left.

    Args:
        stage: what was done.
        seconds: how long it took.
    """
    watch, plan, ledger = stage.watch, stage.plan, Ledger()
    for partition in sorted((stage.setup.folder / "notes").iterdir()):
        ledger.read(partition)
    rows = _all(watch.registry)
    wrong = [*ledger.wrong, *ledger.disorder, *watch.odd_ends, *_wrong_units(stage, rows), *watch.refused]
    if ledger.redone > ledger.losses:
        wrong.append(f"{ledger.redone} steps were done again, and only {ledger.losses} attempts were lost")
    return Counts(
        units=plan.units,
        accepted=len(watch.ids),
        ended=len(watch.ends),
        kills=stage.kills,
        host_kills=stage.host_kills,
        fell=stage.fell,
        attempts=sum(row.attempts for row in rows),
        losses=ledger.losses,
        retries=ledger.failed,
        steps=ledger.done,
        redone=ledger.redone,
        late=ledger.late,
        order_violations=len(ledger.disorder),
        doubled_ends=len(watch.odd_ends),
        looks=watch.looks,
        moved=sum(shift > _MOVED for shift in watch.shifts),
        full_ends=stage.full_ends,
        seconds=round(seconds, 1),
        wrong=wrong,
    )


def _wrong_units(stage: Stage, rows: list[Any]) -> list[str]:
    """Units that are lost, doubled, not ended, or came to something else than they should."""
    watch, plan, wrong = stage.watch, stage.plan, []
    known = {row.unit_id for row in rows}
    if len(rows) != plan.units or len(known) != plan.units:
        wrong.append(f"{len(rows)} units are there, {len(known)} ids, of {plan.units}")
    for number in range(plan.units):
        ids = watch.ids.get(number, set())
        if len(ids) != 1 or not ids <= known:
            wrong.append(f"unit {number} was accepted as {ids}, of which {ids & known} are there")
            continue
        answer = watch.registry.get_plugin("orchestrator").result(unit_id=next(iter(ids))).to_dict()
        if answer != {"state": "succeeded", "value": plan.result(number)}:
            wrong.append(f"unit {number}, {next(iter(ids))}, came to {answer}")
    return wrong


def _all(registry: PluginRegistry) -> list[Any]:
    rows: list[Any] = []
    while page := registry.units.list(limit=_PAGE, **({"after": rows[-1].unit_id} if rows else {})):
        rows += page
    return rows
