"""What a run costs more while somebody looks at the dashboard."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dagstack_plugins.dag import DAG, DAGExecutor, DashboardPlugin, HookRegistry

RATE = 5_000
"""Events a second: two of each node."""
NODES = 2_500
READER = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
    print("reads", flush=True)
    while answer.read1(1 << 20):
        pass
"""


def work() -> None:
    """Compute for as long as it takes to make so many events a second, with the interpreter's lock held."""
    until = time.thread_time() + 2 / RATE
    while time.thread_time() < until:
        pass


@pytest.fixture
def watched() -> Iterator[HookRegistry]:
    """Hooks that a dashboard listens to, which another process reads."""
    plugin, hooks = DashboardPlugin(port=0), HookRegistry()
    plugin.initialize(hooks)
    command = [sys.executable, "-c", READER, f"{plugin.address}/api/events", plugin.token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reads\n"
        yield hooks
        plugin.teardown()
        reader.wait(10)


def test_a_run_that_somebody_looks_at(beside: Any, watched: HookRegistry) -> None:
    dag = DAG()
    dag.add_nodes([f"n{place}" for place in range(NODES)])
    tasks = dict.fromkeys(dag.node_names(), work)
    seen, unseen = DAGExecutor(dag, hooks=watched, max_workers=1), DAGExecutor(dag, hooks=HookRegistry(), max_workers=1)
    beside(
        "5,000 events a second with the dashboard open",
        lambda: seen.execute(tasks),
        "the same run without a dashboard",
        lambda: unseen.execute(tasks),
        at_most=1.05,
        rounds=8,
    )
