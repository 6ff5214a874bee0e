"""``PrometheusPlugin``: metrics of runs and nodes; needs the extra ``prometheus``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plugins import DagPlugin

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class PrometheusPlugin(DagPlugin):
    """Keeps metrics of runs and nodes.

    They are ``dagstack_dag_node_duration_seconds`` (a histogram) and ``dagstack_dag_node_failures_total`` by node,
    ``dagstack_dag_runs_total`` by status, and ``dagstack_dag_nodes_running``.

    Examples:
        >>> plugin = PrometheusPlugin()
        >>> "dagstack_dag_nodes_running 0.0" in plugin.text()
        True

    Args:
        registry: where the metrics are kept; left out, one of the plugin's own, beside the program's other metrics.

    Attributes:
        registry: that registry, of ``prometheus_client``.

    Raises:
        ImportError: if ``prometheus_client`` is not installed.
    """

    name = "prometheus"

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            error.add_note("PrometheusPlugin needs prometheus_client: pip install 'dagstack-plugins[prometheus]'")
            raise
        self.registry = CollectorRegistry() if registry is None else registry
        kept = self.registry
        self._of_run: dict[str | None, int] = {}
        told = "How long nodes took, all attempts together."
        self._seconds = Histogram("dagstack_dag_node_duration_seconds", told, ["node"], registry=kept)
        told = "Nodes that failed or timed out."
        self._failures = Counter("dagstack_dag_node_failures", told, ["node"], registry=kept)
        self._runs = Counter("dagstack_dag_runs", "Runs that have ended.", ["status"], registry=kept)
        self._running = Gauge("dagstack_dag_nodes_running", "Nodes that run now.", registry=kept)

    def initialize(self, hooks: HookRegistry) -> None:
        """Listen to runs."""
        hooks.register(HookEvent.PRE_NODE, self._begins)
        hooks.register(HookEvent.POST_NODE, self._ended)
        hooks.register(HookEvent.ON_ERROR, self._ended)
        hooks.register(HookEvent.POST_EXECUTE, self._run_ended)

    def _begins(self, ctx: HookContext) -> None:
        self._running.inc()
        self._of_run[ctx.run_id] = self._of_run.get(ctx.run_id, 0) + 1

    def _ended(self, ctx: HookContext) -> None:
        if ctx.node_result.attempts:  # a node that was turned away at its gate never began
            self._running.dec()
            self._of_run[ctx.run_id] -= 1
            self._seconds.labels(ctx.node_name).observe(ctx.node_result.duration_seconds)
        if ctx.event is HookEvent.ON_ERROR:
            self._failures.labels(ctx.node_name).inc()

    def _run_ended(self, ctx: HookContext) -> None:
        self._runs.labels(ctx.execution_result.status).inc()
        self._running.dec(self._of_run.pop(ctx.run_id, 0))  # of those that were cancelled nothing is told

    def text(self) -> str:
        """The metrics in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry).decode()
