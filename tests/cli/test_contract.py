"""``dagstack-plugins test``: the contract suite, as a table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest

READS = """
import os


class Reads:
    def execute(self, args):
        return "HOME" in os.environ
"""
REFUSES = """
class Refuses:
    def execute(self, args):
        raise ValueError("no")
"""
ALONE = ("--check", "manifest", "--check", "ambient_state", "--check", "boundaries")


@pytest.fixture
def made(project: Any) -> Any:
    project.plugin("echo")
    project.plugin("reads", READS)
    return project


def test_a_table_of_plugins_by_checks(made: Any) -> None:
    done = made.run("test", "plugins")
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0].endswith("┌ manifest")
    assert lines[11].endswith("│ ┌ chain")
    assert lines[12] == "tool/echo  ✓ ✓ ✓ ✓ ✓ ✓ ✓ - - - - -"
    assert lines[13] == "tool/reads ✓ ✗ ✓ ✓ ✓ ✓ ✓ - - - - -"
    assert "tool/reads breaks invariant 1, ambient_state, hook 'execute': uses os.environ['HOME']" in done.out
    assert "plugins/reads/plugin.py:6" in done.out
    assert lines[-1] == "2 plugins: 1 failed, 13 passed, 10 not applicable"


def test_all_is_well(made: Any) -> None:
    done = made.run("test", *ALONE, "plugins/echo", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.status == 0
    assert "tool/echo . . ." in done.out
    assert "ok: 1 plugin: 3 passed\n" in done.out


def test_as_json(made: Any) -> None:
    done = made.run("test", "--json", *ALONE, "plugins")
    assert done.status == 1
    results = done.json["results"]
    assert done.json["ok"] is False
    assert {result["plugin"] for result in results} == {"tool/echo", "tool/reads"}
    [failed] = [result for result in results if result["status"] == "failed"]
    assert failed["violations"][0]["line"] == 6


def test_what_is_not_proven_is_told_once(project: Any) -> None:
    project.plugin("refuses", REFUSES)
    project.plugin("needs", more='[plugin.resources]\nrequired = ["pool"]\n')
    done = project.run("test", *ALONE, "plugins")
    assert done.status == 1
    assert "tool/refuses ✓ ? ?" in done.out
    assert done.out.count("requires the resource 'pool', which nobody gave") == 1
    assert "not proven: tool/needs: ambient_state, boundaries[get_schema], boundaries[execute]: it requires" in done.out


def test_a_broken_manifest_stops_no_other(made: Any) -> None:
    made.plugin("odd", priorty=1)
    done = made.run("test", *ALONE, "plugins")
    assert done.status == 1
    assert "did you mean 'priority'" in done.out
    assert "tool/echo" in done.out


def test_excuses(project: Any) -> None:
    project.plugin(
        "reads", READS, more='[plugin.contract.excused]\nambient_state = "why not"\nboundaries = "in case"\n'
    )
    done = project.run("test", *ALONE, "plugins")
    assert done.status == 0
    assert "tool/reads ✓ e ✓" in done.out
    assert "note: tool/reads: boundaries[execute] passes, so that its excuse can go" in done.out


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ((), 2, "Missing argument 'PATH...'"),
        (("nowhere",), 2, "does not exist"),
        (("--check", "boundary", "plugins"), 2, "did you mean 'boundaries'"),
        (("--timeout", "0", "plugins"), 2, "0.0 is not in the range"),
        (("--examples", "0", "plugins"), 2, "0 is not in the range"),
        (("--hookspecs", "plugins", "plugins"), 1, "plugins"),
    ],
)
def test_wrong_command_lines(made: Any, arguments: tuple[str, ...], status: int, told: str) -> None:
    done = made.run("test", *arguments)
    assert done.status == status
    assert told in done.err + done.out


def test_a_folder_without_a_plugin(project: Any) -> None:
    (project.root / "empty").mkdir()
    done = project.run("test", "empty")
    assert (done.status, done.out) == (1, "")
    assert "there is no plugin in empty" in done.err
    assert project.run("test", "--json", "empty").json == {"ok": False, "results": []}


def test_two_plugins_of_one_name_have_a_row_each(project: Any) -> None:
    project.plugin("echo")
    shutil.copytree(project.root / "plugins/echo", project.root / "other/echo")
    done = project.run("test", "--check", "manifest", "plugins", "other")
    assert (done.status, done.err) == (0, "")
    assert "tool/echo in plugins/echo ✓" in done.out
    assert "tool/echo in other/echo   ✓" in done.out


def test_rows_come_as_they_are_known_and_an_interrupt_loses_none(made: Any) -> None:
    made.plugin("slow", "import time\n\n\nclass Slow:\n    def execute(self, args):\n        time.sleep(600)\n")
    command = [sys.executable, "-m", "dagstack_plugins", "test", "--check", "ambient_state", "plugins"]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    with subprocess.Popen(command, cwd=made.root, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        seen = [running.stdout.readline() for _ in range(3)]
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
    assert seen[1:] == ["tool/echo  ✓\n", "tool/reads ✗\n"]
    assert "tool/reads breaks invariant 1, ambient_state" in rest
    assert rest.rstrip().endswith("2 plugins: 1 failed, 1 passed")
    assert running.returncode != 0
