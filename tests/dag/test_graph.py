"""Graphs, and builders of graphs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins.dag import DAG, DAGBuilder, GraphCycle, GraphInvalid, HookEvent, HookRegistry


def test_nodes_and_edges() -> None:
    dag = DAG()
    dag.add_node("extract", owner="ops")
    dag.add_nodes(["clean", "load"])
    dag.add_edge("extract", "clean")
    dag.add_edge("extract", "clean")
    dag.add_edge("clean", "load")
    assert dag.node_names() == ["extract", "clean", "load"]
    assert (dag.node_count(), dag.edges()) == (3, [("extract", "clean"), ("clean", "load")])
    assert dag.attributes("extract") == {"owner": "ops"}
    assert list(dag.generations()) == [["extract"], ["clean"], ["load"]]
    assert json.loads(dag.to_json()) == {
        "nodes": [{"owner": "ops", "name": "extract"}, {"name": "clean"}, {"name": "load"}],
        "edges": [["extract", "clean"], ["clean", "load"]],
    }


def graph() -> DAG:
    dag = DAG()
    dag.add_nodes(["extract", "load"])
    return dag


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda: graph().add_node("load"), "two nodes called 'load'"),
        (lambda: graph().add_node(""), "a text that is not empty, found ''"),
        (lambda: graph().add_node(3), "a text that is not empty, found 3"),  # type: ignore[arg-type]
        (lambda: graph().add_nodes("load"), r"several names: \['load'\]"),
        (lambda: graph().add_edge("extrct", "load"), r"no node 'extrct' \(did you mean 'extract'\?\)"),
        (lambda: graph().add_edge("extract", None), "no node None"),  # type: ignore[arg-type]
        (lambda: graph().add_edge("load", "load"), "'load' would wait for itself"),
        (lambda: graph().attributes("laod"), r"no node 'laod' \(did you mean 'load'\?\)"),
    ],
)
def test_what_is_no_graph(fault: Callable[[], Any], told: str) -> None:
    with pytest.raises(GraphInvalid, match=told):
        fault()


def test_a_circle_is_shown() -> None:
    dag = DAG()
    dag.add_nodes(["a", "b", "c", "d"])
    for before, after in (("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")):
        dag.add_edge(before, after)
    with pytest.raises(GraphCycle, match="circle: b -> c -> d -> b") as info:
        dag.check()
    assert info.value.cycle == ("b", "c", "d", "b")


NAMES = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6, unique=True)


@given(NAMES, st.data())
def test_json_says_what_the_graph_is_whatever_the_names(names: list[str], data: st.DataObject) -> None:
    dag = DAG()
    dag.add_nodes(names)
    for after in range(1, len(names)):
        dag.add_edge(names[data.draw(st.integers(0, after - 1))], names[after])
    dag.check()
    read = json.loads(dag.to_json())
    assert [node["name"] for node in read["nodes"]] == names
    assert [tuple(edge) for edge in read["edges"]] == dag.edges()
    assert len(dag.to_mermaid().splitlines()) == 1 + len(names) + len(names) - 1
    assert dag.to_dot().startswith("digraph {")


def test_names_that_mean_something_to_the_languages_of_graphs() -> None:
    dag = DAG()
    dag.add_nodes(['a "quoted"]', "<b>\\\n"])
    dag.add_edge('a "quoted"]', "<b>\\\n")
    assert '"a \\"quoted\\"]" -> "<b>\\\\\\n";' in dag.to_dot()
    assert 'n0["a #34;quoted#34;#93;"]' in dag.to_mermaid()


def test_attributes_that_are_no_json_are_left_out() -> None:
    dag = DAG()
    dag.add_node("a", task=print, weight=float("nan"), team="ops")
    assert dag.to_dict()["nodes"] == [{"name": "a", "team": "ops"}]


def test_a_builder_tells_and_checks() -> None:
    hooks, heard = HookRegistry(), []
    for event in HookEvent:
        hooks.register(event, lambda ctx: heard.append((ctx.event, ctx.dag.node_count())))
    builder = DAGBuilder(hooks).add_nodes(["a", "b"]).add_node("c").add_edge("a", "b")
    assert heard == []
    dag = builder.build()
    assert heard == [(HookEvent.PRE_BUILD, 3), (HookEvent.POST_BUILD, 3)]
    builder.add_node("d")
    assert dag.node_count() == 3
    with pytest.raises(GraphCycle):
        builder.add_edge("b", "a").build()
    assert [event for event, _ in heard[2:]] == [HookEvent.PRE_BUILD]


def test_networkx_is_imported_when_there_is_a_graph() -> None:
    loaded = "'networkx' in sys.modules"
    code = f"import sys, dagstack_plugins.dag as d; assert not {loaded}; d.DAG(); assert {loaded}"
    subprocess.run([sys.executable, "-c", code], check=True)
