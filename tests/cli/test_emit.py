"""``dagstack-plugins emit``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
HOOKS = {"greet": {"input_schema": TEXT, "output_schema": TEXT}}


@pytest.fixture
def hookspec(project: Any) -> Path:
    return Path(project.kind("greeter", HOOKS))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("python", "class GreeterHookSpec("),
        ("openrpc", '"name": "greeter.greet"'),
        ("jsonschema", '"GreetInput": {'),
        ("markdown", "# `greeter` 1.0.0"),
    ],
)
def test_to_a_file_or_standard_output_and_checked(project: Any, hookspec: Path, target: str, told: str) -> None:
    done = project.run("emit", hookspec, "--to", target)
    assert (done.status, done.err) == (0, "")
    assert told in done.out
    assert project.run("emit", hookspec, "--to", target, "--out", "made/greeter.x").out == ""
    assert (project.root / "made/greeter.x").read_text() == done.out
    assert project.run("emit", hookspec, "--to", target, "--out", "made/greeter.x", "--check").status == 0


def test_what_is_stale_is_told_and_left_as_it_is(project: Any, hookspec: Path) -> None:
    project.run("emit", hookspec, "--to", "python", "--out", "greeter.py")
    before = (project.root / "greeter.py").read_text()
    project.kind("greeter", {**HOOKS, "leave": {}})
    done = project.run("emit", hookspec, "--to", "python", "--out", "greeter.py", "--check")
    assert (done.status, "greeter.py is stale" in done.err) == (1, True)
    assert (project.root / "greeter.py").read_text() == before
    project.run("emit", hookspec, "--to", "python", "--out", "greeter.py")
    assert project.run("emit", hookspec, "--to", "python", "--out", "greeter.py", "--check").status == 0


def test_the_hookspec_itself_is_not_overwritten(project: Any, hookspec: Path) -> None:
    before = (project.root / hookspec).read_text()
    done = project.run("emit", hookspec, "--to", "python", "--out", hookspec)
    assert (done.status, "is the hookspec itself" in done.err) == (2, True)
    assert (project.root / hookspec).read_text() == before


def test_a_formatter_makes_nothing_stale(project: Any, hookspec: Path) -> None:
    project.run("emit", hookspec, "--to", "python", "--out", "greeter.py")
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "60", "--isolated", "greeter.py"]
    subprocess.run(command, cwd=project.root, check=True, capture_output=True)
    assert project.run("emit", hookspec, "--to", "python", "--out", "greeter.py", "--check").status == 0


def test_what_is_emitted_is_laid_out_as_formatters_do(project: Any, hookspec: Path) -> None:
    project.run("emit", hookspec, "--to", "python", "--out", "greeter.py")
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "88", "--isolated", "--check", "greeter.py"]
    assert subprocess.run(command, cwd=project.root, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("kinds/greeter/v1.yaml",), 2, "Missing option '--to'"),
        (("kinds/greeter/v1.yaml", "--to", "java"), 2, "'java' is not one of"),
        (("missing.yaml", "--to", "python"), 2, "does not exist"),
        (("kinds", "--to", "python"), 2, "is a directory"),
        (("kinds/greeter/v1.yaml", "--to", "python", "--check"), 2, "--check compares with --out FILE"),
        (("kinds/greeter/v1.yaml", "--to", "python", "--out", "no.py", "--check"), 1, "there is no no.py"),
        (
            ("kinds/greeter/v1.yaml", "--to", "python", "--out", "odd.txt", "--check"),
            1,
            "odd.txt is no python any more",
        ),
        (("kinds/greeter/v1.yaml", "--to", "openrpc", "--out", "odd.txt", "--check"), 1, "is no openrpc any more"),
        (("faulty.yaml", "--to", "python"), 1, "line 1: kid: unknown field"),
        (("dynamic.yaml", "--to", "jsonschema"), 1, "$dynamicRef '#x' depends on who refers to it"),
    ],
)
def test_wrong_command_lines(project: Any, hookspec: Path, arguments: tuple[str, ...], status: int, told: str) -> None:
    project.file("odd.txt", "not ( python")
    project.file("faulty.yaml", "kid: x\n")
    project.file(
        "dynamic.yaml",
        """
        kind: dynamic
        kind_api_version: 1.0.0
        hooks:
        - name: go
          dispatch: singleton
          input_schema: {type: object, properties: {a: {$dynamicRef: "#x"}}, $defs: {x: {$dynamicAnchor: x}}}
        """,
    )
    done = project.run("emit", *arguments)
    assert (done.status, done.out) == (status, "")
    assert told in done.err
