"""The plugins that come with this package, each on real runs."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from dagstack_plugins.dag import (
    DAG,
    ApprovalGate,
    DAGExecutor,
    DagPlugin,
    ExecutionResult,
    GateController,
    LoggingPlugin,
    PluginManager,
    ProgressPlugin,
    PrometheusPlugin,
    TimingPlugin,
    WebhookPlugin,
)


def run(plugin: DagPlugin, *, fails: bool = True, times: int = 1, **settings: Any) -> ExecutionResult:
    """Nodes ``a`` and ``b``, and ``c`` after ``b``; ``b`` fails, unless it is not to."""
    dag = DAG()
    dag.add_nodes(["a", "b", "c"])
    dag.add_edge("b", "c")
    manager = PluginManager()
    manager.register(plugin)
    manager.initialize_all()
    tasks = {"a": lambda: 1, "b": lambda: 1 / (0 if fails else 1), "c": lambda: 2}
    for _ in range(times):
        result = DAGExecutor(dag, hooks=manager.hooks, fail_fast=False, max_workers=1, **settings).execute(tasks)
    manager.teardown_all()
    return result


def test_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "my.log"):
        result = run(LoggingPlugin("my.log"))
    told = [(record.levelname, record.getMessage().replace(result.run_id, "ID")) for record in caplog.records]
    assert [(level, message.partition(" in ")[0]) for level, message in told] == [
        ("INFO", "run ID begins: 3 nodes"),
        ("DEBUG", "node a begins"),
        ("INFO", "node a succeeded"),
        ("DEBUG", "node b begins"),
        ("ERROR", "node b: ZeroDivisionError: division by zero"),
        ("ERROR", "run ID failed"),
    ]
    assert told[-1][1].endswith(" s: 1 succeeded, 1 failed, 1 skipped")
    assert caplog.records[4].exc_info is not None


def test_timing() -> None:
    timing = TimingPlugin()
    run(timing, times=2)
    figures = timing.as_dict()
    assert {name: (one["calls"], one["failures"]) for name, one in figures.items()} == {"a": (2, 0), "b": (2, 2)}
    timing.clear()
    assert timing.as_dict() == {}


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus() -> None:
    plugin = PrometheusPlugin()
    run(plugin)
    run(plugin, fails=False)
    found = samples(plugin.text())
    begin = "dagstack_dag"
    assert found[f"{begin}_node_duration_seconds_count", "b"] == 2
    assert found[f"{begin}_node_failures_total", "b"] == 1
    assert (found[f"{begin}_runs_total", "failed"], found[f"{begin}_runs_total", "succeeded"]) == (1, 1)
    assert found[f"{begin}_nodes_running", ""] == 0


def test_prometheus_counts_no_node_that_was_turned_away_as_running() -> None:
    plugin = PrometheusPlugin(CollectorRegistry())
    gates = GateController({"b": ApprovalGate()})
    gates.reject("b")
    run(plugin, gates=gates)
    found = samples(plugin.text())
    assert found["dagstack_dag_nodes_running", ""] == 0
    assert found["dagstack_dag_node_failures_total", "b"] == 1


# --- webhook ----------------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[tuple[dict[str, str], Any]] = []
        self.status = 200
        self.delay = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(self.server.delay)
        self.server.sent.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_webhook_is_told_of_runs_that_failed(server: Server) -> None:
    run(WebhookPlugin(server.url), fails=False)
    assert server.sent == []
    result = run(WebhookPlugin(server.url, headers={"authorization": "Bearer x"}))
    [(headers, body)] = server.sent
    lines = body["text"].splitlines()
    assert lines[0].startswith(f"run {result.run_id} failed in ")
    assert lines[0].endswith(" s: 1 succeeded, 1 failed, 1 skipped")
    assert lines[1:] == ["b: ZeroDivisionError: division by zero"]
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "Bearer x"


def test_a_webhook_is_told_what_the_program_says(server: Server) -> None:
    run(
        WebhookPlugin(
            server.url,
            message=lambda ctx: {"channel": "#alerts", "ok": ctx.execution_result.ok},
        ),
        fails=False,
    )
    assert [body for _, body in server.sent] == [{"channel": "#alerts", "ok": True}]


def test_no_run_waits_for_a_webhook_and_teardown_does(server: Server) -> None:
    server.delay = 1.0
    manager, plugin = PluginManager(), WebhookPlugin(server.url)
    manager.register(plugin)
    manager.initialize_all()
    dag = DAG()
    dag.add_node("a")
    result = DAGExecutor(dag, hooks=manager.hooks).execute({"a": lambda: 1 / 0})
    assert (result.total_duration_seconds < 1, server.sent) == (True, [])
    manager.teardown_all()
    assert len(server.sent) == 1


@pytest.mark.parametrize("status", [500, None])
def test_a_webhook_that_fails_is_logged(server: Server, status: int | None, caplog: pytest.LogCaptureFixture) -> None:
    url = server.url if status else "http://127.0.0.1:9/"
    server.status = status or 200
    with caplog.at_level(logging.ERROR, "dagstack_plugins"):
        run(WebhookPlugin(url))
    assert (
        f"{url} answered a message with status 500" if status else f"a message to {url} was not sent"
    ) in caplog.text


# --- the terminal -----------------------------------------------------------------------------------------------------


def test_progress_in_a_log_shows_what_stays() -> None:
    out = io.StringIO()
    run(ProgressPlugin(Console(file=out, width=80)))
    assert [line.partition(" in ")[0] for line in out.getvalue().splitlines() if line.strip()] == [
        "b: division by zero",
        "failed",
    ]


def test_progress_in_a_terminal_draws_a_bar_and_takes_it_away() -> None:
    out = io.StringIO()
    manager, dag = PluginManager(), DAG()
    manager.register(ProgressPlugin(Console(file=out, width=80, force_terminal=True, color_system=None)))
    manager.initialize_all()
    dag.add_nodes(["quick", "slow"])
    executor = DAGExecutor(dag, hooks=manager.hooks)
    for _ in range(2):
        executor.execute({"quick": lambda: None, "slow": lambda: time.sleep(0.3)})
    text = out.getvalue()
    assert "1/2 0:00:00 slow" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is there again
    assert text.count("succeeded in ") == 2
    manager.teardown_all()


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["[bold]x[/]"], r"0/1 \S+ \[bold\]x\[/\]"),
        (["n1", "n2", "n3", "n4", "n5"], r"0/5 \S+ n\d, n\d, n\d and 2 more"),
    ],
)
def test_progress_names_some_that_run_as_they_are_called(names: list[str], shown: str) -> None:
    out = io.StringIO()
    dag, manager = DAG(), PluginManager()
    dag.add_nodes(names)
    manager.register(ProgressPlugin(Console(file=out, width=100, force_terminal=True, color_system=None)))
    manager.initialize_all()
    barrier = threading.Barrier(len(names))

    def meet() -> None:
        barrier.wait(10)
        time.sleep(0.3)

    DAGExecutor(dag, hooks=manager.hooks, max_workers=len(names)).execute(dict.fromkeys(names, meet))
    manager.teardown_all()
    assert re.search(shown, out.getvalue())


def test_what_is_not_installed_says_what_to_install() -> None:
    for missing, plugin in (
        ("prometheus_client", "PrometheusPlugin"),
        ("rich.console", "ProgressPlugin"),
        ("starlette", "DashboardPlugin"),
        ("uvicorn", "DashboardPlugin"),
    ):
        code = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            f"from dagstack_plugins.dag import {plugin}\n"
            f"try:\n    {plugin}()\nexcept ImportError as error:\n    print(error.__notes__)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "pip install 'dagstack-plugins[" in done.stdout
