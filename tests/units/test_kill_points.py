"""A unit that was killed and goes on comes to what one comes to that was not, byte for byte, wherever it was killed.

KILL_PLANS=100 asks for more plans.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.units import kill_points
from tests.units.kill_points import Disk, Plan, Step, Writer, bury, carried_out, disk_of, put_back, torn

PLANS = int(os.environ.get("KILL_PLANS", "3"))
ROOT = Path(__file__).parents[2]
STEPS = st.builds(Step, st.text(max_size=40), st.booleans())
ANY_PLAN = st.builds(Plan, st.lists(STEPS, min_size=1, max_size=4).map(tuple), st.booleans())
THREE = Plan((Step("one", True), Step("two, which is longer", False), Step("three", True)))
"""A plan that is good for a look at single points."""


@attrs.frozen
class Run:
    """A run to the end.

    Attributes:
        outcome: what it came to, and its file.
        points: how often it could have been killed.
        disks: what each of these kills would have left, each disk once.
    """

    outcome: tuple[Any, bytes]
    points: int
    disks: list[Disk]


def run(plan: Plan, left: Disk | None = None) -> Run:
    """Carry a plan out, from the start or from what a kill left."""
    disks: list[Disk] = []
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        disk = disk_of(folder)
        if not disks or without_index(disk) != without_index(disks[-1]):
            disks.append(disk)

    with folder_of(left) as folder:
        outcome = carried_out(plan, folder, point)
    halves = [half for before, after in pairwise(disks) for half in torn(before, after)]
    return Run(outcome, points, [*disks, *halves])


def resumed(plan: Plan, left: Disk) -> tuple[Any, bytes]:
    """What a plan comes to from what a kill left."""
    with folder_of(left) as folder:
        return carried_out(plan, folder)


def without_index(disk: Disk) -> Disk:
    """What counts of a disk: the index of the log is made anew by whoever comes first after a kill."""
    return {name: content for name, content in disk.items() if not name.endswith("-shm")}


@contextmanager
def folder_of(left: Disk | None) -> Iterator[Path]:
    """A new folder, as a kill left it and others then found it."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "folder"
        put_back(left or {}, folder)
        if left:
            bury(folder)
        yield folder


@pytest.mark.timeout(60 + 10 * PLANS)
@settings(max_examples=PLANS, suppress_health_check=list(HealthCheck))
@given(ANY_PLAN)
def test_a_unit_comes_to_the_same_wherever_it_is_killed(plan: Plan) -> None:
    whole = run(plan)
    assert whole.outcome[1] == "".join(step.text for step in plan.steps).encode()
    assert whole.points > len(plan.steps) * 3
    for left in whole.disks:
        assert resumed(plan, left) == whole.outcome


@pytest.mark.timeout(60 + 10 * PLANS)
@settings(max_examples=3 * PLANS, suppress_health_check=list(HealthCheck))
@given(ANY_PLAN, st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=3))
def test_a_unit_comes_to_the_same_if_it_is_killed_again_and_again(plan: Plan, kills: list[float]) -> None:
    going = whole = run(plan)
    for place in kills:
        going = run(plan, going.disks[int(place * len(going.disks))])
        assert going.outcome == whole.outcome


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("place", [0.2, 0.5, 0.7, 0.9])
def test_a_process_that_is_killed_indeed_leaves_what_is_gone_on_from(place: float, tmp_path: Path) -> None:
    going = whole = run(THREE)
    for _ in range(2):
        number = str(int(place * going.points))
        command = [sys.executable, kill_points.__file__, str(tmp_path), json.dumps(attrs.asdict(THREE)), number]
        killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
        assert killed.returncode == -signal.SIGKILL
        going = run(THREE, disk_of(tmp_path))
        assert going.outcome == whole.outcome
        bury(tmp_path)


def test_a_plugin_that_goes_on_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(THREE)
    monkeypatch.setattr(Writer, "cut", lambda self, file, size: os.lseek(file, 0, os.SEEK_END))
    assert any(resumed(THREE, left) != whole.outcome for left in whole.disks)
