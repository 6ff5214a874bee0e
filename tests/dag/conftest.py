"""A dashboard, served for real, and a client that knows its token."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Self

import attrs
import httpx2
import pytest

from dagstack_plugins.dag import (
    DAG,
    ApprovalGate,
    DAGExecutor,
    DashboardPlugin,
    ExecutionResult,
    GateController,
    HookRegistry,
)
from dagstack_plugins.dag.errors import GateDecided

TOKEN = "a token for tests only"


@attrs.define
class Dashboard:
    """A dashboard that is served, and graphs that run under its eyes."""

    plugin: DashboardPlugin
    hooks: HookRegistry
    gates: GateController
    client: httpx2.Client

    @classmethod
    @contextmanager
    def served(cls, gates: Mapping[str, ApprovalGate] | None = None, **settings: Any) -> Iterator[Self]:
        controller = GateController(gates or {})
        given = {"port": 0, "token": TOKEN, **settings}
        plugin, hooks = DashboardPlugin(gate_controller=controller, **given), HookRegistry()
        plugin.initialize(hooks)
        headers = {"authorization": f"Bearer {plugin.token}"}
        try:
            with httpx2.Client(base_url=str(plugin.address), headers=headers, timeout=10, trust_env=False) as client:
                yield cls(plugin, hooks, controller, client)
        finally:
            plugin.teardown()

    def run(
        self, edges: list[tuple[str, str]], tasks: Mapping[str, Callable[..., Any]], **more: Any
    ) -> ExecutionResult:
        """Run a graph of the tasks' names, in another thread: what drives a browser has an event loop in this one."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._run, edges, tasks, more).result()

    def _run(
        self, edges: list[tuple[str, str]], tasks: Mapping[str, Callable[..., Any]], more: Mapping[str, Any]
    ) -> ExecutionResult:
        dag = DAG()
        dag.add_nodes(tasks)
        for before, after in edges:
            dag.add_edge(before, after)
        given = {"fail_fast": False, "gates": self.gates, **more}
        return DAGExecutor(dag, hooks=self.hooks, **given).execute(tasks)

    @contextmanager
    def running(self, *given: Any, **more: Any) -> Iterator[threading.Thread]:
        """The same, in a thread that has ended at the end."""
        thread = threading.Thread(target=self.run, args=given, kwargs=more, daemon=True)
        thread.start()
        try:
            yield thread
        except BaseException:
            for name in self.gates.names():  # a test that failed leaves nobody waiting
                with suppress(GateDecided):
                    self.gates.reject(name)
            raise
        finally:
            thread.join(20)
            assert not thread.is_alive()

    def state(self, **query: str) -> Any:
        return self.client.get("/api/state", params=query).raise_for_status().json()

    @contextmanager
    def events(self, **query: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """The stream of events, each as its name and what it says."""
        with self.client.stream("GET", "/api/events", params=query) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")

            def read() -> Iterator[tuple[str, Any]]:
                name = ""
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield name, json.loads(line.removeprefix("data: "))

            yield read()


@pytest.fixture
def dashboard(capsys: pytest.CaptureFixture[str]) -> Iterator[Dashboard]:
    with Dashboard.served({"review": ApprovalGate(timeout=600), "publish/all": ApprovalGate()}) as one:
        yield one
