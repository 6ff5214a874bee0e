"""What a unit of work costs, beside a bare SQLite loop that does the same transactions."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry
from dagstack_plugins.units.journal import Journal
from dagstack_plugins.units.records import Wanted

UNITS = 200
"""At once, of which the time of one is a part."""


class Nothing:
    def execute(self, args: Any) -> Any:
        return None


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[PluginRegistry]:
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    manifest = {"name": "nothing", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
    registry.register(Nothing, {**manifest, "unit_of_work": {"declared": True}})
    config = {"orchestrator": {"local": {"path": str(tmp_path / "units.db"), "workers": 1}}}
    with registry.running(PluginContext(config)):
        yield registry


class Bare:
    """Queue, take and finish, each in a transaction of its own, as durable as ours."""

    def __init__(self, file: Path) -> None:
        self._file = sqlite3.connect(file, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE units (number INTEGER PRIMARY KEY, id TEXT UNIQUE, args TEXT, state TEXT, result TEXT)",
            "CREATE INDEX queued ON units (number) WHERE state = 'queued'",
        ):
            self._file.execute(statement)

    def _transaction(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        self._file.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            self._file.execute(statement, values)
        self._file.execute("COMMIT")

    def run(self) -> None:
        add = "INSERT INTO units (id, args, state) VALUES (?, '{}', 'queued')"
        for _ in range(UNITS):
            self._transaction((add, (uuid.uuid4().hex,)))
        for _ in range(UNITS):
            query = "SELECT number FROM units WHERE state = 'queued' ORDER BY number LIMIT 1"
            number = self._file.execute(query).fetchone()
            self._transaction(("UPDATE units SET state = 'running' WHERE number = ?", number))
            self._transaction(("UPDATE units SET state = 'succeeded', result = 'null' WHERE number = ?", number))


def test_trivial_units(beside: Any, registry: PluginRegistry, tmp_path: Path) -> None:
    units = registry.units

    def ours() -> None:
        last = [units.submit("tool", "nothing", "execute").unit_id for _ in range(UNITS)][-1]
        units.wait(last)  # one worker does them in order

    beside(
        f"{UNITS} trivial units, submitted, done and waited for",
        ours,
        "a bare SQLite loop with the same three transactions",
        Bare(tmp_path / "bare.db").run,
        at_most=1 / 0.7,
        rounds=10,
    )


def queue(file: Path, count: int) -> Callable[[], None]:
    """Take the next of so many, and finish it; another comes in its place."""
    journal = Journal(file)
    journal.beat("crew")
    wanted = Wanted("tool", "nothing", "execute", "{}", "1")
    with journal.changing():
        for number in range(count):
            journal.add(Wanted("tool", "nothing", "execute", "{}", "1", part=str(number % 100) if number % 2 else None))

    def one() -> None:
        with journal.changing():
            lease = journal.take("crew")
            assert lease is not None
            journal.succeed(lease, "null")
            journal.add(wanted)

    return one


def test_the_next_one_of_many(beside: Any, tmp_path: Path) -> None:
    many, few = queue(tmp_path / "many.db", 100_000), queue(tmp_path / "few.db", 1_000)
    beside("the next of 100,000 units that wait", many, "the next of 1,000", few, at_most=1.3)
