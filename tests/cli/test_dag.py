"""``dagstack-plugins dag run`` and ``dag show``, by the real command."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

SHOUT = """
class Shout:
    def execute(self, args):
        print("noise")
        return {"text": args["text"].upper()}
"""
BREAK = """
class Break:
    def execute(self, args):
        raise ValueError("no such column")
"""
SLOW = """
import time
class Slow:
    def execute(self, args):
        print("begins", flush=True)
        time.sleep(float(args["seconds"]))
"""
WORDY = """
class Wordy:
    def setup(self, ctx):
        self.word = ctx.config["word"]
    def execute(self, args):
        return self.word
"""
ECHO = "\nclass Echo:\n    def execute(self, args):\n        return dict(args)\n"
PIPELINE = """
pipeline: trial
nodes:
  first: {kind: tool, hook: execute, plugin: shout, payload: {text: hello}}
  review: {gate: {timeout: 60}, after: [first]}
  last: {kind: tool, hook: execute, plugin: shout, payload: {text: "${first.text}!"}, after: [review]}
"""
BROKEN = """
pipeline: trial
fail_fast: false
nodes:
  a: {kind: tool, hook: execute, plugin: break}
  b: {kind: tool, hook: execute, plugin: shout, payload: {text: "${a.text}"}}
  c: {kind: tool, hook: execute, plugin: shout, payload: {text: fine}}
