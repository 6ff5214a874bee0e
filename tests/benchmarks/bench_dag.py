"""What graphs cost: firing an event, and running a node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from dagstack_plugins.dag import DAG, DAGExecutor, HookContext, HookEvent, HookRegistry

CALLBACKS = 10
NODES = 10_000
CONTEXT = HookContext(event=HookEvent.PRE_NODE)


def callback(context: HookContext) -> None:
    """Do nothing."""


def task() -> None:
    """Do nothing."""


class Idle:
    """Its method is the least that a call can be."""

    def fire(self, context: HookContext) -> None:
        """Do nothing."""


def test_an_event_with_ten_callbacks(beside: Any) -> None:
    hooks = HookRegistry()
    callbacks = [callback] * CALLBACKS
    for one in callbacks:
        hooks.register(HookEvent.PRE_NODE, one)

    def loop() -> None:
        for one in callbacks:
            try:
                one(CONTEXT)
            except Exception:
                raise

    against = "a loop over ten functions with try/except"
    beside("event with ten callbacks", lambda: hooks.fire(CONTEXT), against, loop, at_most=2.5)


def test_an_event_that_nobody_hears(beside: Any) -> None:
    fire, idle = HookRegistry().fire, Idle().fire
    against = "a method that does nothing"
    # Without a lambda's call, which would be most of what is measured.
    beside("event that nobody hears", partial(fire, CONTEXT), against, partial(idle, CONTEXT), at_most=2)


def wide() -> DAG:
    dag = DAG()
    dag.add_nodes([f"n{place}" for place in range(NODES)])
    return dag


def deep() -> DAG:
    dag = wide()
    for place in range(NODES - 1):
        dag.add_edge(f"n{place}", f"n{place + 1}")
    return dag


def diamonds() -> DAG:
    dag = wide()
    for place in range(0, NODES - 3, 3):
        for before, after in ((0, 1), (0, 2), (1, 3), (2, 3)):
            dag.add_edge(f"n{place + before}", f"n{place + after}")
    return dag


def by_hand(dag: DAG, tasks: Mapping[str, Callable[[], Any]]) -> None:
    """A graph on ``concurrent.futures``: dependencies are counted, who is ready is submitted."""
    needs = dict.fromkeys(dag.node_names(), 0)
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    for before, after in dag.edges():
        needs[after] += 1
        dependents[before].append(after)
    lock, done, left = threading.Lock(), threading.Event(), len(needs)

    def run(name: str) -> None:
        nonlocal left
        tasks[name]()
        ready = []
        with lock:
            left -= 1
            for other in dependents[name]:
                needs[other] -= 1
                if not needs[other]:
                    ready.append(other)
            if not left:
                done.set()
        for other in ready:
            pool.submit(run, other)

    with ThreadPoolExecutor() as pool:
        for name in [name for name, count in needs.items() if not count]:
            pool.submit(run, name)
        done.wait()


@pytest.mark.parametrize("shape", [wide, deep, diamonds])
def test_a_node(beside: Any, shape: Callable[[], DAG]) -> None:
    dag = shape()
    tasks = dict.fromkeys(dag.node_names(), task)
    executor = DAGExecutor(dag, hooks=HookRegistry())
    beside(
        f"graph of 10,000 nodes, {shape.__name__}",
        lambda: executor.execute(tasks),
        "concurrent.futures, dependencies counted by hand",
        lambda: by_hand(dag, tasks),
        at_most=1.5,
        rounds=8,
    )
