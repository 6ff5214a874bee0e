"""What the dashboard knows of the runs of this process: fed by events, read as JSON."""

from __future__ import annotations

import itertools
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.gates import GateController, GateStatus
from dagstack_plugins.dag.graph import DAG
from dagstack_plugins.dag.results import ExecutionResult, NodeResult, NodeStatus
from dagstack_plugins.dag.shipped.logs import told
from dagstack_plugins.wording import said

PENDING: Final = "pending"
WAITING: Final = "waiting"
RUNNING: Final = "running"
_STATUSES: Final = (PENDING, WAITING, RUNNING, *(str(status) for status in NodeStatus))
LOG_SHOWN: Final = 500
"""Entries of the log in one answer; older ones are asked for."""
_LOG_AT_ONCE: Final = 100
"""The same for what is told ten times a second, which nobody can read."""
_RUNS_KEPT: Final = 20
_NODES_KEPT: Final = 200_000
"""Nodes of all earlier runs together: a process may run large graphs for weeks."""
_MESSAGE: Final = 2_000
_TRACEBACK: Final = 20_000
"""Characters that are kept of what errors say."""
_FRAMES: Final = 20
"""The last calls of a traceback."""
_TRACEBACKS: Final = 100
"""Failures of a run whose tracebacks are kept: of thousands nobody reads them all, and each takes time to write."""


_Entry = tuple[float, str, str | None, str]
"""One line of a run's log, and one change of what is known of a node.

It is: seconds since the run began; a ``HookEvent``, ``skipped``, ``cancelled`` or ``gate``; the node, if it is about
one; what there is to say. A plain tuple, as two are made for every node.
"""


# Changed for every event: plain attributes.
@attrs.define(eq=False)
class _Node:
    """What is known of a node; times are seconds, ``started`` counts from the beginning of the run."""

    name: str
    attributes: dict[str, Any]
    status: str = PENDING
    started: float | None = None
    seconds: float | None = None
    waited_at: float | None = None
    waited: float | None = None
    attempts: int = 0
    error: dict[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**self.changing(), "attributes": self.attributes}

    def changing(self) -> dict[str, Any]:
        """All but what is the same from beginning to end."""
        return {
            "name": self.name,
            "status": self.status,
            "started": self.started,
            "seconds": self.seconds,
            "waited_at": self.waited_at,
            "waited": self.waited,
            "attempts": self.attempts,
            "error": self.error,
        }


