"""What only the registry as a whole can get wrong."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import KindUnknown, PluginError, PluginRegistry, PluginUnavailable


def manifest(name: str) -> dict[str, str]:
    return {"name": name, "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}


class Tool:
    def execute(self, args: Any) -> Any:
        return args


async def test_a_plugin_unregistered_while_it_starts_is_torn_down() -> None:
    seen: list[str] = []
    starting, go = asyncio.Event(), asyncio.Event()

    class Slow(Tool):
        async def setup(self) -> None:
            starting.set()
            await go.wait()
            seen.append("started")

        def teardown(self) -> None:
            seen.append("stopped")

    registry = PluginRegistry()
    registry.register(Slow, manifest("slow"))
    setup = asyncio.create_task(registry.setup_all())
    await starting.wait()
    unregister = asyncio.create_task(registry.unregister("tool", "slow"))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(setup, unregister)
    assert seen == ["started", "stopped"]
    assert registry.status() == []


async def test_two_may_unregister_the_same_plugin() -> None:
    class Slow(Tool):
        async def teardown(self) -> None:
            await asyncio.sleep(0.01)

    registry = PluginRegistry()
    registry.register(Slow, manifest("slow"))
    await registry.setup_all()
    await asyncio.gather(registry.unregister("tool", "slow"), registry.unregister("tool", "slow"))
    assert registry.status() == []


async def test_a_waiting_plugin_can_be_unregistered(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("class Plugin: ...")
    (tmp_path / "dagstack.toml").write_text(
        '[plugin]\nname = "p"\nkind = "unheard_of"\nruntime = "in_process"\ncore_version = ">=0.1"\n'
    )
    registry = PluginRegistry()
    registry.discover(tmp_path)
    await registry.unregister("unheard_of", "p")
    assert registry.status() == []


def test_metadata_may_have_any_name() -> None:
    registry = PluginRegistry()
    with registry.metadata(self=1, values=2) as bound:
        assert dict(bound) == {"self": 1, "values": 2}


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class UnspeakableExit(SystemExit):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("error", [Unspeakable, UnspeakableExit])
@pytest.mark.parametrize("is_async", [False, True])
async def test_errors_that_cannot_be_shown_stop_nobody(error: type[BaseException], is_async: bool) -> None:
    class Sync(Tool):
        def setup(self) -> None:
            raise error

    class Async(Tool):
        async def setup(self) -> None:
            raise error

    registry = PluginRegistry()
    registry.register(Async if is_async else Sync, manifest("broken"))
    registry.register(Tool, manifest("fine"))
    await registry.setup_all()
    assert [(one.name, one.state) for one in registry.status()] == [("broken", "unavailable"), ("fine", "ready")]
    await registry.teardown_all()


@pytest.mark.parametrize(("error", "told"), [(Unspeakable, Unspeakable), (UnspeakableExit, PluginError)])
def test_errors_that_cannot_be_shown_reach_the_caller(error: type[BaseException], told: type[Exception]) -> None:
    class Broken(Tool):
        def execute(self, args: Any) -> Any:
            raise error

    registry = PluginRegistry()
    registry.register(Broken, manifest("broken"))
    with registry.running(), pytest.raises(told):
        registry.get_plugin("tool", "broken").execute()


def test_a_path_that_was_not_there_was_not_looked_in(tmp_path: Path) -> None:
    registry = PluginRegistry()
    with pytest.raises(FileNotFoundError):
        registry.discover(tmp_path / "missing")
    with pytest.raises(KindUnknown) as caught:
        registry.get_plugin("tool")
    assert "missing" not in str(caught.value)


def test_one_runtime_is_no_list_of_runtimes() -> None:
    with pytest.raises(TypeError, match=r"\['in_process'\]"):
        PluginRegistry(runtimes="in_process")


def test_dropping_a_registry_of_many_forgets_all_their_modules(tmp_path: Path) -> None:
    for number in range(50):
        folder = tmp_path / f"p{number}"
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "deep.py").write_text("VALUE = 1\n")
        (folder / "plugin.py").write_text(
            "from .inner.deep import VALUE\nclass Plugin:\n    def execute(self, args): return VALUE\n"
        )
        (folder / "dagstack.toml").write_text(
            f'[plugin]\nname = "p{number}"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'
        )
    before = set(sys.modules)
    registry = PluginRegistry()
    assert len(registry.discover(tmp_path)) == 50
    assert len({name for name in set(sys.modules) - before if name.endswith(".inner.deep")}) == 50
    del registry
    gc.collect()
    assert {name for name in set(sys.modules) - before if name.startswith("dagstack._discovered.")} == set()


def test_a_name_that_is_not_there_may_be_one_that_was_refused(tmp_path: Path) -> None:
    for name, text in {
        "broken": "[plugn]",
        "elsewhere": '[plugin]\nname = "elsewhere"\nkind = "tol"\nruntime = "in_process"\ncore_version = ">=0.1"\n',
        "empty": '[plugin]\nname = "empty"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n',
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "dagstack.toml").write_text(text)
    registry = PluginRegistry()
    registry.discover(tmp_path)
    registry.register(Tool, manifest("good"))
    with pytest.raises(PluginUnavailable, match=r"it has: good; refused, see registry\.status\(\): empty\n") as caught:
        registry.get_plugin("tool", "elsewhere")
    (note,) = caught.value.__notes__
    assert str(tmp_path / "broken") in note
    assert str(tmp_path / "elsewhere") in note
    assert str(tmp_path / "empty") not in note
