"""The document on DAG plugins and hooks, its code as printed but for the lines that import."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from prometheus_client import REGISTRY

import dagstack_plugins.dag as dagron
from dagstack_plugins.dag import DAG, DashboardPlugin, HookContext, HookEvent, HookRegistry, PluginManager, plugins

HOOK_REGISTRY = """
from dagstack_plugins.dag import HookRegistry, HookEvent, HookContext

hooks = HookRegistry()

# Register a callback
def on_node_start(ctx: HookContext):
    print(f" Starting node: {ctx.node_name}")

unregister = hooks.register(HookEvent.PRE_NODE, on_node_start)

# Fire the event (the executor does this automatically)
hooks.fire(HookContext(
    event=HookEvent.PRE_NODE,
    dag=dag,
    node_name="extract",
))
# prints: " Starting node: extract"

# Unregister when no longer needed
unregister()
"""
CONTEXT = """
from dagstack_plugins.dag import HookContext

ctx = HookContext(
    event=HookEvent.POST_NODE,
    dag=dag,
    node_name="transform",
    node_result=result,
    error=None,
    execution_result=None,
    metadata={"extra": "info"},
)
"""
PRIORITY = """
hooks.register(HookEvent.PRE_NODE, first_callback, priority=100)
hooks.register(HookEvent.PRE_NODE, second_callback, priority=50)
hooks.register(HookEvent.PRE_NODE, last_callback, priority=0)
"""
ERRORS = """
def buggy_hook(ctx):
    raise ValueError("oops")

hooks.register(HookEvent.PRE_NODE, buggy_hook)

# This fires the hook but does NOT stop execution
# Instead, a RuntimeWarning is issued
hooks.fire(HookContext(event=HookEvent.PRE_NODE))
"""
CLEARING = """
# Clear all hooks for a specific event
hooks.clear(HookEvent.PRE_NODE)

# Clear all hooks for all events
hooks.clear()

# Count registered hooks
counts = (
hooks.hook_count(), # total across all events
hooks.hook_count(HookEvent.PRE_NODE), # for a specific event
)
"""
TIMING = '''
from dagstack_plugins.dag import DagronPlugin
from dagstack_plugins.dag import HookEvent, HookContext, HookRegistry


class TimingPlugin(DagronPlugin):
    """Plugin that measures and logs node execution times."""

    def __init__(self):
        self._start_times: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "timing"

    def initialize(self, hooks: HookRegistry) -> None:
        """Register hooks for node timing."""
        import time

        def on_pre_node(ctx: HookContext):
            if ctx.node_name:
                self._start_times[ctx.node_name] = time.monotonic()

        def on_post_node(ctx: HookContext):
            if ctx.node_name and ctx.node_name in self._start_times:
                elapsed = time.monotonic() - self._start_times[ctx.node_name]
                print(f" [{ctx.node_name}] completed in {elapsed:.3f}s")

        hooks.register(HookEvent.PRE_NODE, on_pre_node)
        hooks.register(HookEvent.POST_NODE, on_post_node)

    def teardown(self) -> None:
        """Clean up resources."""
        self._start_times.clear()
'''
USING = """
from dagstack_plugins.dag import HookRegistry
from dagstack_plugins.dag import PluginManager

# Create the hook registry and plugin manager
hooks = HookRegistry()
manager = PluginManager(hooks)

# Register and initialize plugins
manager.register(TimingPlugin())
manager.initialize_all()

# Pass hooks to the executor
executor = dagron.DAGExecutor(dag, hooks=hooks)
result = executor.execute(tasks)

