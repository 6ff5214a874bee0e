"""Units outlive those who work on them: processes that are killed, stopped, or find the disk full."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
PROGRAM = Path(__file__).parent / "program.py"
KILLS = int(os.environ.get("KILLS", "6"))
"""How many workers are killed; the more, the longer."""


class Doer:
    def execute(self, args: Any) -> Any:
        raise AssertionError("the host of the tests works on nothing")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[PluginRegistry]:
    """A host that hands units in, and works on none."""
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    unit = {"declared": True, "partition_key": "part", "checkpointable": True}
    registry.register(
        Doer, {"name": "doer", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1", "unit_of_work": unit}
    )
    config = {"path": str(tmp_path / "units.db"), "workers": 0, "lease_sec": 1, "max_losses": 1000}
    with registry.running(PluginContext({"orchestrator": {"local": config}})):
        yield registry


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that works: ``worker(seconds a step)``."""
    running: list[subprocess.Popen[str]] = []

    def start(pause: float = 0.0, **given: Any) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), str(tmp_path / "units.db"), str(tmp_path / "log"), str(pause)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **given)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def submit(registry: PluginRegistry, name: str, count: int, **args: Any) -> str:
    return registry.units.submit("tool", "doer", "execute", {"name": name, "count": count, **args}).unit_id


def letters(count: int) -> str:
    return "".join(chr(ord("a") + step % 26) for step in range(count))


def lines(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_units_of_killed_workers_end_once_in_order_and_redo_one_step_at_most(
    registry: PluginRegistry, worker: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    units = {
        f"{part}{number}": submit(registry, f"{part}{number}", 8, part=part) for number in range(3) for part in "abcdef"
    }
    workers = [worker(0.01), worker(0.01)]
    chance = random.Random(7)
    killed = 0
    while killed < KILLS:
        time.sleep(chance.uniform(0.05, 0.3))
        place = chance.randrange(2)
        workers[place].send_signal(signal.SIGKILL)
        killed += 1
        workers[place] = worker(0.01)
    assert [registry.units.wait(unit, 60) for unit in units.values()] == [letters(8)] * len(units)
    told = lines(tmp_path)
    for name in units:
        steps = [line.split()[1] for line in told if line.split()[0] == name]
        assert [step for place, step in enumerate(steps) if step not in steps[:place]] == [*map(str, range(8)), "end"]
        # Twice is what was killed between the step and its checkpoint, or the end and its being written down.
        assert len(steps) - 9 <= registry.units.status(units[name]).attempts - 1
    for part in "abcdef":
        first = {name: told.index(f"{name} 0") for name in units if name[0] == part}
        last = {name: len(told) - told[::-1].index(f"{name} end") for name in units if name[0] == part}
        assert last[f"{part}0"] <= first[f"{part}1"]
        assert last[f"{part}1"] <= first[f"{part}2"]


@pytest.mark.parametrize("kill_at", range(5))
def test_a_resumed_unit_comes_to_what_an_uninterrupted_one_does(
    registry: PluginRegistry, worker: Callable[..., subprocess.Popen[str]], tmp_path: Path, kill_at: int
) -> None:
    unit = submit(registry, "one", 5)
    process = worker(0.1)
    until(lambda: f"one {kill_at}" in lines(tmp_path))
    process.send_signal(signal.SIGKILL)
    worker()
    assert registry.units.wait(unit, 20) == letters(5)


def test_a_worker_that_was_stopped_and_comes_back_changes_nothing(
    registry: PluginRegistry, worker: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    unit = submit(registry, "one", 40)
    sleeper = worker(0.05)
    until(lambda: "one 3" in lines(tmp_path))
    sleeper.send_signal(signal.SIGSTOP)
    worker()
    assert registry.units.wait(unit, 20) == letters(40)
    finished = registry.units.status(unit).finished_at
    sleeper.send_signal(signal.SIGCONT)
    other = submit(registry, "two", 2)
    assert registry.units.wait(other, 20) == letters(2)
    time.sleep(0.5)
    assert registry.units.status(unit).finished_at == finished
    assert lines(tmp_path).count("one end") == 1


def test_a_worker_that_is_asked_to_end_gives_back_what_it_has(
    registry: PluginRegistry, worker: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    unit = submit(registry, "one", 40)
    process = worker(0.05)
    until(lambda: "one 3" in lines(tmp_path))
    process.communicate(timeout=10)  # its input is closed
    assert process.returncode == 0
    assert registry.units.status(unit).state == "queued"
    worker()
    assert registry.units.wait(unit, 20) == letters(40)
    assert lines(tmp_path).count("one 3") == 1


def test_a_full_disk_loses_nothing(
    registry: PluginRegistry, worker: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    units = [submit(registry, f"u{number}", 2) for number in range(30)]
    room = (tmp_path / "units.db-wal").stat().st_size + 40_000
    process = worker(0.01, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY)))
    time.sleep(1.5)
    states = {registry.units.status(unit).state for unit in units}
    assert states & {"queued", "running"}, "the disk was never full"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert [registry.units.wait(unit, 30) for unit in units] == [letters(2)] * 30


def test_a_worker_that_begins_on_a_full_disk_works_once_there_is_room(
    registry: PluginRegistry, worker: Callable[..., subprocess.Popen[str]]
) -> None:
    unit = submit(registry, "one", 2)
    process = worker(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)))
    time.sleep(0.5)
    assert registry.units.status(unit).state == "queued"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert registry.units.wait(unit, 20) == letters(2)
