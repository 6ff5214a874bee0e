"""Graphs of tasks: built, run, watched by plugins, stopped at gates.

Seven events tell how a graph is built and run. Callbacks, ``DagPlugin``s and plugins of kind ``dag_listener`` hear
them in one order.
"""

from __future__ import annotations

from dagstack_plugins.dag.dashboard.plugin import DashboardPlugin
from dagstack_plugins.dag.errors import (
    DagError,
    GateDecided,
    GateError,
    GateRejected,
    GateTimeout,
    GateUnknown,
    GraphCycle,
    GraphInvalid,
    NodeTimeout,
    ResultUnfit,
)
from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.executor import DAGExecutor
from dagstack_plugins.dag.gates import ApprovalGate, GateController, GateStatus
from dagstack_plugins.dag.graph import DAG, DAGBuilder
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.pipeline.document import Pipeline, PipelineInvalid, load_pipeline
from dagstack_plugins.dag.pipeline.fitting import pipeline_tasks
from dagstack_plugins.dag.plugins import DagPlugin, PluginManager, dag_plugin, default_manager
from dagstack_plugins.dag.results import ExecutionResult, NodeResult, NodeStatus
from dagstack_plugins.dag.shipped.display import ProgressPlugin
from dagstack_plugins.dag.shipped.logs import LoggingPlugin
from dagstack_plugins.dag.shipped.prometheus import PrometheusPlugin
from dagstack_plugins.dag.shipped.timing import TimingPlugin
from dagstack_plugins.dag.shipped.webhook import WebhookPlugin
from dagstack_plugins.dag.tasks import plugin_task
from dagstack_plugins.dag.units import unit_task

DagronPlugin = DagPlugin
"""The name that such plugins had first."""
dagron_plugin = dag_plugin
"""The name that the decorator had first."""

__all__ = [
    "DAG",
    "ApprovalGate",
    "DAGBuilder",
    "DAGExecutor",
    "DagError",
    "DagPlugin",
    "DagronPlugin",
    "DashboardPlugin",
    "ExecutionResult",
    "GateController",
    "GateDecided",
    "GateError",
    "GateRejected",
    "GateStatus",
    "GateTimeout",
    "GateUnknown",
    "GraphCycle",
    "GraphInvalid",
    "HookContext",
    "HookEvent",
    "HookRegistry",
    "LoggingPlugin",
    "NodeResult",
    "NodeStatus",
    "NodeTimeout",
    "Pipeline",
    "PipelineInvalid",
    "PluginManager",
    "ProgressPlugin",
    "PrometheusPlugin",
    "ResultUnfit",
    "TimingPlugin",
    "WebhookPlugin",
    "dag_plugin",
    "dagron_plugin",
    "default_manager",
    "load_pipeline",
    "pipeline_tasks",
    "plugin_task",
    "unit_task",
]
