"""The seven events of building and running a graph, and what their listeners are told."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from dagstack_plugins.dag.graph import DAG


class HookEvent(StrEnum):
    """What happens; each is a hook of kind ``dag_listener``."""

    PRE_BUILD = "pre_build"
    """A builder begins; ``dag`` is what it was given, not checked yet."""
    POST_BUILD = "post_build"
    """A builder has ended; ``dag`` is complete."""
    PRE_EXECUTE = "pre_execute"
    """A run begins."""
    POST_EXECUTE = "post_execute"
    """A run has ended, however; ``execution_result`` tells."""
    PRE_NODE = "pre_node"
    """A node is about to run."""
    POST_NODE = "post_node"
    """A node has succeeded; ``node_result`` tells."""
    ON_ERROR = "on_error"
    """A node has failed or timed out; ``error`` says why."""


# Made for every event: attrs' frozen classes would take several times as long.
@attrs.define(eq=False)
class HookContext:
    """What a callback is told.

    Examples:
        >>> HookContext(event=HookEvent.PRE_NODE, node_name="extract").node_name
        'extract'

    Attributes:
        event: what happened.
        dag: the graph that is built or run.
        node_name: the node, for the events of one.
        node_result: what became of it, a ``NodeResult``, once that is known.
        error: why it failed, for ``ON_ERROR``.
        execution_result: what became of the run, an ``ExecutionResult``, for ``POST_EXECUTE``.
        metadata: for whoever fires the event, and its callbacks; the executor leaves it empty.
        run_id: which run it belongs to; ``None`` outside of one.
    """

    event: HookEvent
    dag: DAG | None = None
    node_name: str | None = None
    node_result: Any = None
    error: BaseException | None = None
    execution_result: Any = None
    metadata: dict[str, Any] = attrs.Factory(dict)
    run_id: str | None = None
    payload: dict[str, Any] | None = attrs.field(default=None, init=False, repr=False)
    """The event as JSON, once a plugin has heard it."""
