"""What happens to deployments while units are worked on, and what must be true of the units afterwards.

Each scenario is a function of a setup and a plan; it tells what it counted, and what it found wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import attrs

from tests.units.faults.counts import Counts, counted
from tests.units.faults.plan import Plan
from tests.units.faults.setups import Setup
from tests.units.faults.stage import Stage
from tests.units.faults.watch import Watch

Scenario = Callable[[Setup, Plan], Counts]
Fault = Callable[[Stage], None]
"""Makes things fail while ``stage.lasts``."""
_PATIENCE: Final = 60.0
"""Seconds after the last fault, in which all must have ended, beside those that the faults took."""
_SETTLING: Final = 0.5
"""Seconds in which nothing may change any more."""
_HOST_KILLS: Final = 8
_FARTHEST: Final = 8.0
"""Hours by which a clock is wrong."""


def workers_killed(setup: Setup, plan: Plan) -> Counts:
    """All units are handed in; a worker is killed each second."""
    return ordeal(setup, plan, kill_workers)


def host_killed(setup: Setup, plan: Plan) -> Counts:
    """The host is killed again and again while it hands units in."""
    return ordeal(setup, _patient(_spread(plan)), host_kills=_HOST_KILLS)


def disk_full(setup: Setup, plan: Plan) -> Counts:
    """The disk is full for a while, for the host, too."""
    return ordeal(setup, _spread(plan), fill_disk, mend)


def clocks_moved(setup: Setup, plan: Plan) -> Counts:
    """The clocks of workers and host are set, by hours, forward and back."""
    return ordeal(setup, _patient(_spread(plan)), move_clocks)


def everything(setup: Setup, plan: Plan) -> Counts:
    """All of that at once."""
    faults = kill_workers, fill_disk, move_clocks, mend
    return ordeal(setup, _spread(plan), *faults, host_kills=_HOST_KILLS)


SCENARIOS: Final = (workers_killed, host_killed, disk_full, clocks_moved, everything)
"""For each setup."""


def ordeal(setup: Setup, plan: Plan, *faults: Fault, host_kills: int = 0) -> Counts:
    """Carry a plan out while things fail.

    Args:
        setup: the deployment.
        plan: what is to be done, and for how long things fail.
        faults: what fails.
        host_kills: how often the host is killed that hands units in.
    """
    plan.write(setup.folder)
    began = time.monotonic()
    with setup.running(plan), setup.host() as registry:
        watch, watched = Watch(registry, setup.folder), threading.Event()
        with Stage(setup, plan, watch, plan.seconds + 2 * _PATIENCE) as stage, ThreadPoolExecutor() as threads:
            looking = threads.submit(watch.until, watched)
            try:
                handing_in = threads.submit(stage.hand_in, host_kills)
                _await_ends(watch, 1, looking)  # from here on there is something that can fail
                failing = [threads.submit(fault, stage) for fault in faults]
                stage.over.wait(plan.seconds)
                stage.over.set()
                for one in (*failing, handing_in):
                    one.result()
                _await_ends(watch, plan.units, looking, plan.seconds)
                time.sleep(_SETTLING)
            finally:
                stage.over.set()
                watched.set()
            looking.result()
        return counted(stage, time.monotonic() - began)


def _await_ends(watch: Watch, units: int, looking: Future[None], seconds: float = 0.0) -> None:
    """Until so many units have ended, or somebody has lost patience."""
    end = time.monotonic() + seconds + _PATIENCE
    while len(watch.ends) < units and time.monotonic() < end and looking.running():
        time.sleep(0.05)


# Faults


def kill_workers(stage: Stage) -> None:
    """A worker each second, or more often if all of it is short."""
    while stage.lasts(min(1.0, stage.plan.seconds / 5)):
        stage.kill_worker()


def mend(stage: Stage) -> None:
    """No fault, but what starts workers anew that end by themselves, as those that find no room on the disk may."""
    while stage.lasts(0.1):
        stage.mend()
    stage.mend()


def fill_disk(stage: Stage) -> None:
    """Full for a part of the time."""
    if stage.lasts(0.3 * stage.plan.seconds):
        stage.fill_disk()
        stage.lasts(0.1)
        before = len(stage.watch.ends)
        stage.lasts(0.3 * stage.plan.seconds)
        stage.full_ends = len(stage.watch.ends) - before
        stage.free_disk()


def move_clocks(stage: Stage) -> None:
    """Now these, now those, forward and back; in the end somebody sets them right."""
    while stage.lasts(stage.plan.seconds / 20):
        stage.move_clocks(_FARTHEST)
    stage.set_clocks_right()


def _spread(plan: Plan) -> Plan:
    """Handing in takes as long as the faults, so that they hit it."""
    return attrs.evolve(plan, within=plan.seconds)


def _patient(plan: Plan) -> Plan:
    """No worker is killed, so none may be taken for dead, however busy the machine is."""
    return attrs.evolve(plan, lease=20.0)
