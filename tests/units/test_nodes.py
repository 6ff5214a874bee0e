"""Nodes of graphs that are units of work."""

from __future__ import annotations

import time

import pytest

from dagstack_plugins import HookUnknown, UnitFailed
from dagstack_plugins.dag import DAG, DAGExecutor, unit_task
from tests.units.conftest import Doer, Host
from tests.waiting import until


def test_a_graph_of_units_hands_results_on(host: Host) -> None:
    with host() as registry:
        dag = DAG()
        dag.add_nodes(["first", "second", "plain"])
        dag.add_edge("first", "second")
        dag.add_edge("second", "plain")
        tasks = {
            "first": unit_task(registry, "tool", "doer", "execute", payload={"say": 1}),
            "second": unit_task(registry, "tool", "doer", "execute", payload=lambda first: {"say": first["said"] + 1}),
            "plain": lambda second: second["said"] + 1,
        }
        result = DAGExecutor(dag).execute(tasks)
        assert result["plain"] == 3
        assert [one.state for one in registry.units.list()] == ["succeeded", "succeeded"]


def test_a_graph_that_is_run_again_takes_what_was_done(host: Host) -> None:
    doer = Doer()
    with host(doer) as registry:
        dag = DAG()
        dag.add_nodes(["one"])
        tasks = {"one": unit_task(registry, "tool", "doer", "execute", payload={"say": 1}, idempotency_key="one 1")}
        assert DAGExecutor(dag).execute(tasks)["one"] == DAGExecutor(dag).execute(tasks)["one"] == {"said": 1}
        assert len(doer.calls) == 1


def test_what_fails_is_the_failure_of_its_node(host: Host) -> None:
    with host(max_attempts=1) as registry:
        dag = DAG()
        dag.add_nodes(["one"])
        result = DAGExecutor(dag).execute(
            {"one": unit_task(registry, "tool", "doer", "execute", payload={"do": "fail"})}
        )
        assert isinstance(result.node_results["one"].error, UnitFailed)
        assert "LookupError: it is not there" in str(result.node_results["one"].error)


def test_a_node_that_takes_too_long_cancels_its_unit(host: Host) -> None:
    with host() as registry:
        dag = DAG()
        dag.add_nodes(["one"])
        task = unit_task(registry, "tool", "doer", "execute", payload={"do": "until_cancelled"})
        result = DAGExecutor(dag, timeout=0.5).execute({"one": task})
        assert result.node_results["one"].status == "timed_out"
        until(lambda: [one.state for one in registry.units.list()] == ["cancelled"])


def test_many_units_hold_up_no_worker(host: Host) -> None:
    with host(workers=20) as registry:
        dag = DAG()
        dag.add_nodes([f"n{number}" for number in range(20)])
        task = unit_task(registry, "tool", "doer", "execute", payload={"do": "sleep", "seconds": 0.3})
        began = time.monotonic()
        assert DAGExecutor(dag, max_workers=1).execute(dict.fromkeys(dag.node_names(), task)).ok
        assert time.monotonic() - began < 4


def test_slips_are_told_before_anything_runs(host: Host) -> None:
    with host() as registry, pytest.raises(HookUnknown, match=r"did you mean 'execute'"):
        unit_task(registry, "tool", "doer", "exekute")
