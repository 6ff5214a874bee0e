"""Kinds with singleton_per_runtime: one of their plugins runs, the others stand by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry, PluginState, PluginUnavailable

READY, STOPPED, REGISTERED = PluginState.READY, PluginState.STOPPED, PluginState.REGISTERED


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def registry(tmp_path: Path) -> PluginRegistry:
    hookspec = {
        "kind": "engine",
        "kind_api_version": "1.0.0",
        "constraints": {"singleton_per_runtime": True},
        "hooks": [{"name": "run", "dispatch": "singleton"}],
    }
    (tmp_path / "v1.yaml").write_text(json.dumps(hookspec))
    registry = PluginRegistry()
    registry.add_hookspecs(tmp_path / "v1.yaml")
    return registry


def add(registry: PluginRegistry, log: list[str], name: str, kind: str = "engine", **fields: Any) -> None:
    class Engine:
        def setup(self) -> None:
            log.append(f"start {name}")
            if fields.get("version") == "broken":
                raise RuntimeError("no fuel")

        def teardown(self) -> None:
            log.append(f"stop {name}")

        def run(self) -> str:
            return name

        def execute(self, args: Any) -> str:
            return name

    registry.register(Engine, {"name": name, "kind": kind, "core_version": ">=0.1", "runtime": "in_process", **fields})


def states(registry: PluginRegistry) -> dict[str, PluginState]:
    return {str(status.name): status.state for status in registry.status()}


async def test_the_first_runs_and_the_others_stand_by(registry: PluginRegistry, log: list[str]) -> None:
    add(registry, log, "a", priority=1)
    add(registry, log, "b")
    async with registry.running():
        assert registry.get_plugin("engine").run() == "a"
        assert states(registry) == {"a": READY, "b": REGISTERED}
        with pytest.raises(PluginUnavailable, match="'a' is active"):
            registry.get_plugin("engine", "b").run()


async def test_one_that_runs_stays_when_a_better_one_comes(registry: PluginRegistry, log: list[str]) -> None:
    add(registry, log, "a")
    async with registry.running():
        add(registry, log, "b", priority=9)
        await registry.setup_all()
        assert registry.get_plugin("engine").run() == "a"
        assert states(registry) == {"a": READY, "b": REGISTERED}


async def test_a_choice_replaces_the_one_that_runs_and_all_that_depends_on_it(
    registry: PluginRegistry, log: list[str]
) -> None:
    add(registry, log, "a", priority=1)
    add(registry, log, "b")
    add(registry, log, "user", kind="tool", depends_on=["a"])
    add(registry, log, "other", kind="tool")
    async with registry.running():
        log.clear()
        registry.set_active("engine", "b")
        await registry.setup_all()
        assert log[:3] == ["stop user", "stop a", "start b"]
        assert registry.get_plugin("engine").run() == "b"
        assert states(registry) == {
            "a": REGISTERED,
            "b": READY,
            "user": PluginState.UNAVAILABLE,
            "other": READY,
        }
        registry.set_active("engine", "a")
        await registry.setup_all()
        assert states(registry) == {"a": READY, "b": REGISTERED, "user": READY, "other": READY}


async def test_a_choice_of_a_plugin_that_was_refused_starts_none_and_stops_none(
    registry: PluginRegistry, log: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "plugins" / "broken"
    broken.mkdir(parents=True)
    manifest = {"name": "broken", "kind": "engine", "core_version": ">=0.1", "runtime": "in_process"}
    (broken / "dagstack.json").write_text(json.dumps({"plugin": manifest}))
    registry.discover(tmp_path / "plugins")
    add(registry, log, "a")
    add(registry, log, "b", priority=1)
    registry.set_active("engine", "broken")
    async with registry.running():
        assert states(registry) == {"a": REGISTERED, "b": REGISTERED, "broken": PluginState.UNAVAILABLE}
        registry.set_active("engine", None)
        await registry.setup_all()
        assert registry.get_plugin("engine").run() == "b"
        registry.set_active("engine", "broken")
        await registry.setup_all()
        assert states(registry)["b"] is READY
        with pytest.raises(PluginUnavailable, match="'broken' of kind 'engine', which set_active names"):
            registry.get_plugin("engine").run()


async def test_a_choice_that_fails_to_start_is_not_replaced(registry: PluginRegistry, log: list[str]) -> None:
    add(registry, log, "a", priority=1)
    add(registry, log, "b", version="broken")
    async with registry.running():
        assert registry.get_plugin("engine").run() == "a"
        registry.set_active("engine", "b")
        await registry.setup_all()
        assert states(registry) == {"a": REGISTERED, "b": PluginState.UNAVAILABLE}
        with pytest.raises(PluginUnavailable, match="no fuel"):
            registry.get_plugin("engine").run()
