"""Plugins of kind ``dag_listener`` hear what callbacks hear, in one order with them."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import PluginRegistry
from dagstack_plugins.dag import DAG, DAGBuilder, DAGExecutor, HookContext, HookEvent, HookRegistry

PRE_NODE = HookContext(event=HookEvent.PRE_NODE, node_name="extract")


def manifest(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "kind": "dag_listener", "runtime": "in_process", "core_version": ">=0", **fields}


class Hears:
    """Hears all events."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def take(self, payload: Any) -> None:
        self.heard.append(payload.to_dict())

    pre_build = post_build = pre_execute = post_execute = pre_node = post_node = on_error = take


def test_the_events_of_a_run_as_json() -> None:
    registry, hears = PluginRegistry(), Hears()
    registry.register(hears, manifest("hears"))
    hooks = HookRegistry(registry)
    with registry.running():
        dag = DAGBuilder(hooks).add_node("a", colour="red").add_nodes(["b", "c"]).add_edge("a", "b").build()
        executor = DAGExecutor(dag, hooks=hooks, fail_fast=False)
        result = executor.execute({"a": lambda: 1, "b": lambda: 1 / 0, "c": lambda: object()})
    events = [(one["event"], one["node"], one["status"]) for one in hears.heard]
    assert events[:3] == [("pre_build", None, None), ("post_build", None, None), ("pre_execute", None, None)]
    assert events[-1] == ("post_execute", None, "failed")
    assert sorted(events[3:-1], key=str) == sorted(
        [
            *(
                (event, node, status)
                for node in ("a", "c")
                for event, status in (("pre_node", None), ("post_node", "succeeded"))
            ),
            ("pre_node", "b", None),
            ("on_error", "b", "failed"),
        ],
        key=str,
    )
    by_event = {one["event"]: one for one in hears.heard}
    assert by_event["on_error"]["error"] == {"type": "ZeroDivisionError", "message": "division by zero"}
    assert by_event["post_execute"]["error"] == by_event["on_error"]["error"]
    assert by_event["post_execute"]["duration_seconds"] == result.total_duration_seconds
    assert by_event["post_node"]["duration_seconds"] >= 0
    graph = {"nodes": [{"name": "a", "colour": "red"}, {"name": "b"}, {"name": "c"}], "edges": [["a", "b"]]}
    assert by_event["pre_execute"]["graph"] == by_event["post_execute"]["graph"] == graph
    assert {one["run_id"] for one in hears.heard[2:]} == {result.run_id}


class Place:
    """Writes down that it was its turn."""

    def __init__(self, place: int, heard: list[int]) -> None:
        self.place, self.heard = place, heard

    def pre_node(self, payload: Any) -> None:
        self.heard.append(self.place)


RANK = st.tuples(st.sampled_from(["callback", "tryfirst", "plain", "trylast"]), st.integers(0, 4))


@given(st.lists(RANK, max_size=6))
def test_one_order_for_all(ranks: list[tuple[str, int]]) -> None:
    heard: list[int] = []
    registry = PluginRegistry()
    hooks = HookRegistry(registry)
    expected = []
    for place, (what, priority) in enumerate(ranks):
        if what == "callback":
            hooks.register(HookEvent.PRE_NODE, lambda _, place=place: heard.append(place), priority)
            expected.append(((1, -priority, 0, place), place))
            continue

        band = {what: True} if what != "plain" else {}
        registry.register(Place(place, heard), manifest(f"p{place}", priority=priority, **band))
        expected.append((({"tryfirst": 0, "plain": 1, "trylast": 2}[what], -priority, 1, place), place))
    with registry.running():
        hooks.fire(PRE_NODE)
    assert heard == [place for _, place in sorted(expected)]


def test_plugins_come_and_go_between_events() -> None:
    registry, heard = PluginRegistry(), []

    class Listens:
        def pre_node(self, payload: Any) -> None:
            heard.append(payload.node)

    hooks = HookRegistry(registry)
    hooks.fire(PRE_NODE)
    with registry.running():
        assert not hooks.heard(HookEvent.PRE_NODE)
        registry.register(Listens, manifest("listens"))
        hooks.fire(PRE_NODE)
        assert heard == []  # not started yet
    with registry.running():
        assert hooks.heard(HookEvent.PRE_NODE)
        hooks.fire(PRE_NODE)
    assert heard == ["extract"]
    hooks.fire(PRE_NODE)
    assert heard == ["extract"]


def test_one_that_fails_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    registry, heard = PluginRegistry(), []

    class Fails:
        def pre_node(self, payload: Any) -> None:
            raise SystemExit("enough")

    registry.register(Fails, manifest("fails"))
    hooks = HookRegistry(registry)
    hooks.register(HookEvent.PRE_NODE, heard.append, priority=-1)
    with registry.running(), caplog.at_level(logging.ERROR):
        hooks.fire(PRE_NODE)
    assert len(heard) == 1
    [record] = caplog.records
    assert "plugin dag_listener/fails failed in pre_node" in record.getMessage()
    assert "SystemExit: enough" in record.getMessage()


class Waits:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    async def pre_node(self, payload: Any) -> None:
        await asyncio.sleep(0)
        self.heard.append((payload.node, threading.current_thread().name))


def test_a_coroutine_listener_is_waited_for() -> None:
    registry, waits = PluginRegistry(), Waits()
    registry.register(waits, manifest("waits"))
    hooks = HookRegistry(registry)
    with registry.running():
        hooks.fire(PRE_NODE)
        assert waits.heard == [("extract", "dagstack-plugins-loop")]


async def test_on_the_loop_that_plugins_live_on_it_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    registry, waits = PluginRegistry(), Waits()

    class Fails:
        async def pre_node(self, payload: Any) -> None:
            raise ValueError("later")

    registry.register(waits, manifest("waits"))
    registry.register(Fails, manifest("fails"))
    hooks = HookRegistry(registry)
    async with registry.running():
        hooks.fire(PRE_NODE)
        assert waits.heard == []
        await asyncio.sleep(0.01)
        assert waits.heard == [("extract", "MainThread")]
    assert "plugin dag_listener/fails failed in pre_node: ValueError: later" in caplog.text


async def test_in_a_run_on_that_loop_it_is_waited_for() -> None:
    registry, waits = PluginRegistry(), Waits()
    registry.register(waits, manifest("waits"))
    hooks, heard = HookRegistry(registry), []
    hooks.register(HookEvent.POST_NODE, lambda ctx: heard.append((ctx.node_name, len(waits.heard))))
    dag = DAG()
    dag.add_node("a")

    async def work() -> None:
        await asyncio.sleep(0)

    async with registry.running():
        result = await DAGExecutor(dag, hooks=hooks).aexecute({"a": work})
    assert (result.ok, heard) == (True, [("a", 1)])


def test_the_payload_is_made_for_those_alone_who_read_it() -> None:
    hooks = HookRegistry(PluginRegistry())
    hooks.register(HookEvent.PRE_EXECUTE, lambda _: None)
    context = HookContext(event=HookEvent.PRE_EXECUTE, dag=DAG())
    hooks.fire(context)
    assert context.payload is None
