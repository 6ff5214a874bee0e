"""Hooks of plugins as tasks."""

from __future__ import annotations

from typing import Any

import pytest

from dagstack_plugins import HookUnknown, KindUnknown, PayloadInvalid, PluginRegistry, PluginUnavailable
from dagstack_plugins.dag import DAG, DAGExecutor, ExecutionResult, plugin_task


class Upper:
    def execute(self, args: dict[str, Any]) -> Any:
        return args["text"].upper()


class Later:
    async def execute(self, args: dict[str, Any]) -> Any:
        return sorted(args)


@pytest.fixture
def registry() -> PluginRegistry:
    made = PluginRegistry()
    for name, cls in (("upper", Upper), ("later", Later)):
        made.register(cls, {"name": name, "kind": "tool", "runtime": "in_process", "core_version": ">=0"})
    return made


def run(registry: PluginRegistry, **settings: Any) -> ExecutionResult:
    """A node ``word``, then one that runs a plugin."""
    dag = DAG()
    dag.add_nodes(["word", "plugin"])
    dag.add_edge("word", "plugin")
    task = plugin_task(registry, "tool", "execute", **settings)
    with registry.running():
        return DAGExecutor(dag).execute({"word": lambda: "hello", "plugin": task})


def test_the_payload_is_made_of_results(registry: PluginRegistry) -> None:
    assert run(registry, name="upper", payload=lambda word: {"text": word})["plugin"] == "HELLO"
    assert run(registry, name="later", payload=lambda **results: results)["plugin"] == ["word"]


def test_it_is_given_or_empty(registry: PluginRegistry) -> None:
    assert run(registry, name="upper", payload={"text": "fixed"})["plugin"] == "FIXED"
    assert run(registry, name="later")["plugin"] == []


async def test_on_the_loop_that_plugins_live_on(registry: PluginRegistry) -> None:
    dag = DAG()
    dag.add_nodes(["a", "b"])
    tasks = {
        "a": plugin_task(registry, "tool", "execute", name="later", payload={"x": 1}),
        "b": plugin_task(registry, "tool", "execute", name="upper", payload={"text": "b"}),
    }
    async with registry.running():
        result = await DAGExecutor(dag).aexecute(tasks)
    assert (result["a"], result["b"]) == (["x"], "B")


def test_what_a_plugin_raises_is_the_failure_of_its_node(registry: PluginRegistry) -> None:
    result = run(registry, name="upper")
    assert isinstance(result.error, KeyError)
    assert "'upper'" in result.error.__notes__[0]
    assert isinstance(run(registry, name="uper").error, PluginUnavailable)
    assert isinstance(run(registry, name="upper", payload=lambda word: [word]).error, PayloadInvalid)


def test_it_goes_by_its_dispatch_class_without_a_name() -> None:
    registry = PluginRegistry()

    class Chunks:
        def chunk(self, text: str) -> Any:
            return [{"text": text, "offset": 0}]

    manifest = {"name": "chunks", "kind": "chunker", "runtime": "in_process", "core_version": ">=0", "fallback": True}
    registry.register(Chunks, manifest)
    dag = DAG()
    dag.add_node("a")
    with registry.running():
        task = plugin_task(registry, "chunker", "chunk", payload={"text": "x", "max_size": 5})
        result = DAGExecutor(dag).execute({"a": task})
    assert result.ok, result.error


def test_what_there_is_not_is_told_at_once(registry: PluginRegistry) -> None:
    with pytest.raises(KindUnknown, match="did you mean 'tool'"):
        plugin_task(registry, "tol", "execute")
    with pytest.raises(HookUnknown, match="did you mean 'execute'"):
        plugin_task(registry, "tool", "exceute")
