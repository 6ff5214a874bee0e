"""Plugins that listen to graphs, and their manager."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins.dag import (
    DAG,
    DAGExecutor,
    DagPlugin,
    DagronPlugin,
    HookContext,
    HookEvent,
    HookRegistry,
    PluginManager,
    dag_plugin,
    dagron_plugin,
    default_manager,
    plugins,
)

PRE_NODE = HookContext(event=HookEvent.PRE_NODE)


class Recorder(DagPlugin):
    """Writes down what happens to it."""

    def __init__(self, name: str = "recorder", log: list[str] | None = None, fails_in: str = "") -> None:
        self._name = name
        self.log = [] if log is None else log
        self.fails_in = fails_in

    @property
    def name(self) -> str:
        return self._name

    def initialize(self, hooks: HookRegistry) -> None:
        hooks.register(HookEvent.PRE_NODE, lambda _: self.log.append(f"{self.name} hears"))
        self._say("initialize")

    def teardown(self) -> None:
        self._say("teardown")

    def _say(self, what: str) -> None:
        if what == self.fails_in:
            raise SystemExit(f"{what} of {self.name}")
        self.log.append(f"{self.name} {what}")


def test_plugins_are_started_in_order_and_stopped_backwards() -> None:
    log: list[str] = []
    manager = PluginManager()
    for name in ("a", "b"):
        manager.register(Recorder(name, log))
    assert manager.plugins == ["a", "b"]
    manager.initialize_all()
    manager.initialize_all()
    manager.hooks.fire(PRE_NODE)
    manager.teardown_all()
    manager.teardown_all()
    manager.hooks.fire(PRE_NODE)
    assert log == ["a initialize", "b initialize", "a hears", "b hears", "b teardown", "a teardown"]
    assert manager.hooks.hook_count() == 0


def test_they_start_again() -> None:
    log: list[str] = []
    manager = PluginManager()
    manager.register(Recorder("a", log))
    for _ in range(2):
        manager.initialize_all()
        manager.teardown_all()
    assert log == ["a initialize", "a teardown"] * 2


def test_one_that_cannot_be_started_is_a_warning_and_leaves_no_callbacks() -> None:
    log: list[str] = []
    manager = PluginManager()
    manager.register(Recorder("bad", log, fails_in="initialize"))
    manager.register(Recorder("good", log))
    with pytest.warns(RuntimeWarning, match="plugin 'bad' cannot be started: SystemExit: initialize of bad"):
        manager.initialize_all()
    manager.hooks.fire(PRE_NODE)
    assert log == ["good initialize", "good hears"]


def test_one_that_fails_in_teardown_is_a_warning_and_the_others_are_stopped() -> None:
    log: list[str] = []
    manager = PluginManager()
    manager.register(Recorder("good", log))
    manager.register(Recorder("bad", log, fails_in="teardown"))
    manager.initialize_all()
    with pytest.warns(RuntimeWarning, match="'bad' failed in teardown"):
        manager.teardown_all()
    assert log[-1] == "good teardown"
    assert manager.hooks.hook_count() == 0


def test_the_same_name_replaces_with_a_warning() -> None:
    log: list[str] = []
    manager = PluginManager()
    first, second = Recorder("same", log), Recorder("same", log)
    manager.register(first)
    manager.initialize_all()
    with pytest.warns(RuntimeWarning, match="'same' is registered again, and replaced"):
        manager.register(second)
    assert log == ["same initialize", "same teardown"]
    manager.initialize_all()
    manager.hooks.fire(PRE_NODE)
    assert log[2:] == ["same initialize", "same hears"]


def test_they_share_hooks_that_exist() -> None:
    hooks = HookRegistry()
    manager = PluginManager(hooks)
    assert manager.hooks is hooks


@pytest.mark.parametrize(
    ("given", "told"), [(Recorder, r"write register\(Recorder\(\)\)"), (object(), "a DagPlugin, found")]
)
def test_what_is_no_plugin(given: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        PluginManager().register(given)


PLUGIN = """
from dagstack_plugins.dag import DagPlugin

class Found(DagPlugin):
    name = "{name}"
    def initialize(self, hooks):
        pass
"""


def test_plugins_of_distributions_are_discovered(install: Callable[..., Path]) -> None:
    install(
        "dag-new", {"one": "dag_new:Found"}, {"dag_new.py": PLUGIN.format(name="new")}, group="dagstack.dag_plugins"
    )
    install("dag-old", {"two": "dag_old:Found"}, {"dag_old.py": PLUGIN.format(name="old")}, group="dagron.plugins")
    install("dag-bad", {"bad": "dag_bad:Found"}, {"dag_bad.py": "raise SystemExit(1)\n"}, group="dagron.plugins")
    manager = PluginManager()
    with pytest.warns(RuntimeWarning, match="entry point bad = dag_bad:Found cannot be loaded: SystemExit: 1"):
        assert manager.discover() == ["new", "old"]
    assert manager.plugins == ["new", "old"]


@pytest.fixture
def fresh_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_default", PluginManager())


@pytest.mark.usefixtures("fresh_manager")
def test_declared_plugins_hear_of_executors_without_hooks() -> None:
    log: list[str] = []

    @dag_plugin
    class Declared(DagPlugin):
        name = "declared"

        def initialize(self, hooks: HookRegistry) -> None:
            log.append("initialize")
            hooks.register(HookEvent.PRE_NODE, lambda ctx: log.append(str(ctx.node_name)))

    assert default_manager().plugins == ["declared"]
    dag = DAG()
    dag.add_node("a")
    assert log == []
    for _ in range(2):
        DAGExecutor(dag).execute({"a": lambda: None})
    DAGExecutor(dag, hooks=HookRegistry()).execute({"a": lambda: None})
    assert log == ["initialize", "a", "a"]
    assert Declared.__name__ == "Declared"


@pytest.mark.usefixtures("fresh_manager")
def test_executors_in_many_threads_start_them_once() -> None:
    log: list[str] = []

    @dag_plugin
    class Slow(Recorder):
        def __init__(self) -> None:
            super().__init__("slow", log)

        def initialize(self, hooks: HookRegistry) -> None:
            time.sleep(0.02)
            super().initialize(hooks)

    dag = DAG()
    dag.add_node("a")
    threads = [threading.Thread(target=lambda: DAGExecutor(dag).execute({"a": lambda: None})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    default_manager().teardown_all()
    assert (log.count("slow initialize"), default_manager().hooks.hook_count()) == (1, 0)
    assert Slow.__name__ == "Slow"


def test_the_names_they_had_first() -> None:
    assert (DagronPlugin, dagron_plugin) == (DagPlugin, dag_plugin)


def test_an_abstract_plugin_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        DagPlugin()  # type: ignore[abstract]