class _Run:
    """What is known of a run."""

    def __init__(self, key: str, dag: DAG | None) -> None:
        self.id = key
        self.status = RUNNING
        self.started_at = datetime.now(UTC)
        self._begun = time.perf_counter()
        self._seconds: float | None = None
        graph = dag.to_dict() if dag is not None else {"nodes": [], "edges": []}
        self.nodes = {node["name"]: _Node(node.pop("name"), node) for node in graph["nodes"]}
        self.edges: list[list[str]] = graph["edges"]
        self._dependents: dict[str, list[str]] = {}
        self._needed: dict[str, list[str]] = {}
        for before, after in self.edges:
            self._dependents.setdefault(before, []).append(after)
            self._needed.setdefault(after, []).append(before)
        self.counts = dict.fromkeys(_STATUSES, 0)
        self.counts[PENDING] = len(self.nodes)
        self.log: list[_Entry] = []
        self.tracebacks = 0
        self.gates: dict[str, dict[str, Any]] = {}
        """How its gates stood when it ended."""
        self._stood: dict[str, tuple[int, str]] = {}

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun if self._seconds is None else self._seconds

    @property
    def is_over(self) -> bool:
        return self._seconds is not None

    def say(self, event: str, node: str | None = None, message: str = "") -> None:
        self.log.append((self.seconds, event, node, message))

    def become(self, node: _Node, status: str) -> None:
        self.counts[node.status] -= 1
        self.counts[status] += 1
        node.status = status

    def node_begins(self, name: str) -> None:
        node = self._node(name)
        node.started = at = time.perf_counter() - self._begun
        self.become(node, RUNNING)
        self.log.append((at, "pre_node", name, ""))

    def node_succeeds(self, name: str, result: object) -> None:
        node = self._node(name)
        self._note(node, result)
        self.become(node, "succeeded")
        self.log.append((time.perf_counter() - self._begun, "post_node", name, ""))

    def node_fails(self, name: str, result: object, error: dict[str, str]) -> None:
        node = self._node(name)
        self._note(node, result)
        timed_out = isinstance(result, NodeResult) and result.status is NodeStatus.TIMED_OUT
        self.become(node, NodeStatus.TIMED_OUT if timed_out else NodeStatus.FAILED)
        node.error = error
        told = ": ".join(filter(None, (error["type"], error["message"])))
        self.say(HookEvent.ON_ERROR, name, told)
        self._skip_after(name)

    def _note(self, node: _Node, result: object) -> None:
        if isinstance(result, NodeResult):
            node.attempts = result.attempts
            node.seconds = result.duration_seconds if result.attempts else None
        elif node.started is not None:  # somebody fires events by hand
            node.seconds = self.seconds - node.started

    def _skip_after(self, name: str) -> None:
        """No event tells that, but it is the rule of every run: what waits for a failure never begins."""
        waiting = list(self._dependents.get(name, ()))
        while waiting:
            node = self.nodes[waiting.pop()]
            if node.status in (PENDING, WAITING):
                self.become(node, NodeStatus.SKIPPED)
                node.error = self.nodes[name].error
                self.say(NodeStatus.SKIPPED, node.name, f"waits for {name}")
                waiting += self._dependents.get(node.name, ())

    def gate_changed(self, name: str, status: GateStatus, reason: str, number: int) -> None:
        node = self.nodes.get(name)
        if node is None or self.is_over or self._stood.get(name) == (number, status):
            return
        # Runs may share a gate: at this one waits only what could begin.
        ready = all(self.nodes[one].status == NodeStatus.SUCCEEDED for one in self._needed.get(name, ()))
        if status is GateStatus.WAITING and not (ready and node.status == PENDING):
            return
        self._stood[name] = number, status
        if status is GateStatus.WAITING:
            self.become(node, WAITING)
            node.waited_at = self.seconds
        elif node.status == WAITING:
            self.become(node, PENDING)
            node.waited = self.seconds - (node.waited_at or 0.0)
        word = "waits no more" if status is GateStatus.PENDING else status.replace("_", " ")
        self.say("gate", name, f"{word}: {reason}" if reason else word)

    def go_on(self) -> None:
        """More is heard of a run that was taken for ended."""
        self.status, self._seconds = RUNNING, None

    def end(self, result: ExecutionResult | None) -> None:
        if isinstance(result, ExecutionResult):
            for one in result.node_results.values():
                self._settle(one)
            self._seconds = result.total_duration_seconds
            self.status = result.status
            self.say(HookEvent.POST_EXECUTE, message=told(result))
        else:
            self._seconds = self.seconds
            self.status = "ended"
            self.say(HookEvent.POST_EXECUTE)

    def _settle(self, result: NodeResult) -> None:
        """Events tell of neither nodes that never began nor of those that were cancelled: the result does."""
        node = self._node(result.name)
        if node.status != result.status:
            self._note(node, result)
            self.become(node, result.status)
            if result.error is not None and node.error is None:
                node.error = _as_dict(result.error, traced=False)
            self.say(result.status, node.name)

    def _node(self, name: str) -> _Node:
        node = self.nodes.get(name)
        if node is None:  # of a graph that was changed while it ran, or of events that are fired by hand
            node = self.nodes[name] = _Node(name, {})
            self.counts[PENDING] += 1
        return node

    # As JSON

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "started_at": self.started_at.isoformat(),
            "seconds": self.seconds,
            "counts": {status: count for status, count in self.counts.items() if count},
        }

    def whole(self) -> dict[str, Any]:
        """All of it; its nodes are made into JSON later, some at a time, without the lock."""
        return {
            **self.summary(),
            "nodes": list(self.nodes.values()),
            "edges": self.edges,
            "log": self.entries(len(self.log)),
            "log_total": len(self.log),
        }

    def entries(self, before: int, after: int = 0, most: int = LOG_SHOWN) -> list[dict[str, Any]]:
        """The last entries before a number, and from another on."""
        first = max(after, before - most, 0)
        return [
            {"number": number, "at": at, "event": event, "node": node, "message": message}
            for number, (at, event, node, message) in enumerate(self.log[first:before], first)
        ]

    def changes(self, since: int) -> dict[str, Any]:
        names = dict.fromkeys(node for _, _, node, _ in self.log[since:])
        return {
            **self.summary(),
            "nodes": [self.nodes[name].changing() for name in names if name is not None],
            "log": self.entries(len(self.log), since, _LOG_AT_ONCE),
            "log_total": len(self.log),
        }


