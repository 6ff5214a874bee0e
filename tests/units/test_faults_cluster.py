"""Units on a cluster survive what happens to hosts, workers and Redis.

FAULT_UNITS=1000 FAULT_SECONDS=60 asks for all of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.units.faults.cluster import CelerySetup, redis_restarted
from tests.units.faults.plan import Plan
from tests.units.faults.scenarios import SCENARIOS, Scenario, everything

UNITS = int(os.environ.get("FAULT_UNITS", "60"))
SECONDS = float(os.environ.get("FAULT_SECONDS", "6"))
PLAN = Plan(UNITS, SECONDS, workers=2 if UNITS < 1000 else 4, threads=2)
CHOSEN = (everything, redis_restarted) if UNITS < 1000 else (*SCENARIOS, redis_restarted)


@pytest.mark.skipif(sys.platform != "linux", reason="needs POSIX signals, and limits for other processes")
@pytest.mark.timeout(3 * SECONDS + 200)
@pytest.mark.parametrize("scenario", CHOSEN, ids=lambda scenario: scenario.__name__)
def test_units_end_once_in_order_and_redo_one_step_at_most(scenario: Scenario, tmp_path: Path) -> None:
    counts = scenario(CelerySetup(tmp_path), PLAN)
    sys.stdout.write(f"\n{scenario.__name__}\n{counts}\n")
    assert not counts.wrong, f"{scenario.__name__}\n{counts}"
    assert counts.full_ends == 0, f"the disk was never full\n{counts}"
