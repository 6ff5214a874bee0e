"""Units survive what happens to those who hand them in, and to those who work on them.

FAULT_UNITS=1000 FAULT_SECONDS=60 asks for all of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.units.faults.ledger import Ledger
from tests.units.faults.notes import append, lines
from tests.units.faults.plan import Plan
from tests.units.faults.scenarios import SCENARIOS, Scenario, clocks_moved, host_killed
from tests.units.faults.setups import LocalSetup

UNITS = int(os.environ.get("FAULT_UNITS", "100"))
SECONDS = float(os.environ.get("FAULT_SECONDS", "2"))
PLAN = Plan(UNITS, SECONDS, workers=3 if UNITS < 1000 else 4)


@pytest.mark.skipif(sys.platform != "linux", reason="needs POSIX signals, and limits for other processes")
@pytest.mark.timeout(3 * SECONDS + 200)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_units_end_once_in_order_and_redo_one_step_at_most(scenario: Scenario, tmp_path: Path) -> None:
    counts = scenario(LocalSetup(tmp_path), PLAN)
    sys.stdout.write(f"\n{scenario.__name__}\n{counts}\n")
    assert not counts.wrong, f"{scenario.__name__}\n{counts}"
    assert counts.full_ends == 0, f"the disk was never full\n{counts}"
    if scenario is clocks_moved:
        assert counts.moved, f"no clock was wrong\n{counts}"
    if scenario in (host_killed, clocks_moved):
        assert counts.losses == 0, f"a worker was taken for dead, and none was\n{counts}"


# Whoever counts must see what is wrong

GOOD = ["1 a begin 0", "1 a step 0", "1 a saved 0", "1 a step 1"]


@pytest.mark.parametrize(
    ("noted", "disorder", "wrong"),
    [
        (GOOD, [], []),
        ([*GOOD, "1 b begin 1", "1 b step 1", "1 b saved 1", "1 b end 2", "21 c begin 0"], [], []),
        ([*GOOD, "21 c begin 0", "1 a saved 1"], ["saved 1 of attempt a comes after unit 21 began"], []),
        ([*GOOD, "1 b begin 0"], [], ["goes back behind the checkpoint of step 0", "as step 1 had begun"]),
        ([*GOOD, "1 b begin 1", "1 a saved 1"], [], ["although the unit was begun again at 1"]),
        ([*GOOD, "1 a end 3"], [], ["only [0, 1] were done"]),
    ],
)
def test_what_was_noted_is_held_against_the_promises(
    tmp_path: Path, noted: list[str], disorder: list[str], wrong: list[str]
) -> None:
    file = tmp_path / "p1"
    for line in noted:
        append(file, line)
    ledger = Ledger()
    ledger.read(file)
    for told, expected in ((ledger.disorder, disorder), (ledger.wrong, wrong)):
        assert len(told) == len(expected)
        assert all(one in sentence for one, sentence in zip(expected, told, strict=True)), told


def test_steps_that_are_done_again_are_counted(tmp_path: Path) -> None:
    for line in [*GOOD, "1 b begin 1", "1 b step 1", "1 a step 2", "1 b fail 2", "1 c begin 2"]:
        append(tmp_path / "p1", line)
    ledger = Ledger()
    ledger.read(tmp_path / "p1")
    assert (ledger.begun, ledger.failed, ledger.losses, ledger.late) == (3, 1, 1, 1)
    assert (ledger.done, ledger.redone) == (4, 1)


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    append(file, 1, "one")
    with file.open("ab") as torn:
        torn.write(b"\n2 tw")
    append(file, 3, "three")
    with file.open("ab") as torn:
        torn.write(b"\n4 four .")
    assert lines(file) == [["1", "one"], ["3", "three"]]