# Clean up
manager.teardown_all()
"""
LOGGING = '''
import logging

class LoggingPlugin(DagronPlugin):
    """Log all lifecycle events."""

    def __init__(self, logger_name: str = "dagron"):
        self._logger = logging.getLogger(logger_name)

    @property
    def name(self) -> str:
        return "logging"

    def initialize(self, hooks: HookRegistry) -> None:
        def on_pre_execute(ctx: HookContext):
            self._logger.info(
                "Execution started: %d nodes",
                ctx.dag.node_count() if ctx.dag else 0,
            )

        def on_pre_node(ctx: HookContext):
            self._logger.info("Node started: %s", ctx.node_name)

        def on_post_node(ctx: HookContext):
            self._logger.info("Node completed: %s", ctx.node_name)

        def on_error(ctx: HookContext):
            self._logger.error(
                "Node failed: %s - %s",
                ctx.node_name,
                ctx.error,
            )

        def on_post_execute(ctx: HookContext):
            r = ctx.execution_result
            if r:
                self._logger.info(
                    "Execution finished: %d succeeded, %d failed in %.1fs",
                    r.succeeded,
                    r.failed,
                    r.total_duration_seconds,
                )

        hooks.register(HookEvent.PRE_EXECUTE, on_pre_execute)
        hooks.register(HookEvent.PRE_NODE, on_pre_node)
        hooks.register(HookEvent.POST_NODE, on_post_node)
        hooks.register(HookEvent.ON_ERROR, on_error)
        hooks.register(HookEvent.POST_EXECUTE, on_post_execute)
'''
MANAGER = """
from dagstack_plugins.dag import PluginManager

manager = PluginManager()

# Register plugins manually
manager.register(TimingPlugin())
manager.register(LoggingPlugin())

# Auto-discover plugins from entry_points
discovered = manager.discover()
print(f"Discovered: {discovered}")

# Initialize all registered plugins
manager.initialize_all()

# Access the shared hook registry
hooks = manager.hooks

# List registered plugins
print(manager.plugins)

# Tear down all plugins
manager.teardown_all()
"""
DECORATOR = '''
from dagstack_plugins.dag import DagronPlugin
from dagstack_plugins.dag import dagron_plugin
from dagstack_plugins.dag import HookEvent, HookContext, HookRegistry


@dagron_plugin
class NotificationPlugin(DagronPlugin):
    """Send a notification when execution fails."""

    @property
    def name(self) -> str:
        return "notifications"

    def initialize(self, hooks: HookRegistry) -> None:
        def on_error(ctx: HookContext):
            send_alert(f"Node {ctx.node_name} failed: {ctx.error}")

        hooks.register(HookEvent.ON_ERROR, on_error)
'''

METRICS = """
from prometheus_client import Counter, Histogram

class PrometheusPlugin(DagronPlugin):
    def __init__(self):
        self.node_duration = Histogram(
            "dagron_node_duration_seconds",
            "Node execution duration",
            ["node_name"],
        )
        self.node_failures = Counter(
            "dagron_node_failures_total",
            "Total node failures",
            ["node_name"],
        )

    @property
    def name(self) -> str:
        return "prometheus"

    def initialize(self, hooks: HookRegistry) -> None:
        def on_post_node(ctx: HookContext):
            if ctx.node_name and ctx.node_result:
                self.node_duration.labels(
                    node_name=ctx.node_name
                ).observe(ctx.node_result.duration_seconds)

        def on_error(ctx: HookContext):
            if ctx.node_name:
                self.node_failures.labels(node_name=ctx.node_name).inc()

        hooks.register(HookEvent.POST_NODE, on_post_node)
        hooks.register(HookEvent.ON_ERROR, on_error)
