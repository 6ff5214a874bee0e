"""Runs: who begins when, what becomes of each node, and how a run ends early."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import DispatchMismatch, PluginRegistry
from dagstack_plugins.dag import (
    DAG,
    ApprovalGate,
    DagError,
    DAGExecutor,
    ExecutionResult,
    GateController,
    GateRejected,
    GateTimeout,
    GraphCycle,
    GraphInvalid,
    HookContext,
    HookEvent,
    HookRegistry,
    NodeStatus,
    NodeTimeout,
)
from dagstack_plugins.dag.tasks import parameters_of, takes
from tests.waiting import until


def graph(*edges: str, nodes: str = "") -> DAG:
    """``graph("a b", "b c")``; more nodes by ``nodes="d e"``."""
    dag = DAG()
    dag.add_nodes(dict.fromkeys([*" ".join(edges).split(), *nodes.split()]))
    for edge in edges:
        dag.add_edge(*edge.split())
    return dag


def statuses(result: ExecutionResult) -> dict[str, str]:
    return {name: str(one.status) for name, one in result.node_results.items()}


def fails() -> None:
    raise ValueError("broken")


def nothing() -> None:
    """Do nothing."""


def test_results_go_to_those_who_ask_for_them_by_name() -> None:
    def total(*, numbers: list[int], factor: int = 2) -> int:
        return sum(numbers) * factor

    async def shown(total: int) -> str:
        await asyncio.sleep(0)
        return f"= {total}"

    def everything(**results: Any) -> dict[str, Any]:
        return results

    dag = graph("numbers total", "total shown", "numbers everything", "shown everything")
    tasks: dict[str, Any] = {"numbers": lambda: [1, 2], "total": total, "shown": shown, "everything": everything}
    result = DAGExecutor(dag).execute(tasks)
    assert (result.ok, result.succeeded, result.status, result.error) == (True, 4, "succeeded", None)
    assert result["everything"] == {"numbers": [1, 2], "shown": "= 6"}
    assert repr(result).startswith("<ExecutionResult: 4 succeeded, 0.")
    one = result.node_results["total"]
    assert (one.value, one.attempts, one.started_at is not None, one.duration_seconds >= 0) == (6, 1, True, True)
    assert result.total_duration_seconds >= one.duration_seconds


def test_an_empty_graph() -> None:
    result = DAGExecutor(DAG()).execute({})
    assert (result.ok, result.node_results) == (True, {})


# --- what becomes of nodes --------------------------------------------------------------------------------------------


def test_what_waits_for_a_failure_is_skipped_and_the_others_go_on() -> None:
    dag = graph("a b", "b c", "d e")
    result = DAGExecutor(dag, fail_fast=False).execute({**dict.fromkeys("acde", nothing), "b": fails})
    assert statuses(result) == {"a": "succeeded", "b": "failed", "c": "skipped", "d": "succeeded", "e": "succeeded"}
    assert (result.failed, result.skipped, result.status) == (1, 1, "failed")
    assert result.node_results["c"].error is result.error is result.node_results["b"].error
    assert result.node_results["c"].started_at is None
    with pytest.raises(DagError, match="node 'b' has no result, as it was a failure: ValueError: broken") as info:
        result["b"]
    assert info.value.__cause__ is result.error


def test_failing_fast_begins_nothing_more_and_lets_end_what_runs() -> None:
    dag = graph("a b", "slow after", "a later")
    began, failed = threading.Event(), threading.Event()

    def slow() -> str:
        began.set()
        failed.wait(10)
        time.sleep(0.01)
        return "ended"

    def breaks() -> None:
        began.wait(10)
        failed.set()
        raise ValueError("broken")

    tasks = {"a": breaks, "b": nothing, "later": nothing, "slow": slow, "after": nothing}
    result = DAGExecutor(dag).execute(tasks)
    expected = {"a": "failed", "b": "skipped", "later": "skipped", "slow": "succeeded", "after": "cancelled"}
    assert statuses(result) == expected
    assert result["slow"] == "ended"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_whatever_a_task_raises_is_a_failure_of_its_node(error: BaseException) -> None:
    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    result = DAGExecutor(graph(nodes="a"), fail_fast=False).execute({"a": plain})
    assert (result.failed, result.error) == (1, error)
    if not isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):  # these end a loop of asyncio's
        result = DAGExecutor(graph(nodes="b"), fail_fast=False).execute({"b": coroutine})
        assert (result.failed, type(result.error)) == (1, type(error))


def test_a_coroutine_that_exits_is_a_failure_of_its_node() -> None:
    async def exits() -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = DAGExecutor(graph(nodes="a b"), fail_fast=False).execute({"a": exits, "b": nothing})
    assert statuses(result) == {"a": "failed", "b": "succeeded"}
    assert isinstance(result.error, SystemExit)


def test_retries() -> None:
    tries: dict[str, int] = {"plain": 0, "coroutine": 0, "never": 0}

    def plain() -> str:
        tries["plain"] += 1
        return "done" if tries["plain"] == 3 else fails()  # type: ignore[func-returns-value]

    async def coroutine() -> str:
        await asyncio.sleep(0)
        tries["coroutine"] += 1
        return "done" if tries["coroutine"] == 3 else fails()  # type: ignore[func-returns-value]

    def never() -> None:
        tries["never"] += 1
        fails()

    heard: list[Any] = []
    hooks = HookRegistry()
    for event in HookEvent:
        hooks.register(event, lambda ctx: heard.append((str(ctx.event), ctx.node_name)))
    executor = DAGExecutor(graph(nodes="plain coroutine never"), hooks=hooks, retries=2, fail_fast=False)
    result = executor.execute({"plain": plain, "coroutine": coroutine, "never": never})
    assert statuses(result) == {"plain": "succeeded", "coroutine": "succeeded", "never": "failed"}
    assert {one.attempts for one in result.node_results.values()} == {3} == set(tries.values())
    assert sorted(heard[1:-1], key=str) == [
        ("on_error", "never"),
        *(("post_node", name) for name in ("coroutine", "plain")),
        *(("pre_node", name) for name in ("coroutine", "never", "plain")),
    ]


def test_many_retries_are_no_recursion() -> None:
    result = DAGExecutor(graph(nodes="a"), retries=5000).execute({"a": fails})
    assert result.node_results["a"].attempts == 5001


# --- order ------------------------------------------------------------------------------------------------------------


def test_a_node_begins_when_those_it_waits_for_have_ended_and_not_level_by_level() -> None:
    dag = graph("quick next", "slow last")
    done = threading.Event()
    tasks = {"quick": nothing, "next": done.set, "slow": lambda: done.wait(10), "last": nothing}
    assert DAGExecutor(dag).execute(tasks)["slow"] is True


def test_no_more_functions_run_at_once_than_workers() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    names = [f"n{place}" for place in range(30)]
    result = DAGExecutor(graph(nodes=" ".join(names)), max_workers=3).execute(dict.fromkeys(names, work))
    assert (result.succeeded, most) == (30, 3)


def test_functions_that_wait_for_each_other_run_at_once() -> None:
    barrier = threading.Barrier(4)
    names = [f"n{place}" for place in range(4)]
    tasks = dict.fromkeys(names, lambda: barrier.wait(10))
    assert DAGExecutor(graph(nodes=" ".join(names)), max_workers=4).execute(tasks).ok


def test_coroutines_wait_beside_each_other() -> None:
    names = [f"n{place}" for place in range(500)]
    arrived = 0

    async def meets() -> None:
        nonlocal arrived
        arrived += 1
        while arrived < len(names):
            await asyncio.sleep(0)

    tasks = dict.fromkeys(names, meets)
    assert DAGExecutor(graph(nodes=" ".join(names)), max_workers=2, timeout=30).execute(tasks).ok


SHAPES = st.integers(1, 9).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda edge: edge[0] < edge[1])),
        st.lists(st.sampled_from(["plain", "coroutine", "fails", "coroutine fails"]), min_size=count, max_size=count),
    )
)


def task_of(kind: str) -> Any:
    def plain() -> None:
        if "fails" in kind:
            fails()

    async def coroutine() -> None:
        await asyncio.sleep(0)
        plain()

    return coroutine if "coroutine" in kind else plain


TOLD = {"succeeded": ["pre_node", "post_node"], "failed": ["pre_node", "on_error"]}


@given(SHAPES, st.booleans(), st.sampled_from([1, 2, 8]))
def test_the_laws_of_a_run(shape: tuple[int, set[tuple[int, int]], list[str]], fail_fast: bool, workers: int) -> None:
    count, edges, kinds = shape
    names = [f"n{place}" for place in range(count)]
    dag = DAG()
    dag.add_nodes(names)
    for before, after in edges:
        dag.add_edge(names[before], names[after])
    log: list[tuple[str, str | None]] = []
    hooks = HookRegistry()
    for event in HookEvent:
        hooks.register(event, lambda ctx: log.append((str(ctx.event), ctx.node_name)))

    executor = DAGExecutor(dag, hooks=hooks, fail_fast=fail_fast, max_workers=workers)
    result = executor.execute({name: task_of(kind) for name, kind in zip(names, kinds, strict=True)})

    ended = statuses(result)
    assert sum((result.succeeded, result.failed, result.skipped, result.timed_out, result.cancelled)) == count
    assert (log[0], log[-1]) == (("pre_execute", None), ("post_execute", None))
    for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        needed = [names[before] for before, after in edges if after == place]
        could_begin = all(ended[before] == "succeeded" for before in needed)
        assert [event for event, node in log if node == name] == TOLD.get(ended[name], [])
        assert (ended[name] == "skipped") <= any(ended[before] in ("failed", "skipped") for before in needed)
        assert (ended[name] == "cancelled") <= fail_fast
        if ended[name] in TOLD:
            assert could_begin
            assert ended[name] == ("failed" if "fails" in kind else "succeeded")
            assert all(log.index(("post_node", one)) < log.index(("pre_node", name)) for one in needed)
        else:
            assert fail_fast or not could_begin


def test_a_hundred_thousand_nodes_in_a_row() -> None:
    dag, names = DAG(), [f"n{place}" for place in range(100_000)]
    dag.add_nodes(names)
    for before, after in pairwise(names):
        dag.add_edge(before, after)
    assert DAGExecutor(dag).execute(dict.fromkeys(names, nothing)).succeeded == 100_000


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_function_that_never_returns_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    dag = graph("stuck after", nodes="other")
    executor = DAGExecutor(dag, max_workers=1, timeout=0.2, fail_fast=False)
    try:
        result = executor.execute({"stuck": lambda: release.wait(60), "after": nothing, "other": nothing})
    finally:
        release.set()
    assert statuses(result) == {"stuck": "timed_out", "after": "skipped", "other": "succeeded"}
    assert isinstance(result.error, NodeTimeout)
    assert str(result.error) == "node 'stuck' took longer than timeout = 0.2 s"
    assert "node 'stuck' still runs in a thread that nobody waits for" in caplog.text
    assert (result.timed_out, result.node_results["stuck"].duration_seconds >= 0.2) == (1, True)


def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    seen = []

    async def stuck() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    result = DAGExecutor(graph(nodes="stuck"), timeout=0.05, retries=3).execute({"stuck": stuck})
    assert (result.timed_out, result.node_results["stuck"].attempts, seen) == (1, 1, ["cancelled"])


def test_a_function_that_takes_too_long_and_then_wants_to_be_awaited() -> None:
    began = []

    async def coroutine() -> None:
        began.append("coroutine")

    def slow() -> Any:
        time.sleep(1)
        return coroutine()

    dag = graph("slow after", nodes="other")
    tasks: dict[str, Any] = {"slow": slow, "after": nothing, "other": nothing}
    result = DAGExecutor(dag, timeout=0.5, max_workers=1, fail_fast=False).execute(tasks)
    assert statuses(result) == {"slow": "timed_out", "after": "skipped", "other": "succeeded"}
    time.sleep(0.7)
    assert began == []


def test_a_limit_that_nobody_lives_to_see() -> None:
    gates = {"a": ApprovalGate(timeout=1e12, auto_approve=True)}
    assert (
        DAGExecutor(graph("a b"), timeout=1e12, gates=gates).execute({"a": lambda: time.sleep(0.01), "b": nothing}).ok
    )


def test_what_is_quick_enough_knows_nothing_of_time() -> None:
    names = [f"n{place}" for place in range(200)]
    assert DAGExecutor(graph(nodes=" ".join(names)), timeout=60).execute(dict.fromkeys(names, nothing)).ok


# --- ending early -----------------------------------------------------------------------------------------------------


def test_cancelling_from_another_thread() -> None:
    executor = DAGExecutor(graph("a b", nodes="c"))
    seen = []

    def plain() -> str:
        executor.cancel()
        return "ended"

    async def coroutine() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("ended")

    result = executor.execute({"a": plain, "b": nothing, "c": coroutine})
    assert statuses(result)["a"] == "succeeded"
    assert statuses(result)["b"] == "cancelled"
    assert (statuses(result)["c"], result.was_cancelled, result.status) == ("cancelled", True, "cancelled")
    executor.cancel()  # of nothing


async def test_a_cancelled_task_cancels_its_run_and_waits_for_functions() -> None:
    began, released, ended = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def plain() -> None:
        released.wait(10)
        time.sleep(0.01)
        ended.append("plain")

    async def coroutine() -> None:
        loop.call_soon_threadsafe(began.set)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("coroutine")

    results: list[ExecutionResult] = []
    hooks = HookRegistry()
    hooks.register(HookEvent.POST_EXECUTE, lambda ctx: results.append(ctx.execution_result))
    executor = DAGExecutor(graph("a b", nodes="c"), hooks=hooks)
    task = asyncio.create_task(executor.aexecute({"a": plain, "b": nothing, "c": coroutine}))
    await began.wait()
    task.cancel()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["coroutine", "plain"]
    [result] = results
    assert statuses(result) == {"a": "succeeded", "b": "cancelled", "c": "cancelled"}


INTERRUPTED = """
import threading, time
from dagstack_plugins.dag import DAG, DAGExecutor, HookEvent, HookRegistry
dag = DAG()
dag.add_nodes(["a", "b"])
dag.add_edge("a", "b")
def slow():
    print("runs", flush=True)
    time.sleep(1)
    print("ended", flush=True)
