"""Our own stores and our own orchestrator do what is asked of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    FileCheckpoints,
    LocalOrchestrator,
    MemoryCheckpoints,
    PluginContext,
    PluginRegistry,
    SqliteCheckpoints,
)
from dagstack_plugins.conformance import CheckpointStoreConformance, OrchestratorConformance


class TestMemoryCheckpoints(CheckpointStoreConformance):
    is_kept = False

    def make_store(self, folder: Path) -> MemoryCheckpoints:
        return MemoryCheckpoints()


class TestFileCheckpoints(CheckpointStoreConformance):
    def make_store(self, folder: Path) -> FileCheckpoints:
        return FileCheckpoints(folder / "checkpoints")


class TestSqliteCheckpoints(CheckpointStoreConformance):
    @pytest.fixture(autouse=True)
    def closed(self) -> Iterator[None]:
        self.stores: list[SqliteCheckpoints] = []
        yield
        for store in self.stores:
            store.close()

    def make_store(self, folder: Path) -> SqliteCheckpoints:
        self.stores.append(SqliteCheckpoints(folder / "checkpoints.db"))
        return self.stores[-1]


class TestLocalOrchestrator(OrchestratorConformance):
    @contextmanager
    def running(self, folder: Path) -> Iterator[PluginRegistry]:
        registry = PluginRegistry()
        registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
        registry.discover(folder / "plugins")
        config: dict[str, Any] = {"path": str(folder / "units.db"), "backoff_sec": 0.01}
        with registry.running(PluginContext({"orchestrator": {"local": config}})):
            yield registry


class Forgetful(MemoryCheckpoints):
    """Looks like a store, and saves whatever is expected."""

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        return super().save(scope, key, state)


def test_a_store_that_does_not_compare_is_found_out(tmp_path: Path) -> None:
    class Suite(CheckpointStoreConformance):
        is_kept = False

        def make_store(self, folder: Path) -> Forgetful:
            return Forgetful()

    Suite().test_what_is_saved_is_read_at_once(tmp_path)
    with pytest.raises(AssertionError, match="version 1 was there, 0 was expected, and it was saved all the same"):
        Suite().test_a_state_is_saved_only_over_the_version_expected(tmp_path)


def test_who_says_nothing_is_told_what_to_say(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="def make_store"):
        CheckpointStoreConformance().test_a_state_is_a_copy(tmp_path)
    with pytest.raises(NotImplementedError, match="def running"):
        OrchestratorConformance().test_unknown_units_are_told(tmp_path)
