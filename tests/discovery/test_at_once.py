"""Plugins that call the registry while they are imported, and threads that register at once."""

from __future__ import annotations

import asyncio
import builtins
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import AmbiguousPlugin, KindUnknown, PluginRegistry, PluginState

WritePlugin = Callable[..., Path]
LoadedModules = Callable[[], set[str]]


def in_threads(*actions: Callable[[], Any]) -> list[Any]:
    """What each action gave or raised; all of them at once, and none may hang."""
    outcomes: list[Any] = [None] * len(actions)
    ready = threading.Barrier(len(actions))

    def run(place: int, action: Callable[[], Any]) -> None:
        ready.wait()
        try:
            outcomes[place] = action()
        except Exception as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=one, daemon=True) for one in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    return outcomes


def test_a_plugin_may_wait_for_a_thread_that_uses_the_registry(
    registry: PluginRegistry, plugin: WritePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "_registry", registry, raising=False)
    folder = plugin(
        "busy",
        """
        import builtins, threading

        class Other:
            def execute(self, args):
                return 1

        manifest = {"name": "other", "kind": "tool", "core_version": ">=0.1", "runtime": "in_process"}
        thread = threading.Thread(target=builtins._registry.register, args=(Other, manifest), daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), "the registry is locked"

        class Busy:
            def execute(self, args):
                return 2
        """,
        entry_point="plugin:Busy",
    )
    assert [manifest.name for manifest in registry.discover(folder)] == ["busy"]
    assert [manifest.name for manifest in registry.list_manifests()] == ["busy", "other"]


def test_a_plugin_that_discovers_its_own_folder_is_registered_once(
    registry: PluginRegistry, plugin: WritePlugin, loaded: LoadedModules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "_registry", registry, raising=False)
    code = """
        import builtins
        from pathlib import Path
        found = builtins._registry.discover(Path(__file__).parent.parent)

        class Narcissus:
            def execute(self, args):
                return [manifest.name for manifest in found]
        """
    root = plugin("narcissus", code).parent
    plugin("other")
    assert [manifest.name for manifest in registry.discover(root)] == ["narcissus"]
    assert [manifest.name for manifest in registry.list_manifests()] == ["narcissus", "other"]
    assert {name.split(".")[2] for name in loaded()} == {"narcissus", "other"}
    with registry.running():
        assert registry.get_plugin("tool", "narcissus").execute() == ["other"]


def test_a_plugin_that_takes_its_own_name_first_is_ambiguous(
    registry: PluginRegistry, plugin: WritePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "_registry", registry, raising=False)
    folder = plugin(
        "twin",
        """
        import builtins

        class Twin:
            def execute(self, args):
                return 1

        builtins._registry.register(
            Twin, {"name": "twin", "kind": "tool", "core_version": ">=0.1", "runtime": "in_process"}
        )
        """,
    )
    with pytest.raises(AmbiguousPlugin, match="twin"):
        registry.discover(folder)
    assert sorted(status.state for status in registry.status()) == [PluginState.REGISTERED, PluginState.UNAVAILABLE]


def test_threads_that_discover_the_same_folders_register_each_plugin_once(
    registry: PluginRegistry, plugin: WritePlugin, loaded: LoadedModules
) -> None:
    names = [f"p{number}" for number in range(12)]
    for name in names:
        root = plugin(name).parent
    found = in_threads(*[lambda: registry.discover(root)] * 4)
    assert sorted(manifest.name for manifests in found for manifest in manifests) == sorted(names)
    assert sorted(manifest.name for manifest in registry.list_manifests()) == sorted(names)
    assert len({name.split(".")[2] for name in loaded()}) == len(names)


def test_of_threads_that_register_one_name_one_wins(registry: PluginRegistry, manifest: Any) -> None:
    class Slow:
        def __init__(self) -> None:
            threading.Event().wait(0.01)

        def execute(self, args: Any) -> Any:
            return 1

    outcomes = in_threads(*[lambda: registry.register(Slow, manifest("one"))] * 6)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AmbiguousPlugin"] * 5 + ["PluginManifest"]
    assert len(registry.list_manifests()) == 1


def test_plugins_find_a_kind_that_is_added_while_they_load(
    registry: PluginRegistry, plugin: WritePlugin, kind: Any
) -> None:
    file = kind("later")
    for number in range(20):
        root = plugin(f"p{number}", "class P:\n    def greet(self, payload):\n        return 1", kind="later").parent
    in_threads(lambda: registry.discover(root), lambda: registry.add_hookspecs(file))
    assert len(registry.list_manifests()) == 20
    assert registry.unavailable_plugins() == registry.status()  # none is refused, none started
    assert {status.state for status in registry.status()} == {PluginState.REGISTERED}


async def test_threads_that_register_and_unregister_lose_nothing(registry: PluginRegistry, manifest: Any) -> None:
    class Plain:
        def execute(self, args: Any) -> Any:
            return 1

    def come_and_go(thread: int) -> None:
        for number in range(30):
            name = f"t{thread}_{number}"
            registry.register(Plain, manifest(name))
            if number % 3:
                asyncio.run_coroutine_threadsafe(registry.unregister("tool", name), loop).result(20)

    async def start_again_and_again() -> None:
        while not done.is_set():
            await registry.setup_all()
            registry.status()
            await asyncio.sleep(0)

    loop, done = asyncio.get_running_loop(), asyncio.Event()
    starting = asyncio.create_task(start_again_and_again())
    outcomes = await asyncio.to_thread(in_threads, *[lambda thread=thread: come_and_go(thread) for thread in range(4)])
    done.set()
    await starting
    assert outcomes == [None] * 4
    expected = {f"t{thread}_{number}" for thread, number in itertools.product(range(4), range(0, 30, 3))}
    assert {status.name for status in registry.status()} == expected
    await registry.teardown_all()


@pytest.mark.parametrize("wrong", [5, None, [], b"tool"])
def test_a_kind_that_is_no_name_is_unknown(registry: PluginRegistry, wrong: Any) -> None:
    for ask in (registry.kind, registry.slot, registry.types, registry.get_plugin, registry.plugin_manager):
        with pytest.raises(KindUnknown, match="known are"):
            ask(wrong)