"""


@pytest.fixture
def trial(project: Any) -> Any:
    project.plugin("shout", SHOUT)
    project.plugin("break", BREAK)
    project.plugin("slow", SLOW)
    project.file("pipeline.yaml", PIPELINE)
    project.file("broken.yaml", BROKEN)
    return project


def without_times(text: str) -> str:
    return re.sub(r"[0-9.e-]+ m?s\b", "T", text)


def test_a_run(trial: Any) -> None:
    done = trial.run("dag", "run", "pipeline.yaml", "--approve", "review")
    assert done.status == 0, done.err
    assert without_times(done.out).splitlines() == [
        "first   succeeded  T",
        "review  succeeded  T",
        "last    succeeded  T",
        "succeeded in T: 3 succeeded",
    ]
    assert [line for line in without_times(done.err).splitlines() if line != "noise"] == [
        "first: succeeded in T",
        "review: succeeded in T",
        "last: succeeded in T",
    ]


def test_a_run_as_json(trial: Any) -> None:
    done = trial.run("dag", "run", "pipeline.yaml", "--approve", "review", "--json")
    told = done.json
    assert (told["pipeline"], told["status"]) == ("trial", "succeeded")
    assert told["nodes"]["last"]["value"] == {"text": "HELLO!"}
    assert told["nodes"]["last"].keys() == {"status", "seconds", "attempts", "value", "error"}


def test_a_run_that_fails(trial: Any) -> None:
    done = trial.run("dag", "run", "broken.yaml")
    assert done.status == 1
    lines = without_times(done.out).splitlines()
    assert lines[0].startswith("a  failed     T")
    assert "no such column" in lines[0]
    assert lines[1:] == ["b  skipped", "c  succeeded  T", "failed in T: 1 succeeded, 1 failed, 1 skipped"]
    told = trial.run("dag", "run", "broken.yaml", "--json")
    assert told.status == 1
    assert "no such column" in told.json["nodes"]["a"]["error"]["message"]


def test_tracebacks_only_where_they_are_asked_for(trial: Any) -> None:
    assert "Traceback" not in trial.run("dag", "run", "broken.yaml").err
    assert "plugins/break/plugin.py" in trial.run("dag", "run", "broken.yaml", "--verbose").err


def test_plugins_are_where_the_pipeline_is_or_where_they_are_said_to_be(trial: Any) -> None:
    elsewhere = trial.root / "elsewhere"
    elsewhere.mkdir()
    assert trial.run("dag", "run", "../pipeline.yaml", "--approve", "review", at=elsewhere).status == 0
    (elsewhere / "pipeline.yaml").write_text(PIPELINE)
    done = trial.run("dag", "run", "pipeline.yaml", "--approve", "review", at=elsewhere)
    assert done.status == 1
    assert "line 4: nodes.first.plugin: kind 'tool' has no plugin 'shout'" in done.err
    done = trial.run("dag", "run", "pipeline.yaml", "--plugins", "../plugins", "--approve", "review", at=elsewhere)
    assert done.status == 0


def test_plugins_that_listen_hear_of_it(trial: Any) -> None:
    trial.plugin(
        "audit",
        "class Audit:\n    def post_node(self, payload):\n        print('heard', payload.node)\n",
        kind="dag_listener",
    )
    done = trial.run("dag", "run", "pipeline.yaml", "--approve", "review")
    assert [line for line in done.err.splitlines() if line.startswith("heard")] == [
        "heard first",
        "heard review",
        "heard last",
    ]


def test_configuration_reaches_the_plugins(trial: Any) -> None:
    trial.plugin("wordy", WORDY)
    trial.file("host.toml", '[tool.wordy]\nword = "hello"\n')
    trial.file("wordy.yaml", "pipeline: p\nnodes:\n  a: {kind: tool, hook: execute, plugin: wordy}\n")
    done = trial.run("dag", "run", "wordy.yaml", "--config", "host.toml", "--json")
    assert done.json["nodes"]["a"]["value"] == "hello"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pipeline.yaml"], "at review a person decides: say --approve review, or --dashboard and decide there"),
        (
            ["pipeline.yaml", "--approve", "reviw"],
            "there is no gate 'reviw' (did you mean 'review'?); the gates: review",
        ),
        (["broken.yaml", "--approve", "a"], "there is no gate 'a'; the pipeline has no gates"),
        (["none.yaml"], "File 'none.yaml' does not exist."),
        (["broken.yaml", "--dashboard", "--port", "70000"], "port is a whole number from 0 to 65535, found 70000"),
        (["broken.yaml", "--dashboard", "--port", "x"], "'x' is not a valid integer."),
        (["broken.yaml", "--port", "0"], "--port is that of the dashboard: say --dashboard, too"),
        (["broken.yaml", "--config", "broken.yaml"], "broken.yaml is not valid TOML"),
    ],
)
def test_wrong_command_lines(trial: Any, arguments: list[str], told: str) -> None:
    done = trial.run("dag", "run", *arguments)
    assert (done.status, done.out) == (2, "")
    assert told in done.err.replace("\n", " ")


def test_faults_of_a_pipeline_with_their_lines(trial: Any) -> None:
    trial.file("faulty.yaml", "pipeline: p\nnodes:\n  a: {gate: true, after: [b]}\n  c: {kind: tool}\n")
    for command in ("run", "show"):
        done = trial.run("dag", command, "faulty.yaml")
        assert (done.status, done.out) == (1, "")
        assert done.err.splitlines() == [
            "error: pipeline faulty.yaml is not valid:",
            "  - line 3: nodes.a.after[0]: there is no node 'b'",
            "  - line 4: nodes.c.kind: 'kind' is nothing without 'hook'",
        ]


def test_show(trial: Any) -> None:
    done = trial.run("dag", "show", "pipeline.yaml")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "first   tool.execute of shout",
        "review  gate (60 s)            after first",
        "last    tool.execute of shout  after review, first",
    ]


def test_show_in_other_forms(trial: Any) -> None:
    assert '"first" -> "review";' in trial.run("dag", "show", "pipeline.yaml", "--format", "dot").out
    assert "n0 --> n1" in trial.run("dag", "show", "pipeline.yaml", "--format", "mermaid").out
    told = trial.run("dag", "show", "pipeline.yaml", "--format", "json").json
    assert told["nodes"][0] == {"name": "first", "kind": "tool", "hook": "execute", "plugin": "shout"}


def test_the_schema_for_editors(trial: Any) -> None:
    told = trial.run("schema", "pipeline").json
    assert told["properties"]["nodes"]["additionalProperties"] == {"$ref": "#/definitions/node"}


# With the dashboard


@contextmanager
def begun(trial: Any, *arguments: str, **given: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "dagstack_plugins", "dag", "run", *arguments]
    with subprocess.Popen(
        command, cwd=trial.root, env=trial.environment(), stdout=subprocess.PIPE, text=True, encoding="utf-8", **given
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def decide(line: str, path: str) -> None:
    """Decide at a gate of the dashboard that a line tells of, as soon as something waits there."""
    found = re.fullmatch(r"Dashboard: (http://127.0.0.1:\d+)/\?token=(\S+)\s*", line)
    assert found is not None, line
    headers = {"authorization": f"Bearer {found[2]}"}
    with httpx2.Client(base_url=found[1], headers=headers, trust_env=False) as client:
        deadline = time.monotonic() + 20
        while client.get("/api/state").json()["gates"][0]["status"] != "waiting":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        client.post(path, json={"reason": "on the page"}).raise_for_status()


@pytest.mark.parametrize(("decision", "status"), [("approve", 0), ("reject", 1)])
def test_a_decision_on_the_page(trial: Any, decision: str, status: int) -> None:
    with begun(trial, "pipeline.yaml", "--dashboard", "--port", "0", "--json", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        decide(process.stderr.readline(), f"/api/gates/review/{decision}")
        out, _ = process.communicate(timeout=30)
    assert process.returncode == status
    assert json.loads(out)["nodes"]["review"]["status"] == ("succeeded" if status == 0 else "failed")


def test_on_a_terminal_the_dashboard_is_served_until_ctrl_c(trial: Any) -> None:
    ours, theirs = pty.openpty()
    with begun(trial, "pipeline.yaml", "--dashboard", "--port", "0", stderr=theirs) as process:
        os.close(theirs)
        with os.fdopen(ours, errors="replace") as terminal:
            decide(terminal.readline(), "/api/gates/review/approve")
            for line in terminal:
                if "the dashboard is served until Ctrl-C" in line:
                    break
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
    assert process.stdout is not None


def test_a_port_in_use(trial: Any) -> None:
    with begun(trial, "pipeline.yaml", "--dashboard", "--port", "0", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        port = re.search(r":(\d+)/", process.stderr.readline())
        assert port is not None
        done = trial.run("dag", "run", "broken.yaml", "--dashboard", "--port", port[1])
    assert done.status == 1
    assert done.err.startswith(f"error: the dashboard has no place: port {port[1]} of 127.0.0.1 is in use")


def test_a_plugin_that_cannot_be_loaded_is_told_with_the_reason(trial: Any) -> None:
    trial.plugin("shout", "import nothere" + SHOUT)
    trial.plugin("other", ECHO, kind="tol")
    done = trial.run("dag", "show", "pipeline.yaml")
    assert (done.status, done.out) == (1, "")
    assert "line 3: nodes.first.plugin: plugin 'shout' cannot be used: " in done.err
    assert "No module named 'nothere'" in done.err
    assert "warning: left out: plugins/other, as kind 'tol' has no hookspec" in done.err


def test_for_whom_a_run_waits(trial: Any) -> None:
    with begun(trial, "pipeline.yaml", "--dashboard", "--port", "0", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        decide(process.stderr.readline(), "/api/gates/review/approve")
        assert "note: review waits for a decision on the page" in process.stderr.read()


def test_errors_of_plugins_with_their_place(trial: Any) -> None:
    assert re.search(
        r"no such column.* \(\S*plugins/break/plugin.py, line 3\)", trial.run("dag", "run", "broken.yaml").out
    )


def test_an_error_that_cannot_be_told_is_told_somehow(trial: Any) -> None:
    code = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError
class Break:
    def execute(self, args):
        raise Odd
"""
    trial.plugin("break", code)
    done = trial.run("dag", "run", "broken.yaml", "--json")
    assert done.status == 1
    assert done.json["nodes"]["a"]["error"] == {"type": "Odd", "message": "its message cannot be shown"}


STARTS = """
import time
class Slow:
    def setup(self):
        print("starts", flush=True)
        time.sleep(60)
    def execute(self, args):
        pass
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_while_plugins_start(trial: Any, sent: signal.Signals, status: int) -> None:
    trial.plugin("slow", STARTS, more="teardown_timeout_sec = 1\nstartup_timeout_sec = 1")
    trial.file("slow.yaml", SLOW_PIPELINE)
    with begun(trial, "slow.yaml", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "starts\n"
        process.send_signal(sent)
        assert process.wait(30) == status


SLOW_PIPELINE = """
pipeline: p
nodes:
  a: {kind: tool, hook: execute, plugin: slow, payload: {seconds: 1}}
  b: {kind: tool, hook: execute, plugin: slow, payload: {seconds: 60}, after: [a]}
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_ended_tells_what_became_of_it(trial: Any, sent: signal.Signals, status: int) -> None:
    trial.file("slow.yaml", SLOW_PIPELINE)
    with begun(trial, "slow.yaml", "--json", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "begins\n"
        process.send_signal(sent)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == status
    assert {name: one["status"] for name, one in json.loads(out)["nodes"].items()} == {
        "a": "succeeded",
        "b": "cancelled",
    }
    assert "Traceback" not in errors
