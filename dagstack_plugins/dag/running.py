"""One run of a graph: nodes begin as soon as those that they wait for have ended.

Plain functions run in threads, the workers. What a task returns to be awaited is awaited on an event loop,
and no worker waits for it. The thread that drives the run only looks at the clock.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import os
import threading
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import attrs

from dagstack_plugins.dag.attempt import Attempt
from dagstack_plugins.dag.coroutines import Coroutines
from dagstack_plugins.dag.errors import GateError, GateTimeout, NodeTimeout, ResultUnfit
from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.gates import GateController, Ticket
from dagstack_plugins.dag.graph import DAG
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plan import Plan, arguments
from dagstack_plugins.dag.results import ExecutionResult, NodeResult, NodeStatus
from dagstack_plugins.dag.tasks import Task
from dagstack_plugins.dag.workers import LOST, Workers

_log: Final = logging.getLogger("dagstack_plugins")
_FEW: Final = 1000
"""Deadlines that are kept before those of what has ended are thrown away."""
_WORKERS: Final = min(32, (os.cpu_count() or 1) + 4)


@attrs.frozen(kw_only=True)
class Settings:
    """How graphs are run.

    Attributes:
        hooks: who hears of it.
        gates: the gates of nodes.
        max_workers: how many plain functions run at once.
        fail_fast: whether nothing begins any more after a failure.
        timeout: seconds that one attempt may take.
        retries: how often a task that raised is tried again.
    """

    hooks: HookRegistry | None = None
    gates: GateController | None = None
    max_workers: int | None = None
    fail_fast: bool = True
    timeout: float | None = None
    retries: int = 0


class Run:
    """One run.

    Args:
        dag: the graph.
        plan: the graph and its tasks as numbers.
        settings: how it is run.
        loop: where coroutines run; left out, on a loop of the run's own.

    Attributes:
        id: identifies the run.
        was_cancelled: whether somebody ended it early.
    """

    def __init__(self, dag: DAG, plan: Plan, settings: Settings, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.id = uuid.uuid4().hex
        self.was_cancelled = False
        self._stopping = False
        self._ended = False
        self._broken: BaseException | None = None
        self._dag = dag
        self._plan = plan
        self._settings = settings
        self._hooks = settings.hooks
        self._gates = settings.gates
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._telling = threading.RLock()
        self._needs = list(plan.needs)
        self._begun = bytearray(len(plan.names))
        self._results: list[Any] = [None] * len(plan.names)
        self._left = len(plan.names)
        self._workers = Workers(self._lock, self._step, self._admitted, self._break, settings.max_workers or _WORKERS)
        names = self._gates.names() if self._gates is not None else ()
        self._gated = {plan.places[name]: name for name in names if name in plan.places}
        self._deadlines: list[tuple[float, int, Attempt | Ticket]] = []
        self._kept = _FEW
        self._number = itertools.count()
        self._at_gate: dict[str, tuple[int, Ticket]] = {}
        self._coroutines = Coroutines(self._lock, self._outcome, lambda: self.was_cancelled, loop)

    # The whole of it

    def drive(self) -> ExecutionResult:
        """Run the graph, and block until every node has ended."""
        begun = time.perf_counter()
        unwatch = self._gates.watch(self._gate_changed) if self._gates is not None else lambda: None
        try:
            if self._gates is not None:
                self._gates.begin_run(self._gated.values())
            self._tell(HookEvent.PRE_EXECUTE)
            self._workers.give(*(node for node, count in enumerate(self._plan.needs) if not count))
            self._wait()
        except BaseException:  # a user's interrupt
            self.cancel()
            self._wait()
            raise
        finally:
            unwatch()
            self._close()
            result = self._result(time.perf_counter() - begun)
            self._ended = True
            self._tell(HookEvent.POST_EXECUTE, execution_result=result)
        if self._broken is not None:
            raise self._broken
        return result

    def cancel(self) -> None:
        """Begin no more nodes, and cancel coroutines; plain functions that run are waited for."""
        with self._lock:
            if not self._left:
                return
            self.was_cancelled = True
            self._begin_no_more()
            awaited = self._coroutines.running()
            self._news.notify_all()
        for attempt in awaited:
            self._coroutines.cancel(attempt)

    def _break(self, error: BaseException) -> None:
        """The executor itself failed in a worker: whoever drives the run is told, and does not wait for ever."""
        self._broken = self._broken or error
        self.cancel()

    def _result(self, seconds: float) -> ExecutionResult:
        # Only an interrupted run that was given up has nodes without a result.
        ended = [
            NodeResult(name, NodeStatus.CANCELLED) if result is None else result
            for name, result in zip(self._plan.names, self._results, strict=True)
        ]
        by_name = {result.name: result for result in ended}
        return ExecutionResult(self.id, by_name, seconds, was_cancelled=self.was_cancelled)

    def _close(self) -> None:
        # With nodes left, the run was given up, and nobody knows when its tasks end.
        self._workers.close(wait=not self._left)
        if self._gates is not None:
            for _, ticket in list(self._at_gate.values()):
                self._gates.leave(ticket)
            self._gates.end_run(self._gated.values())
        for attempt in self._coroutines.running():
            _log.warning("node %r still runs in a coroutine that was cancelled", self._plan.names[attempt.node])
        self._coroutines.close()

    def _tell(self, event: HookEvent, name: str | None = None, **told: Any) -> None:
        """Fire an event. Events of a run come one at a time, so that callbacks need no locks."""
        if self._hooks is None or not self._hooks.heard(event):
            return
        context = HookContext(event=event, dag=self._dag, node_name=name, run_id=self.id, **told)
        with self._telling:
            if self._ended and event is not HookEvent.POST_EXECUTE:  # of what a run left behind that was given up
                return
            try:
                self._hooks.fire(context)
            except Exception:  # of warnings that were made errors: whoever wants them so must not lose the run
                _log.exception("a callback failed in %s", event)

    # Time

    def _wait(self) -> None:
        """Until every node has ended; those that take too long are given up."""
        while True:
            with self._news:
                if not self._left or self._broken is not None:
                    return
                expired = self._expired()
                if not expired:
                    self._news.wait(self._seconds_left())
                    continue
            for one in expired:
                if isinstance(one, Ticket):
                    assert self._gates is not None
                    self._gates.expire(one)
                else:
                    self._give_up(one)

    def _expired(self) -> list[Attempt | Ticket]:
        now, found = time.monotonic(), []
        while self._deadlines and (self._deadlines[0][0] <= now or _is_over(self._deadlines[0][2])):
            one = heapq.heappop(self._deadlines)[2]
            if not _is_over(one):
                found.append(one)
        return found

    def _seconds_left(self) -> float | None:
        if not self._deadlines:
            return None
        return min(threading.TIMEOUT_MAX, max(0.0, self._deadlines[0][0] - time.monotonic()))

    def _expect(self, deadline: float, one: Attempt | Ticket) -> None:
        with self._news:
            heapq.heappush(self._deadlines, (deadline, next(self._number), one))
            if len(self._deadlines) > 2 * self._kept:  # most have ended in time
                self._deadlines = [entry for entry in self._deadlines if not _is_over(entry[2])]
                heapq.heapify(self._deadlines)
                self._kept = max(_FEW, len(self._deadlines))
            if self._deadlines[0][2] is one:
                self._news.notify_all()

    def _give_up(self, attempt: Attempt) -> None:
        if not self._settle(attempt):
            return
        if attempt.thread is None:
            self._coroutines.cancel(attempt)
        else:
            self._workers.lose(attempt.thread)
            _log.warning("node %r still runs in a thread that nobody waits for", self._plan.names[attempt.node])
        name, seconds = self._plan.names[attempt.node], time.perf_counter() - attempt.begun
        error = NodeTimeout(f"node {name!r} took longer than timeout = {self._settings.timeout:g} s")
        result = NodeResult(name, NodeStatus.TIMED_OUT, None, error, attempt.started_at, seconds, attempt.number)
        self._settled(attempt.node, result, by_worker=False)

    # One node; each step of a worker returns the next thing that it is to do

    def _admitted(self, thing: Any) -> bool:
        """Whether a node that comes up is still to run; those at gates, and what is no node, see for themselves."""
        if type(thing) is not int or thing in self._gated:
            return True
        if self._results[thing] is not None:
            return False
        self._begun[thing] = 1
        return True

    def _step(self, thing: Any) -> Any:
        if type(thing) is not int:
            return thing()
        if thing in self._gated:
            return self._come_to_gate(thing)
        return self._first_attempt(thing)

    def _first_attempt(self, node: int) -> Any:
        if self._hooks is not None and self._hooks.heard(HookEvent.PRE_NODE):
            with self._telling:  # others may have been told of a failure meanwhile, after which nothing begins
                if self._withdrawn(node):
                    return None
                self._tell(HookEvent.PRE_NODE, self._plan.names[node])
        return self._attempt(Attempt(node, 1, datetime.now(UTC), time.perf_counter()))

    def _withdrawn(self, node: int) -> bool:
        with self._lock:
            if not self._stopping:
                return False
            self._results[node] = NodeResult(self._plan.names[node], NodeStatus.CANCELLED)
            self._end_one()
            return True

    def _attempt(self, attempt: Attempt) -> Any:
        plan, node = self._plan, attempt.node
        while True:
            if self._settings.timeout is not None:
                attempt.thread = threading.current_thread()
                self._expect(time.monotonic() + self._settings.timeout, attempt)
            context = self._context.copy()
            value, error = _called(context, plan.tasks[node], arguments(plan.takes[node], self._results))
            if error is None and hasattr(type(value), "__await__"):
                return None if self._coroutines.begin(attempt, value, context) else LOST
            if not self._settle(attempt):
                return LOST
            if error is None:
                return self._end(attempt, NodeStatus.SUCCEEDED, value)
            if (another := self._another(attempt, error)) is None:
                return self._end(attempt, NodeStatus.FAILED, error=error)
            attempt = another

    def _another(self, attempt: Attempt, error: BaseException) -> Attempt | None:
        """What is tried after an attempt that failed, if anything is."""
        if attempt.number > self._settings.retries or self.was_cancelled or isinstance(error, ResultUnfit):
            return None
        return Attempt(attempt.node, attempt.number + 1, attempt.started_at, attempt.begun)

    def _settle(self, attempt: Attempt) -> bool:
        """Whether it is ours to say what became of an attempt: only one says it."""
        if self._settings.timeout is None:  # nobody else would
            return True
        with self._lock:
            if attempt.over:
                return False
            attempt.over = True
            return True

    def _end(self, attempt: Attempt, status: NodeStatus, value: Any = None, error: BaseException | None = None) -> Any:
        seconds = attempt.seconds or time.perf_counter() - attempt.begun
        name = self._plan.names[attempt.node]
        result = NodeResult(name, status, value, error, attempt.started_at, seconds, attempt.number)
        return self._settled(attempt.node, result)

    def _settled(self, node: int, result: NodeResult, *, by_worker: bool = True) -> Any:
        with self._lock:
            self._results[node] = result
            if result.status is not NodeStatus.SUCCEEDED:  # first of all: nothing begins while callbacks are told
                self._skip_after(node, result.error)
                if self._settings.fail_fast:
                    self._begin_no_more()
        try:
            if result.status is NodeStatus.SUCCEEDED:
                self._tell(HookEvent.POST_NODE, result.name, node_result=result)
            elif result.status is not NodeStatus.CANCELLED:
                self._tell(HookEvent.ON_ERROR, result.name, node_result=result, error=result.error)
        finally:  # also where a user interrupts a callback
            following = self._follow(node, result.status, by_worker=by_worker)
        return following

    def _follow(self, node: int, status: NodeStatus, *, by_worker: bool) -> Any:
        with self._lock:
            ready: list[int] = []
            if status is NodeStatus.SUCCEEDED:
                for one in self._plan.dependents[node]:
                    self._needs[one] -= 1
                    if not self._needs[one]:
                        ready.append(one)
            self._end_one()
            return self._workers.go_on(ready) if by_worker else self._workers.put(ready)

    def _end_one(self) -> None:
        self._left -= 1
        if not self._left:
            self._news.notify_all()

    def _skip_after(self, node: int, error: BaseException | None) -> None:
        waiting = list(self._plan.dependents[node])
        while waiting:
            one = waiting.pop()
            if self._results[one] is None:
                self._results[one] = NodeResult(self._plan.names[one], NodeStatus.SKIPPED, error=error)
                self._end_one()
                waiting += self._plan.dependents[one]

    def _begin_no_more(self) -> None:
        self._stopping = True
        for node, result in enumerate(self._results):
            if result is None and not self._begun[node]:
                self._results[node] = NodeResult(self._plan.names[node], NodeStatus.CANCELLED)
                self._end_one()

    # Coroutines

    def _outcome(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        """A coroutine has ended, now: a worker tells of it as soon as one is free."""
        attempt.seconds = time.perf_counter() - attempt.begun
        if self._settle(attempt):
            self._workers.give_first(partial(self._after, attempt, value, error))

    def _after(self, attempt: Attempt, value: Any, error: BaseException | None) -> Any:
        if error is None:
            return self._end(attempt, NodeStatus.SUCCEEDED, value)
        if self.was_cancelled and isinstance(error, asyncio.CancelledError):
            return self._end(attempt, NodeStatus.CANCELLED, error=error)
        another = self._another(attempt, error)
        return self._end(attempt, NodeStatus.FAILED, error=error) if another is None else self._attempt(another)

    # Gates

    def _come_to_gate(self, node: int) -> Any:
        assert self._gates is not None
        name = self._gated[node]
        with self._lock:
            if self._results[node] is not None:
                return None
        ticket = self._gates.enter(name)
        with self._lock:
            self._at_gate[name] = node, ticket
        if ticket.deadline is not None and not ticket.decided:
            self._expect(ticket.deadline, ticket)
        return self._pass_gate(name) if ticket.decided else None

    def _gate_changed(self, name: str) -> None:
        with self._lock:
            _, ticket = self._at_gate.get(name, (0, None))
        if ticket is not None and ticket.decided:
            self._workers.give(partial(self._pass_gate, name))

    def _pass_gate(self, name: str) -> Any:
        assert self._gates is not None
        with self._lock:
            node, ticket = self._at_gate.pop(name, (0, None))
            if ticket is None:
                return None
            withdrawn = self._results[node] is not None
            self._begun[node] = 1
        self._gates.leave(ticket)
        if withdrawn:
            return None
        try:
            ticket.check()
        except GateTimeout as error:
            return self._settled(node, NodeResult(name, NodeStatus.TIMED_OUT, error=error))
        except GateError as error:
            return self._settled(node, NodeResult(name, NodeStatus.FAILED, error=error))
        return self._first_attempt(node)


def _is_over(one: Attempt | Ticket) -> bool:
    return one.decided if isinstance(one, Ticket) else one.over


def _called(context: contextvars.Context, task: Task, given: dict[str, Any]) -> tuple[Any, BaseException | None]:
    """What a task returned, or raised: whatever that is, it must not end a worker."""
    try:
        return context.run(task, **given), None
    except BaseException as error:
        return None, error
