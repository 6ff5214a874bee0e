"""What became of a run and of its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import attrs

from dagstack_plugins.dag.errors import DagError
from dagstack_plugins.wording import raised


class NodeStatus(StrEnum):
    """What became of a node; each ends as exactly one of these."""

    SUCCEEDED = "succeeded"
    """Its task returned."""
    FAILED = "failed"
    """Its task raised, or its gate was rejected."""
    SKIPPED = "skipped"
    """A node that it waits for did not succeed."""
    TIMED_OUT = "timed_out"
    """Its task, or the person at its gate, took too long."""
    CANCELLED = "cancelled"
    """The run ended before it did."""


# Made for every node: attrs' frozen classes would take several times as long.
@attrs.define(eq=False)
class NodeResult:
    """What became of a node.

    Attributes:
        name: the node.
        status: how it ended.
        value: what its task returned.
        error: why it did not succeed; of one that was skipped, the error of the node that it waited for.
        started_at: when its task began, in UTC; ``None`` if it never did.
        duration_seconds: how long its task took, all attempts together.
        attempts: how often its task was begun.
    """

    name: str
    status: NodeStatus
    value: Any = None
    error: BaseException | None = None
    started_at: datetime | None = None
    duration_seconds: float = 0.0
    attempts: int = 0


_WORDS: Final = {
    NodeStatus.FAILED: "a failure",
    NodeStatus.SKIPPED: "skipped",
    NodeStatus.TIMED_OUT: "given up",
    NodeStatus.CANCELLED: "cancelled",
}


class ExecutionResult:
    """What became of a run.

    Attributes:
        run_id: identifies the run.
        node_results: what became of each node, in the order of the graph.
        total_duration_seconds: how long the run took.
        was_cancelled: whether somebody ended it early.
    """

    def __init__(
        self,
        run_id: str,
        node_results: Mapping[str, NodeResult],
        total_duration_seconds: float,
        *,
        was_cancelled: bool = False,
    ) -> None:
        self.run_id = run_id
        self.node_results = dict(node_results)
        self.total_duration_seconds = total_duration_seconds
        self.was_cancelled = was_cancelled

    @cached_property
    def _counts(self) -> Counter[NodeStatus]:
        return Counter(result.status for result in self.node_results.values())

    @property
    def succeeded(self) -> int:
        """How many nodes succeeded."""
        return self._counts[NodeStatus.SUCCEEDED]

    @property
    def failed(self) -> int:
        """How many nodes failed."""
        return self._counts[NodeStatus.FAILED]

    @property
    def skipped(self) -> int:
        """How many nodes were skipped, as one that they wait for did not succeed."""
        return self._counts[NodeStatus.SKIPPED]

    @property
    def timed_out(self) -> int:
        """How many nodes took too long."""
        return self._counts[NodeStatus.TIMED_OUT]

    @property
    def cancelled(self) -> int:
        """How many nodes had not ended when the run did."""
        return self._counts[NodeStatus.CANCELLED]

    @property
    def ok(self) -> bool:
        """Whether all nodes succeeded."""
        return self.succeeded == len(self.node_results)

    @property
    def status(self) -> str:
        """``succeeded``, ``failed``, or ``cancelled`` if somebody ended the run before anything failed."""
        if self.ok:
            return "succeeded"
        return "failed" if self.failed or self.timed_out else "cancelled"

    @property
    def error(self) -> BaseException | None:
        """The error of the first node, in the order of the graph, that failed or timed out."""
        return next((result.error for result in self._blamed()), None)

    def _blamed(self) -> Iterator[NodeResult]:
        blamed = (NodeStatus.FAILED, NodeStatus.TIMED_OUT)
        return (result for result in self.node_results.values() if result.status in blamed)

    def __getitem__(self, name: str) -> Any:
        """What a node's task returned.

        Raises:
            KeyError: if there is no such node.
            DagError: if it did not succeed; the node's error is the cause.
        """
        result = self.node_results[name]
        if result.status is not NodeStatus.SUCCEEDED:
            why = f": {raised(result.error)}" if result.error is not None else ""
            raise DagError(f"node {name!r} has no result, as it was {_WORDS[result.status]}{why}") from result.error
        return result.value

    def __repr__(self) -> str:
        told = ", ".join(f"{count} {status}" for status in NodeStatus if (count := self._counts[status]))
        return f"<ExecutionResult: {told or 'no nodes'}, {self.total_duration_seconds:.3f} s>"
