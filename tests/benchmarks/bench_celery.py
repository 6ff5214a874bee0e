"""What a unit of work costs on Celery, beside a plain task of Celery on the same worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.units.cluster import RedisServer, worker

UNITS = 200
"""At once, of which the time of one is a part."""
JOBS = """\
import os

from dagstack_plugins import PluginContext, PluginRegistry, orchestrator
from dagstack_plugins.units.celery import worker_app


class Nothing:
    def execute(self, args):
        return None


def host():
    registry = PluginRegistry()
    manifest = {"name": "nothing", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
    registry.register(Nothing, {**manifest, "unit_of_work": {"declared": True}})
    registry.register(*orchestrator())
    return registry, PluginContext()


app = worker_app(host)
app.conf.result_backend = os.environ["DAGSTACK_UNITS"]


@app.task(ignore_result=False)
def nothing(args):
    return None
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = RedisServer(tmp_path, "--appendfsync", "everysec")
    monkeypatch.setenv("DAGSTACK_UNITS", server.url())
    (tmp_path / "jobs_of_the_benchmark.py").write_text(JOBS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import jobs_of_the_benchmark as jobs  # type: ignore[import-not-found]

    try:
        with worker(tmp_path, server.url(), "-c", "2", app=jobs.__name__):
            yield jobs
    finally:
        del sys.modules[jobs.__name__]
        server.stop()


def test_trivial_units(beside: Any, jobs: Any) -> None:
    registry, context = jobs.host()
    with registry.running(context):

        def ours() -> None:
            for _ in range(UNITS):
                registry.units.submit("tool", "nothing", "execute")
            while registry.units.list(states=["queued", "running"], limit=1):
                time.sleep(0.005)

        def theirs() -> None:
            for result in [jobs.nothing.delay({}) for _ in range(UNITS)]:
                result.get()

        beside(
            f"{UNITS} trivial units on Celery, submitted, done and waited for",
            ours,
            "as many tasks of Celery, on the same worker",
            theirs,
            at_most=1 / 0.8,
            rounds=15,
        )
