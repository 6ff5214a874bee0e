"""A unit that writes a file, and what is on the disk at each point at which its process may be killed.

What a killed process leaves is what its files hold at that moment, no more: what they hold at a point is what a kill at
that point leaves. ``kill_points.py FOLDER PLAN NUMBER`` is killed indeed, at the point of that number.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry
from dagstack_plugins.units.journal import Journal

UNITS, OUTPUT = "units.db", "output"
_KEY = "the only one"
_HEART = "dagstack-plugins-units"
"""The thread that works on no unit, and goes on beside the one that does."""

Disk = Mapping[str, bytes]
"""The files of a folder, by their names."""


@attrs.frozen
class Step:
    """What a unit does at once.

    Attributes:
        text: is written to the file.
        saves: whether a checkpoint follows.
    """

    text: str
    saves: bool


@attrs.frozen
class Plan:
    """What a unit does.

    Attributes:
        steps: one after the other.
        is_keyed: whether each checkpoint has a key of its own.
    """

    steps: tuple[Step, ...]
    is_keyed: bool = False


class Writer:
    """Carries a plan out: it writes to a file, and sums up what it wrote.

    Args:
        plan: the plan.
        output: the file.
        point: called wherever a kill makes a difference.
    """

    def __init__(self, plan: Plan, output: Path, point: Callable[[], None]) -> None:
        self.plan = plan
        self.output = output
        self.point = point

    def execute(self, args: Any, ctx: Any) -> Any:
        state = self._loaded(ctx)
        file = os.open(self.output, os.O_RDWR | os.O_CREAT)
        try:
            self.cut(file, state["size"])
            for number in range(state["step"], len(self.plan.steps)):
                self._do(number, state, file, ctx)
        finally:
            os.close(file)
        return state

    def cut(self, file: int, size: int) -> None:
        """What was written after the checkpoint is written again."""
        os.truncate(file, size)
        os.lseek(file, 0, os.SEEK_END)

    def _do(self, number: int, state: dict[str, Any], file: int, ctx: Any) -> None:
        step = self.plan.steps[number]
        data = step.text.encode()
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            self.point()
            os.write(file, part)
        state["step"], state["size"] = number + 1, state["size"] + len(data)
        state["sum"] = (31 * state["sum"] + sum(data) + number) % 1_000_003
        self.point()
        if step.saves:
            ctx.checkpoint.save(f"{number:03}" if self.plan.is_keyed else "state", state)
            self.point()

    def _loaded(self, ctx: Any) -> dict[str, Any]:
        keys = ctx.checkpoint.list()
        return ctx.checkpoint.load(keys[-1])[0] if keys else {"step": 0, "size": 0, "sum": 0}


def carried_out(plan: Plan, folder: Path, point: Callable[[], None] = lambda: None) -> tuple[Any, bytes]:
    """Hand the unit in, unless it was, and do it, or go on with it.

    Args:
        plan: what it does.
        folder: where its file and its queue are.
        point: called wherever a kill makes a difference: between its writes, and before each statement of SQL.

    Returns:
        What it came to, and what is in its file.
    """
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    unit = {"declared": True, "checkpointable": True}
    manifest = {"name": "writer", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1", "version": "1.0"}
    registry.register(Writer(plan, folder / OUTPUT, point), {**manifest, "unit_of_work": unit})
    config = {"path": str(folder / UNITS), "workers": 1, "lease_sec": 3600}
    with _told_of_statements(point), registry.running(PluginContext({"orchestrator": {"local": config}})):
        handed_in = registry.units.submit("tool", "writer", "execute", idempotency_key=_KEY)
        result = registry.units.wait(handed_in.unit_id, 60)
        (only,) = registry.units.list()
        assert (only.unit_id, only.state) == (handed_in.unit_id, "succeeded")
    return result, (folder / OUTPUT).read_bytes()


def bury(folder: Path) -> None:
    """Take all who worked there for dead, as others do after a while."""
    journal = Journal(folder / UNITS)
    for crew in journal.crews():
        journal.bury(crew, 1000)
    journal.close()


def disk_of(folder: Path) -> Disk:
    """What the files in a folder hold now."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def put_back(disk: Disk, folder: Path) -> None:
    """Make a folder that holds what another one held."""
    folder.mkdir()
    for name, content in disk.items():
        (folder / name).write_bytes(content)


def torn(before: Disk, after: Disk) -> Iterator[Disk]:
    """What a kill in the middle of a commit leaves: a log of which the end is not written yet.

    SQLite writes a frame's header and its page one after the other, and nothing but the log in a commit.
    """
    log = f"{UNITS}-wal"
    begin, end = len(before.get(log, b"")), len(after.get(log, b""))
    if end > begin and after[log].startswith(before.get(log, b"")):
        for cut in (begin + 1000, end - 1):
            yield {**after, log: after[log][:cut]}


@contextmanager
def _told_of_statements(point: Callable[[], None]) -> Iterator[None]:
    """Inside, a point is before each statement of who makes the file, hands in, works, and ends."""
    connect = sqlite3.connect

    def told(_: str) -> None:
        if threading.current_thread().name != _HEART:
            point()

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **named)
        connection.set_trace_callback(told)
        return connection

    sqlite3.connect = connected  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = connect


def main() -> None:
    folder, plan, number = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    left = [number]

    def point() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    carried_out(Plan(tuple(Step(**step) for step in plan["steps"]), plan["is_keyed"]), folder, point)


if __name__ == "__main__":
    main()