class Board:
    """The runs of this process, and the gates; may be used from any thread.

    Args:
        gates: the gates that people decide at here.
        title: what the page is called.
    """

    def __init__(self, gates: GateController | None = None, title: str = "Dashboard") -> None:
        self.gates = gates
        self.title = title
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._by_key: dict[str | None, _Run] = {}
        self._numbers = itertools.count(1)
        self.version = 0

    # What happens

    def begins(self, ctx: HookContext) -> None:
        """A run begins."""
        with self._lock:
            if (before := self._by_key.pop(ctx.run_id, None)) is not None:  # whoever fires by hand told of no end
                before.end(None)
            self._begin(ctx)

    def _begin(self, ctx: HookContext) -> _Run:
        # Who fires events by hand, as in a test, need not know of runs.
        key = ctx.run_id if ctx.run_id is not None else f"run {next(self._numbers)}"
        if (run := self._runs.get(key)) is not None:
            run.go_on()
            self._by_key[key] = run
            return run
        run = _Run(key, ctx.dag)
        self._by_key[ctx.run_id] = self._runs[key] = run
        run.say(HookEvent.PRE_EXECUTE, message=f"{len(run.nodes)} node{'s' * (len(run.nodes) != 1)}")
        self._forget()
        self.version += 1
        return run

    def _of(self, ctx: HookContext) -> _Run:
        run = self._by_key.get(ctx.run_id)
        return run if run is not None else self._begin(ctx)

    def node_begins(self, ctx: HookContext) -> None:
        """A node is about to run."""
        with self._lock:
            self._of(ctx).node_begins(ctx.node_name or "")

    def node_succeeded(self, ctx: HookContext) -> None:
        """A node succeeded."""
        with self._lock:
            self._of(ctx).node_succeeds(ctx.node_name or "", ctx.node_result)

    def node_failed(self, ctx: HookContext) -> None:
        """A node failed, or timed out."""
        run = self._by_key.get(ctx.run_id)
        traced = run is None or run.tracebacks < _TRACEBACKS
        error = _as_dict(ctx.error, traced=traced)  # not under the lock: that runs code of the error's author
        with self._lock:
            run = self._of(ctx)
            run.tracebacks += traced
            run.node_fails(ctx.node_name or "", ctx.node_result, error)

    def ended(self, ctx: HookContext) -> None:
        """A run has ended."""
        with self._lock:
            if ctx.run_id in self._runs and ctx.run_id not in self._by_key:  # told before
                return
            run = self._of(ctx)
            run.end(ctx.execution_result)
            run.gates = {gate["name"]: gate for gate in self._gates() if gate["name"] in run.nodes}
            del self._by_key[ctx.run_id]
            self.version += 1

    def deaf(self) -> None:
        """Nothing more is heard of the runs that are under way."""
        with self._lock:
            for run in self._by_key.values():
                run.end(None)
            self._by_key.clear()
            self.version += 1

    def gate_changed(self, name: str) -> None:
        """Something begins to wait at a gate, or need not wait any more."""
        assert self.gates is not None
        with self._lock:  # so that two changes are noted in the order in which they are read
            gate = self.gates.overview()[name]
            for run in self._by_key.values():
                run.gate_changed(name, GateStatus(gate["status"]), gate["reason"], gate["number"])
            self.version += 1

    def _forget(self) -> None:
        """Of earlier runs, the oldest ones."""
        left = [run for run in self._runs.values() if run.is_over]
        nodes = sum(len(run.nodes) for run in left)
        for run in left[:]:
            if len(left) <= _RUNS_KEPT and nodes <= _NODES_KEPT:
                return
            left.remove(run)
            nodes -= len(run.nodes)
            del self._runs[run.id]

    # What is known, as JSON

    def newest(self) -> str | None:
        """The run that began last."""
        with self._lock:
            return next(reversed(self._runs), None)

    def state(self, key: str | None) -> dict[str, Any]:
        """All there is to know: one run in full, all runs in short, the gates."""
        with self._lock:
            run = self._runs.get(key) if key is not None else None
            return {
                "title": self.title,
                "run": run.whole() if run is not None else None,
                "runs": [one.summary() for one in self._runs.values()],
                "gates": list(self._gates_of(run)),
            }

    def known(self, key: str) -> bool:
        """Whether there is such a run."""
        return key in self._runs

    def overview(self, key: str | None) -> dict[str, Any]:
        """All runs in short, and the gates of one."""
        with self._lock:
            run = self._runs.get(key) if key is not None else None
            runs = [one.summary() for one in self._runs.values()]
            return {"runs": runs, "gates": list(self._gates_of(run))}

    def changes(self, key: str, since: int) -> dict[str, Any] | None:
        """What changed in a run since its log had ``since`` entries; ``None``: nothing."""
        with self._lock:
            run = self._runs.get(key)
            return run.changes(since) if run is not None and len(run.log) > since else None

    def log(self, key: str, before: int) -> list[dict[str, Any]]:
        """The entries of a run's log that come before the one of a number, the last of them.

        Raises:
            KeyError: if there is no such run.
        """
        with self._lock:
            return self._runs[key].entries(before)

    def _gates(self) -> Iterator[dict[str, Any]]:
        if self.gates is None:
            return
        for name, gate in self.gates.overview().items():
            yield {"name": name, **gate}

    def _gates_of(self, run: _Run | None) -> Iterator[dict[str, Any]]:
        """Those of a run, and others that wait now; of a run that has ended, as they stood then."""
        if run is None:
            yield from self._gates()
        elif run.is_over:
            yield from run.gates.values()
        else:
            for gate in self._gates():
                if gate["name"] in run.nodes or gate["status"] == GateStatus.WAITING:
                    yield gate


def _as_dict(error: BaseException | None, *, traced: bool = True) -> dict[str, str]:
    if error is None:
        return {"type": "", "message": "", "traceback": ""}
    trace = "".join(traceback.format_exception(error, limit=-_FRAMES)) if traced else ""
    cut = trace if len(trace) <= _TRACEBACK else f"…{trace[-_TRACEBACK:]}"
    return {"type": type(error).__name__, "message": said(error)[:_MESSAGE], "traceback": cut}
