"""``DAGExecutor``: runs graphs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf

from dagstack_plugins.dag.errors import GraphInvalid
from dagstack_plugins.dag.gates import ApprovalGate, GateController
from dagstack_plugins.dag.graph import DAG
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plan import Plan
from dagstack_plugins.dag.plugins import default_hooks
from dagstack_plugins.dag.results import ExecutionResult
from dagstack_plugins.dag.running import Run, Settings
from dagstack_plugins.dag.tasks import Task
from dagstack_plugins.errors import DispatchMismatch
from dagstack_plugins.wording import nearest, shown


class DAGExecutor:
    """Runs a graph: each node begins as soon as those that it waits for have succeeded.

    A task is a function, a coroutine function, or what ``plugin_task`` makes. Its parameters are named after nodes that
    its own waits for, and get their results. Plain functions run in threads, coroutines on an event loop.

    Examples:
        >>> from dagstack_plugins.dag import DAGBuilder
        >>> dag = DAGBuilder().add_nodes(["extract", "load"]).add_edge("extract", "load").build()
        >>> result = DAGExecutor(dag).execute({"extract": lambda: [1, 2], "load": lambda extract: sum(extract)})
        >>> result.succeeded, result["load"]
        (2, 3)

    Args:
        dag: the graph.
        hooks: who hears of the run; left out, the plugins that were declared by ``dag_plugin``.
        gates: the gates at which nodes of their names wait for a person: a controller, or the gates by name.
        max_workers: how many plain functions run at once; left out, it depends on the machine. Coroutines don't count.
        fail_fast: whether no node begins any more once one has failed; else those go on that don't wait for it.
        timeout: how many seconds one attempt at a node may take; left out, any time. A coroutine is cancelled then; a
            plain function can't be, and its thread is left behind.
        retries: how often a task that raised is tried again, at once. What took too long is not.

    Raises:
        GraphInvalid: if there are gates of nodes that the graph doesn't have; of a controller, which may be that of
            several graphs, those whose names are nearly a node's.
        ValueError: if a number is none that makes sense.
    """

    def __init__(
        self,
        dag: DAG,
        hooks: HookRegistry | None = None,
        gates: GateController | Mapping[str, ApprovalGate] | None = None,
        max_workers: int | None = None,
        fail_fast: bool = True,
        timeout: float | None = None,
        retries: int = 0,
    ) -> None:
        self.dag = dag
        self._hooks = hooks
        self._gates = None if gates is None else _gates(gates, dag)
        self._max_workers = None if max_workers is None else _whole("max_workers", max_workers, 1)
        self._fail_fast = fail_fast
        self._timeout = None if timeout is None else _seconds(timeout)
        self._retries = _whole("retries", retries, 0)
        self._runs: set[Run] = set()

    @property
    def gates(self) -> GateController | None:
        """The gates of its nodes."""
        return self._gates

    def execute(self, tasks: Mapping[str, Task]) -> ExecutionResult:
        """Run the graph, and block until every node has ended. Failures of nodes are in the result, and not raised.

        A user's interrupt (Ctrl-C) cancels the run and is raised when what runs has ended; a second one at once.

        Args:
            tasks: what each node runs.

        Raises:
            GraphInvalid: if the graph has a circle, or the tasks don't fit it; nothing has run then.
            DispatchMismatch: on an event loop, which it would block.
        """
        if _is_on_loop():
            raise DispatchMismatch("execute blocks, and would hold up the event loop: await executor.aexecute(tasks)")
        run = self._run(tasks)
        with self._under_way(run):
            return run.drive()

    async def aexecute(self, tasks: Mapping[str, Task]) -> ExecutionResult:
        """The same, awaited; coroutines run on the loop that awaits it.

        Cancelled, it cancels the run, and ends when plain functions that run have ended; cancelled again, at once.

        Args:
            tasks: what each node runs.

        Raises:
            GraphInvalid: if the graph has a circle, or the tasks don't fit it; nothing has run then.
        """
        run = self._run(tasks, asyncio.get_running_loop())
        with self._under_way(run):
            driven = asyncio.wrap_future(_driven(run))
            try:
                return await asyncio.shield(driven)
            except asyncio.CancelledError:
                run.cancel()
                await asyncio.shield(driven)
                raise

    def cancel(self) -> None:
        """End the runs that are under way: no node begins any more, coroutines are cancelled.

        It may be called from any thread, but not by a handler of ``signal``, which may have interrupted the executor
        itself; ``loop.add_signal_handler`` is fine.
        """
        for run in tuple(self._runs):
            run.cancel()

    def _run(self, tasks: Mapping[str, Task], loop: asyncio.AbstractEventLoop | None = None) -> Run:
        settings = Settings(
            hooks=default_hooks() if self._hooks is None else self._hooks,
            gates=self._gates,
            max_workers=self._max_workers,
            fail_fast=self._fail_fast,
            timeout=self._timeout,
            retries=self._retries,
        )
        return Run(self.dag, Plan.of(self.dag, tasks), settings, loop)

    @contextmanager
    def _under_way(self, run: Run) -> Iterator[None]:
        self._runs.add(run)
        try:
            yield
        finally:
            self._runs.discard(run)


def _driven(run: Run) -> concurrent.futures.Future[ExecutionResult]:
    """A run that is driven by a thread of its own."""
    outcome: concurrent.futures.Future[ExecutionResult] = concurrent.futures.Future()
    context = contextvars.copy_context()

    def drive() -> None:
        try:
            outcome.set_result(context.run(run.drive))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=drive, name="dagstack-plugins-dag-run", daemon=True).start()
    return outcome


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _gates(gates: GateController | Mapping[str, ApprovalGate], dag: DAG) -> GateController:
    """The gates; a node must not go ungated because somebody misspelt its name."""
    names = dag.node_names()
    shared = isinstance(gates, GateController)
    for name in gates.names() if isinstance(gates, GateController) else gates:
        hint = nearest(str(name), names)
        if name not in names and (hint or not shared):  # a controller may have the gates of other graphs too
            raise GraphInvalid(f"there is a gate {name!r}, but no node of that name{hint}")
    return gates if isinstance(gates, GateController) else GateController(gates)


def _whole(what: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} is a whole number, {least} or more, found {shown(value)}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise ValueError(f"timeout is a number of seconds above 0, found {shown(value)}")
    return value