hooks = HookRegistry()
hooks.register(HookEvent.POST_EXECUTE, lambda ctx: print(ctx.execution_result.cancelled, flush=True))
try:
    DAGExecutor(dag, hooks=hooks).execute({"a": slow, "b": lambda: print("never")})
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_a_users_interrupt_ends_the_run_when_what_runs_has_ended(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(INTERRUPTED))
    with subprocess.Popen([sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "ended\n1\ninterrupted 1\n"


# --- loops, threads, contexts -----------------------------------------------------------------------------------------


async def test_on_a_loop_coroutines_run_on_it() -> None:
    loops = []

    async def task() -> None:
        loops.append(asyncio.get_running_loop())

    result = await DAGExecutor(graph("a b")).aexecute({"a": task, "b": nothing})
    assert result.ok
    assert loops == [asyncio.get_running_loop()]
    with pytest.raises(DispatchMismatch, match=r"await executor\.aexecute"):
        DAGExecutor(graph(nodes="a")).execute({"a": nothing})


def test_metadata_that_is_bound_where_the_run_began_is_there_in_tasks() -> None:
    registry = PluginRegistry()
    seen = []

    class Sees:
        def execute(self, args: Any, ctx: Any) -> None:
            seen.append(dict(ctx.metadata))

    manifest = {"name": "sees", "kind": "tool", "runtime": "in_process", "core_version": ">=0"}
    registry.register(Sees, manifest)

    def plain() -> None:
        registry.get_plugin("tool", "sees").execute()

    async def coroutine() -> None:
        plain()

    with registry.running(), registry.metadata(tenant="acme"):
        DAGExecutor(graph("a b")).execute({"a": plain, "b": coroutine})
    assert seen == [{"tenant": "acme"}] * 2


def test_nothing_is_left_behind() -> None:
    async def coroutine() -> None:
        await asyncio.sleep(0)

    before = threading.active_count()
    for _ in range(3):
        DAGExecutor(graph("a b", nodes="c d")).execute({**dict.fromkeys("abd", nothing), "c": coroutine})
    assert threading.active_count() == before


def test_runs_of_one_executor_side_by_side() -> None:
    executor = DAGExecutor(graph("a b"))
    results: list[ExecutionResult] = []
    barrier = threading.Barrier(3)
    tasks: Mapping[str, Callable[[], Any]] = {"a": lambda: barrier.wait(10), "b": nothing}
    threads = [threading.Thread(target=lambda: results.append(executor.execute(tasks))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.ok for result in results] == [True] * 3
    assert len({result.run_id for result in results}) == 3


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_what_callbacks_are_told() -> None:
    told: list[HookContext] = []
    hooks = HookRegistry()
    for event in HookEvent:
        hooks.register(event, told.append)
    dag = graph("a b")
    result = DAGExecutor(dag, hooks=hooks).execute({"a": lambda: 1, "b": fails})
    events = [(str(ctx.event), ctx.node_name) for ctx in told]
    assert events == [
        ("pre_execute", None),
        ("pre_node", "a"),
        ("post_node", "a"),
        ("pre_node", "b"),
        ("on_error", "b"),
        ("post_execute", None),
    ]
    assert all(ctx.dag is dag and ctx.run_id == result.run_id for ctx in told)
    assert told[2].node_result is result.node_results["a"]
    assert told[4].error is result.node_results["b"].error
    assert told[-1].execution_result is result


def test_events_of_a_run_come_one_at_a_time() -> None:
    inside, most = 0, 0

    def callback(_: HookContext) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.0005)
        inside -= 1

    hooks = HookRegistry()
    hooks.register(HookEvent.PRE_NODE, callback)
    hooks.register(HookEvent.POST_NODE, callback)
    names = [f"n{place}" for place in range(40)]
    DAGExecutor(graph(nodes=" ".join(names)), hooks=hooks, max_workers=8).execute(dict.fromkeys(names, nothing))
    assert most == 1


def test_a_callback_that_fails_stops_no_run() -> None:
    hooks = HookRegistry()
    for event in HookEvent:
        hooks.register(event, lambda _: fails())
    with pytest.warns(RuntimeWarning, match="ValueError: broken"):
        assert DAGExecutor(graph("a b"), hooks=hooks).execute({"a": nothing, "b": nothing}).ok


def test_nor_does_one_where_warnings_are_errors(caplog: pytest.LogCaptureFixture) -> None:
    hooks = HookRegistry()
    for event in HookEvent:
        hooks.register(event, lambda _: fails())
    with warnings.catch_warnings(), caplog.at_level(logging.ERROR):
        warnings.simplefilter("error")
        assert DAGExecutor(graph("a b"), hooks=hooks).execute({"a": nothing, "b": nothing}).ok
    assert "a callback failed in post_execute" in caplog.text


# --- gates ------------------------------------------------------------------------------------------------------------


def deciding(decide: Callable[[GateController], None]) -> tuple[GateController, HookRegistry]:
    """Gates that are decided as soon as somebody waits at one."""
    gates, hooks = GateController({"publish": ApprovalGate(timeout=10)}), HookRegistry()
    gates.watch(lambda _: threading.Thread(target=decide, args=[gates]).start() if gates.waiting_gates() else None)
    return gates, hooks


def test_a_node_waits_at_its_gate_until_a_person_approves() -> None:
    gates, hooks = deciding(lambda gates: gates.approve("publish"))
    waiting: list[list[str]] = []
    hooks.register(HookEvent.PRE_NODE, lambda ctx: waiting.append([str(ctx.node_name), *gates.waiting_gates()]))
    executor = DAGExecutor(graph("build publish", "publish done"), hooks=hooks, gates=gates, max_workers=1)
    assert executor.execute(dict.fromkeys(["build", "publish", "done"], nothing)).ok
    assert waiting == [["build"], ["publish"], ["done"]]


def test_a_waiting_node_holds_up_no_worker() -> None:
    gates = GateController({"publish": ApprovalGate(timeout=10)})
    executor = DAGExecutor(graph("build publish", nodes="other"), gates=gates, max_workers=1)
    tasks = {"build": nothing, "publish": nothing, "other": lambda: gates.approve("publish")}
    assert executor.execute(tasks).ok


def test_a_rejection_fails_the_node() -> None:
    gates, hooks = deciding(lambda gates: gates.reject("publish", "too early"))
    errors = []
    hooks.register(HookEvent.ON_ERROR, lambda ctx: errors.append(ctx.error))
    executor = DAGExecutor(graph("publish done"), hooks=hooks, gates=gates)
    result = executor.execute({"publish": nothing, "done": nothing})
    assert statuses(result) == {"publish": "failed", "done": "skipped"}
    assert isinstance(result.error, GateRejected)
    assert errors == [result.error]
    assert result.node_results["publish"].attempts == 0


def test_nobody_decides_in_time() -> None:
    executor = DAGExecutor(graph("publish done"), gates={"publish": ApprovalGate(timeout=0.05)})
    result = executor.execute({"publish": nothing, "done": nothing})
    assert statuses(result) == {"publish": "timed_out", "done": "skipped"}
    assert isinstance(result.error, GateTimeout)


@pytest.mark.parametrize("in_advance", [True, False])
def test_a_decision_is_good_for_one_run(in_advance: bool) -> None:
    gates = GateController({"publish": ApprovalGate(timeout=0.05)})
    if in_advance:
        gates.approve("publish")
    executor = DAGExecutor(graph(nodes="publish"), gates=gates)
    seen = [str(executor.execute({"publish": nothing}).node_results["publish"].status) for _ in range(2)]
    assert seen == ["succeeded" if in_advance else "timed_out", "timed_out"]


def test_a_run_that_ends_early_leaves_no_gate_waiting() -> None:
    gates = GateController({"publish": ApprovalGate()})
    executor = DAGExecutor(graph(nodes="publish other"), gates=gates)
    gates.watch(lambda _: executor.cancel() if gates.waiting_gates() else None)
    result = executor.execute({"publish": nothing, "other": nothing})
    assert (result.node_results["publish"].status, gates.waiting_gates()) == (NodeStatus.CANCELLED, [])
    with pytest.raises(GraphInvalid, match=r"gate 'publsh', but no node of that name \(did you mean 'publish'\?\)"):
        DAGExecutor(graph(nodes="publish"), gates={"publsh": ApprovalGate()})


async def test_gates_in_a_run_on_a_loop() -> None:
    gates = GateController({"publish": ApprovalGate()})
    executor = DAGExecutor(graph("build publish"), gates=gates)

    async def build() -> None:
        asyncio.get_running_loop().call_later(0.01, gates.approve, "publish")

    assert (await executor.aexecute({"build": build, "publish": nothing})).ok


def test_a_rejection_stands_whatever_other_runs_do() -> None:
    gates, ran = GateController({"deploy": ApprovalGate()}), []
    executor = DAGExecutor(graph("build deploy"), gates=gates)
    other = DAGExecutor(graph(nodes="deploy"), gates=gates)
    gates.watch(lambda _: gates.waiting_gates() and threading.Thread(target=decide).start())

    beside = threading.Thread(target=lambda: other.execute({"deploy": nothing}))

    def decide() -> None:
        if not beside.is_alive():
            gates.reject("deploy")
            beside.start()

    result = executor.execute({"build": nothing, "deploy": lambda: ran.append("deployed")})
    assert (statuses(result)["deploy"], ran) == ("failed", [])
    until(lambda: gates.waiting_gates() == ["deploy"])
    other.cancel()
    beside.join(10)
    assert not beside.is_alive()


def test_an_approval_does_not_outlive_its_run() -> None:
    gates = GateController({"deploy": ApprovalGate(timeout=0.05)})
    executor = DAGExecutor(graph("build deploy"), gates=gates)

    def build() -> None:
        gates.approve("deploy")
        raise ValueError("broken")

    executor.execute({"build": build, "deploy": nothing})
    assert gates.status("deploy") == "approved"
    assert statuses(executor.execute({"build": nothing, "deploy": nothing}))["deploy"] == "timed_out"


def test_two_runs_at_one_gate_have_one_decision_and_their_own_ends() -> None:
    gates = GateController({"publish": ApprovalGate(timeout=0.5)})
    executor = DAGExecutor(graph(nodes="publish"), gates=gates)
    results: list[ExecutionResult] = []
    threads = [threading.Thread(target=lambda: results.append(executor.execute({"publish": nothing}))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [statuses(result)["publish"] for result in results] == ["timed_out"] * 2


def test_a_controller_with_a_misspelt_gate() -> None:
    gates = GateController({"deplyo": ApprovalGate(), "of another graph": ApprovalGate()})
    with pytest.raises(GraphInvalid, match=r"gate 'deplyo', but no node of that name \(did you mean 'deploy'\?\)"):
        DAGExecutor(graph(nodes="deploy"), gates=gates)


# --- where the executor itself meets trouble --------------------------------------------------------------------------


def test_nothing_begins_while_callbacks_are_told_of_a_failure() -> None:
    hooks = HookRegistry()
    hooks.register(HookEvent.ON_ERROR, lambda _: time.sleep(0.2))
    names = [f"n{place}" for place in range(40)]
    tasks = {**dict.fromkeys(names, lambda: time.sleep(0.02)), "bad": fails}
    result = DAGExecutor(graph(nodes=" ".join(["bad", *names])), hooks=hooks, max_workers=4).execute(tasks)
    assert result.succeeded <= 4


def test_nothing_begins_after_a_cancellation() -> None:
    hooks, began = HookRegistry(), []
    executor = DAGExecutor(graph(nodes="a b c d e f"), hooks=hooks, max_workers=6)

    def pre_node(_: HookContext) -> None:
        time.sleep(0.05)
        executor.cancel()

    hooks.register(HookEvent.PRE_NODE, pre_node)
    result = executor.execute(dict.fromkeys("abcdef", lambda: began.append(1)))
    assert (len(began), result.succeeded, result.cancelled) == (1, 1, 5)


def test_a_coroutine_that_has_ended_in_time_has_not_timed_out() -> None:
    names = [f"n{place}" for place in range(24)]
    tasks: dict[str, Any] = {"quick": lambda: asyncio.sleep(0.01), **dict.fromkeys(names, lambda: time.sleep(0.05))}
    result = DAGExecutor(graph(nodes=" ".join(["quick", *names])), max_workers=1, timeout=1).execute(tasks)
    assert result.ok
    assert result.node_results["quick"].duration_seconds < 1


def test_a_failing_watcher_of_gates_hangs_no_run_where_warnings_are_errors() -> None:
    gates = GateController({"publish": ApprovalGate(timeout=0.1)})

    def fails_too(name: str) -> None:
        raise ValueError(name)

    gates.watch(fails_too)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="a watcher of gates failed"):
            DAGExecutor(graph(nodes="publish"), gates=gates).execute({"publish": nothing})


def test_what_breaks_the_executor_lets_nothing_begin_behind_its_back() -> None:
    gates, began = GateController({"gated": ApprovalGate()}), []
    gates.watch(lambda _: fails())
    names = [f"n{place}" for place in range(40)]
    tasks = {"gated": nothing, **dict.fromkeys(names, lambda: (time.sleep(0.01), began.append(1)))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="a watcher of gates failed"):
            DAGExecutor(graph(nodes=" ".join(["gated", *names])), gates=gates, max_workers=2).execute(tasks)
    time.sleep(0.2)
    assert len(began) <= 4


async def test_a_factory_of_tasks_that_knows_no_contexts() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
    result = await DAGExecutor(graph(nodes="a")).aexecute({"a": lambda: asyncio.sleep(0)})
    assert "context" in str(result.error)


LATE = """
import os, signal, threading, time
from dagstack_plugins.dag import DAG, DAGExecutor, HookEvent, HookRegistry
dag = DAG()
dag.add_nodes(["stuck", "other"])
hooks = HookRegistry()
def on_error(ctx):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
hooks.register(HookEvent.ON_ERROR, on_error)
release = threading.Event()
try:
    DAGExecutor(dag, hooks=hooks, timeout=0.1).execute({"stuck": lambda: release.wait(3), "other": lambda: None})
except KeyboardInterrupt:
    print("interrupted")
release.set()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_an_interrupt_of_a_callback_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(LATE))
    command = [sys.executable, tmp_path / "program.py"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout == "interrupted\n"


# --- what can't be run ------------------------------------------------------------------------------------------------


def test_all_that_does_not_fit_is_told_at_once_and_nothing_runs() -> None:
    ran = []
    dag = graph("extract clean", "clean load", nodes="report")

    def takes_more(clean: Any, extract: Any) -> None:
        ran.append("load")

    with pytest.raises(GraphInvalid) as info:
        DAGExecutor(dag).execute(
            {"extract": lambda: ran.append(1), "clean": "text", "load": takes_more, "repotr": nothing}
        )  # type: ignore[dict-item]
    assert str(info.value).splitlines() == [
        "the tasks do not fit the graph:",
        "  - task 'repotr': there is no node of that name (did you mean 'report'?)",
        "  - node 'clean': its task is no function: 'text'",
        "  - node 'load': its task takes 'extract', which is no node that it waits for; it waits for clean",
        "  - node 'report': there is no task for this node",
    ]
    assert ran == []


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (lambda b: b, "its task takes 'b', which is no node that it waits for; it waits for none"),
        (eval("lambda a, /: a"), "its task takes 'a'"),
    ],
)
def test_parameters_that_nobody_gives(task: Any, told: str) -> None:
    with pytest.raises(GraphInvalid, match=told):
        DAGExecutor(graph(nodes="a")).execute({"a": task})


def test_callables_of_all_sorts() -> None:
    class Adds:
        def __call__(self, a: int, b: int = 2) -> int:
            return a + b

    dag = graph("a c", "a d", nodes="b")
    tasks: dict[str, Any] = {"a": int, "b": dict, "c": Adds(), "d": partial(lambda a, more: a + more, more=5)}
    result = DAGExecutor(dag).execute(tasks)
    assert (result["a"], result["b"], result["c"], result["d"]) == (0, {}, 2, 5)


NAMES = st.lists(st.sampled_from("abcde"), unique=True, max_size=5)


@given(NAMES, NAMES, st.data())
def test_parameters_are_read_as_python_reads_them(names: list[str], needed: list[str], data: st.DataObject) -> None:
    """The short way for plain functions says what the signature says."""
    cuts = sorted(data.draw(st.tuples(*[st.integers(0, len(names))] * 2)))
    first_default = data.draw(st.integers(0, cuts[1]))
    told = [f"{name}=0" if first_default <= place < cuts[1] else name for place, name in enumerate(names)]
    by_name = [f"{name}=0" if data.draw(st.booleans()) else name for name in told[cuts[1] :]]
    text = [
        *told[: cuts[0]],
        *(["/"] if cuts[0] else []),
        *told[cuts[0] : cuts[1]],
        *(["*"] if by_name else []),
        *by_name,
    ]
    function = eval(f"lambda {', '.join(text)}: None")

    def read(task: Any) -> Any:
        try:
            return takes(parameters_of(task), needed)
        except TypeError as error:
            return str(error)

    assert read(function) == read(partial(function))


def test_a_circle() -> None:
    with pytest.raises(GraphCycle, match="circle: a -> b -> a"):
        DAGExecutor(graph("a b", "b a")).execute(dict.fromkeys("ab", nothing))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_workers": 0}, "max_workers is a whole number, 1 or more, found 0"),
        ({"max_workers": True}, "found True"),
        ({"retries": -1}, "retries is a whole number, 0 or more"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"timeout": float("nan")}, "found nan"),
        ({"timeout": float("inf")}, "found inf"),
    ],
)
def test_numbers_that_make_no_sense(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DAGExecutor(DAG(), **settings)