"""
SLACK = '''
class SlackPlugin(DagronPlugin):
    """Send Slack notifications on execution failure."""

    def __init__(self, webhook_url: str, channel: str = "#alerts"):
        self._webhook_url = webhook_url
        self._channel = channel

    @property
    def name(self) -> str:
        return "slack"

    def initialize(self, hooks: HookRegistry) -> None:
        def on_post_execute(ctx: HookContext):
            r = ctx.execution_result
            if r and r.failed > 0:
                import httpx2 as httpx
                httpx.post(self._webhook_url, json={
                    "channel": self._channel,
                    "text": (
                        f"dagron pipeline failed: "
                        f"{r.failed} node(s) failed, "
                        f"{r.succeeded} succeeded"
                    ),
                })

        hooks.register(HookEvent.POST_EXECUTE, on_post_execute)
'''


DASHBOARD = """
from dagstack_plugins.dag import DashboardPlugin
from dagstack_plugins.dag import ApprovalGate, GateController
from dagstack_plugins.dag import HookRegistry
from dagstack_plugins.dag import PluginManager

# Optional: set up gates for the dashboard to manage
controller = GateController({
    "review": ApprovalGate(timeout=600),
    "deploy": ApprovalGate(timeout=300),
})

# Create the dashboard plugin
dashboard = DashboardPlugin(
    host="127.0.0.1",
    port=8765,
    gate_controller=controller,
    open_browser=True, # auto-open in browser
)

# Wire it up
hooks = HookRegistry()
manager = PluginManager(hooks)
manager.register(dashboard)
manager.initialize_all()
# prints: "Dashboard: http://127.0.0.1:8765"

# Execute with hooks
executor = dagron.DAGExecutor(dag, hooks=hooks)
result = executor.execute(tasks)

# Clean up
manager.teardown_all()
"""
COMPOSING = """
manager = PluginManager()

manager.register(LoggingPlugin())
manager.register(TimingPlugin())
manager.register(DashboardPlugin(port=8765))
manager.register(SlackPlugin(webhook_url="https://hooks.slack.com/..."))

manager.initialize_all()

# All plugins receive events during execution
executor = dagron.DAGExecutor(dag, hooks=manager.hooks)
result = executor.execute(tasks)

