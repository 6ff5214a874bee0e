"""``TimingPlugin``: how long nodes take, over all runs."""

from __future__ import annotations

from typing import Any

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plugins import DagPlugin
from dagstack_plugins.times import TimesTable


class TimingPlugin(DagPlugin):
    """Counts and times nodes by their names.

    Examples:
        >>> from dagstack_plugins.dag import DAG, DAGExecutor, PluginManager
        >>> dag, timing, manager = DAG(), TimingPlugin(), PluginManager()
        >>> dag.add_node("load")
        >>> manager.register(timing)
        >>> manager.initialize_all()
        >>> for _ in range(3):
        ...     result = DAGExecutor(dag, hooks=manager.hooks).execute({"load": dict})
        >>> timing.as_dict()["load"]["calls"]
        3
    """

    name = "timing"

    def __init__(self) -> None:
        self._times = TimesTable("dagstack_dag_node", "nodes", "node")

    def initialize(self, hooks: HookRegistry) -> None:
        """Listen to nodes that end."""
        hooks.register(HookEvent.POST_NODE, self._ended)
        hooks.register(HookEvent.ON_ERROR, self._ended)

    def _ended(self, ctx: HookContext) -> None:
        if not ctx.node_result.attempts:  # it was turned away at its gate
            return
        failed = ctx.event is HookEvent.ON_ERROR
        self._times.at(str(ctx.node_name)).add(ctx.node_result.duration_seconds, failed=failed)

    def as_dict(self) -> dict[str, Any]:
        """For each node ``calls``, ``failures``, ``seconds`` (all together) and ``slowest``."""
        return self._times.as_dict()

    def clear(self) -> None:
        """Begin anew."""
        self._times.clear()
