"""``dagstack-plugins units``, typed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry

MANIFEST = """
[plugin]
name = "counter"
kind = "tool"
runtime = "in_process"
core_version = ">=0.1"

[plugin.unit_of_work]
declared = true
partition_key = "part"
"""
CODE = """
import time


class Counter:
    def execute(self, args, ctx):
        print("counting")
        if args.get("fail"):
            raise ValueError("it can't be counted \\x1b[2J")
        for step in range(args["to"]):
            time.sleep(0.05)
            ctx.checkpoint.save("done", step)
            ctx.progress.update(100 * (step + 1) / args["to"])
        return {"counted": args["to"]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a plugin."""
    (tmp_path / "plugins/counter").mkdir(parents=True)
    (tmp_path / "plugins/counter/dagstack.toml").write_text(MANIFEST)
    (tmp_path / "plugins/counter/plugin.py").write_text(CODE)
    return tmp_path


def submit(folder: Path, **args: Any) -> str:
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    registry.discover(folder / "plugins")
    config = {"path": str(folder / ".dagstack/units.db"), "workers": 0}
    with registry.running(PluginContext({"orchestrator": {"local": config}})):
        return registry.units.submit("tool", "counter", "execute", args).unit_id


def typed(folder: Path, *arguments: str, status: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-m", "dagstack_plugins", "units", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_a_worker_does_what_waits_and_others_look(folder: Path) -> None:
    good, bad = submit(folder, to=2, part="a"), submit(folder, fail=True, part="b")
    out, told = typed(folder, "worker", "plugins", "--until-done")
    assert out == ""
    assert f"{good}: counter succeeded" in told
    assert f"{bad}: counter failed" in told
    assert "counting" in told
    listed = json.loads(typed(folder, "list", "--json")[0])
    assert {one["unit_id"]: one["state"] for one in listed} == {good: "succeeded", bad: "failed"}
    out, _ = typed(folder, "list", "--state", "failed")
    assert re.search(rf"^{bad} .*b .*failed .*ValueError: it can't be counted \\x1b\[2J", out, re.M)
    assert good not in out
    assert re.search(r"^value +\{'counted': 2\}$", typed(folder, "show", good)[0], re.M)
    assert json.loads(typed(folder, "show", bad, "--json")[0])["error"]["type"] == "ValueError"
    assert "1 unit queued again, 0 left alone" in typed(folder, "backfill", "--state", "failed")[1]
    (again,) = json.loads(typed(folder, "list", "--json", "--state", "queued")[0])
    assert "it is cancelled" in typed(folder, "cancel", again["unit_id"])[1]


def test_who_watches_sees_those_that_run_before_those_that_wait(folder: Path) -> None:
    first, *_ = (submit(folder, to=steps, part="a") for steps in (60, 1, 1, 1))
    command = [sys.executable, "-m", "dagstack_plugins", "units", "worker", "plugins", "--until-done"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as worker:
        _, told = typed(folder, "list", "--watch", "--limit", "1")
        assert worker.wait(20) == 0
    assert f"{first}: counter succeeded" in told


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_worker_ends_in_good_order(folder: Path, sign: signal.Signals, status: int) -> None:
    unit = submit(folder, to=1000)
    command = [sys.executable, "-m", "dagstack_plugins", "units", "worker", "plugins"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        awaited = {"counting", "works on the units"}  # the second is said when all is set up
        while awaited:
            line = worker.stderr.readline()
            awaited = {one for one in awaited if one not in line}
        worker.send_signal(sign)
        _, told = worker.communicate(timeout=20)
    assert worker.returncode == status
    assert "Traceback" not in told
    (left,) = json.loads(typed(folder, "list", "--json")[0])
    assert (left["unit_id"], left["state"]) == (unit, "queued")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["list"], 2, r"there are no units in \.dagstack/units\.db; --file PATH or DAGSTACK_UNITS says where they are"),
        (["list", "--state", "done"], 2, "'done' is not one of 'queued'"),
        (["backfill"], 2, "say which: --state failed"),
        (["list", "--watch", "--json"], 2, "--watch is for people"),
        (["worker", "nowhere"], 2, "'nowhere' does not exist"),
        (["worker", "."], 1, "there is no plugin in"),
    ],
)
def test_a_wrong_command_line_is_told(tmp_path: Path, arguments: list[str], status: int, told: str) -> None:
    assert re.search(told, typed(tmp_path, *arguments, status=status)[1])


def test_unknown_units_and_wrong_times_are_told(folder: Path) -> None:
    submit(folder, to=1)
    assert "there is no unit of work 'nothing'" in typed(folder, "show", "nothing", status=1)[1]
    assert "'yesterday' is not a valid date-time" in typed(folder, "backfill", "--since", "yesterday", status=1)[1]
    (folder / "wrong.toml").write_text('[orchestrator.local]\nlease_sec = "long"\n')
    assert "lease_sec" in typed(folder, "list", "--config", "wrong.toml", status=1)[1]