manager.teardown_all()
"""


def run(*fragments: str, **names: Any) -> dict[str, Any]:
    """Run what a reader types one after the other."""
    scope = {
        "dagron": dagron,
        "HookEvent": HookEvent,
        "HookContext": HookContext,
        "HookRegistry": HookRegistry,
        **names,
    }
    for fragment in fragments:
        exec(fragment, scope)
    return scope


@pytest.fixture
def dag() -> DAG:
    made = DAG()
    made.add_nodes(["extract", "load"])
    made.add_edge("extract", "load")
    return made


def test_hook_registry(dag: DAG, capsys: pytest.CaptureFixture[str]) -> None:
    scope = run(HOOK_REGISTRY, dag=dag)
    assert capsys.readouterr().out == " Starting node: extract\n"
    assert scope["hooks"].hook_count() == 0


def test_hook_context(dag: DAG) -> None:
    ctx = run(CONTEXT, dag=dag, result="done")["ctx"]
    assert (ctx.node_name, ctx.node_result, ctx.metadata) == ("transform", "done", {"extra": "info"})


def test_priority() -> None:
    heard: list[str] = []
    names = ("last_callback", "second_callback", "first_callback")
    callbacks = {name: lambda _, name=name: heard.append(name) for name in names}
    scope = run(PRIORITY, hooks=HookRegistry(), **callbacks)
    scope["hooks"].fire(HookContext(event=HookEvent.PRE_NODE))
    assert heard == ["first_callback", "second_callback", "last_callback"]


def test_error_isolation() -> None:
    with pytest.warns(RuntimeWarning, match="buggy_hook failed in pre_node: ValueError: oops"):
        run(ERRORS, hooks=HookRegistry())


def test_clearing() -> None:
    assert run(CLEARING, hooks=HookRegistry())["counts"] == (0, 0)


def test_using_a_plugin(dag: DAG, capsys: pytest.CaptureFixture[str]) -> None:
    scope = run(TIMING, USING, dag=dag, tasks={"extract": lambda: 1, "load": lambda extract: extract})
    assert scope["result"].succeeded == 2
    assert [line.split(" completed in ")[0] for line in capsys.readouterr().out.splitlines()] == [
        " [extract]",
        " [load]",
    ]


def test_the_logging_plugin(dag: DAG, caplog: pytest.LogCaptureFixture) -> None:
    scope = run(TIMING, LOGGING, dag=dag)
    manager = dagron.PluginManager()
    manager.register(scope["LoggingPlugin"]())
    manager.initialize_all()
    with caplog.at_level(logging.INFO, "dagron"):
        dagron.DAGExecutor(dag, hooks=manager.hooks).execute({"extract": lambda: 1, "load": lambda: 1 / 0})
    assert [record.getMessage().rpartition(" in ")[0] or record.getMessage() for record in caplog.records] == [
        "Execution started: 2 nodes",
        "Node started: extract",
        "Node completed: extract",
        "Node started: load",
        "Node failed: load - division by zero",
        "Execution finished: 1 succeeded, 1 failed",
    ]


def test_the_plugin_manager(capsys: pytest.CaptureFixture[str]) -> None:
    run(TIMING, LOGGING, MANAGER)
    assert capsys.readouterr().out == "Discovered: []\n['timing', 'logging']\n"


@pytest.fixture
def fresh_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_default", PluginManager())


@pytest.mark.usefixtures("fresh_manager")
def test_the_decorator(dag: DAG) -> None:
    alerts: list[str] = []
    run(DECORATOR, send_alert=alerts.append)
    dagron.DAGExecutor(dag).execute({"extract": lambda: 1 / 0, "load": lambda: None})
    assert alerts == ["Node extract failed: division by zero"]


def test_the_metrics_plugin(dag: DAG) -> None:
    scope = run(TIMING, METRICS)
    manager = dagron.PluginManager()
    manager.register(scope["PrometheusPlugin"]())
    manager.initialize_all()
    dagron.DAGExecutor(dag, hooks=manager.hooks).execute({"extract": lambda: 1, "load": lambda: 1 / 0})
    assert REGISTRY.get_sample_value("dagron_node_duration_seconds_count", {"node_name": "extract"}) == 1
    assert REGISTRY.get_sample_value("dagron_node_failures_total", {"node_name": "load"}) == 1


def test_the_slack_plugin(dag: DAG) -> None:
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        scope = run(TIMING, SLACK)
        manager = dagron.PluginManager()
        manager.register(scope["SlackPlugin"](f"http://127.0.0.1:{server.server_address[1]}/"))
        manager.initialize_all()
        dagron.DAGExecutor(dag, hooks=manager.hooks).execute({"extract": lambda: 1, "load": lambda: 1 / 0})
        thread.join(10)
    text = "dagron pipeline failed: 1 node(s) failed, 1 succeeded"
    assert [json.loads(body) for body in sent] == [{"channel": "#alerts", "text": text}]


@pytest.fixture
def port() -> str:
    """A port that is free: that of the document may be in use here."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def test_the_dashboard(
    dag: DAG, port: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    scope = run(DASHBOARD.replace("8765", port), dag=dag, tasks={"extract": lambda: 1, "load": lambda extract: extract})
    assert scope["result"].succeeded == 2
    assert capsys.readouterr().out.startswith(f"Dashboard: http://127.0.0.1:{port}")
    deadline = time.monotonic() + 10
    while not opened:  # in a thread of its own
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_composing_plugins(dag: DAG, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = {"extract": lambda: 1, "load": lambda extract: extract}
    fragments = (TIMING, LOGGING, SLACK, COMPOSING.replace("8765", port))
    names = {"DashboardPlugin": DashboardPlugin, "PluginManager": PluginManager}
    scope = run(*fragments, dag=dag, tasks=tasks, **names)
    assert scope["result"].succeeded == 2
    told = capsys.readouterr().out
    assert f"Dashboard: http://127.0.0.1:{port}" in told
    assert "[extract] completed in" in told
