"""``dagstack-plugins new``: files to begin with, which take the place of nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest


def test_from_nothing_to_a_plugin_that_is_called(project: Any) -> None:
    done = project.run("new", "kind", "greeter", "--hook", "greet")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "kinds/greeter/v1.yaml",
        "kinds/greeter/schemas/greet.input.json",
        "kinds/greeter/schemas/greet.output.json",
        "next: dagstack-plugins new plugin my_greeter --kind greeter",
    ]
    done = project.run("new", "plugin", "my_greeter", "--kind", "greeter")
    assert done.out.splitlines()[-1] == "next: dagstack-plugins test plugins/my_greeter"
    assert project.run("check", ".").status == 0
    assert project.run("test", "plugins/my_greeter").status == 0
    assert project.run("call", "greeter", "greet", "--json", '{"text": "a"}').json == {"text": ""}


@pytest.mark.parametrize("kind", ["tool", "chunker", "greeter"])
def test_a_new_package_passes_its_own_tests(project: Any, kind: str) -> None:
    project.run("new", "kind", "greeter")
    result = project.run("new", "plugin", "acme-thing", "--kind", kind, "--package", "--in", "projects")
    assert (result.status, result.err) == (0, "")
    folder = project.root / "projects/acme-thing"
    assert (folder / "kinds/greeter/v1.yaml").exists() == (kind == "greeter")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 passed")


@pytest.mark.parametrize("word", ["on", "yes", "null", "true"])
def test_words_that_yaml_reads_otherwise(project: Any, word: str) -> None:
    assert project.run("new", "kind", word, "--in", "specs").status == 0
    done = project.run("new", "plugin", "made", "--kind", word, "--hookspecs", "specs")
    assert (done.status, done.err) == (0, "")


def test_the_tests_of_a_package_know_of_defaults(project: Any) -> None:
    text = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    told = {**text, "properties": {**text["properties"], "lang": {"type": "string", "default": "en"}}}
    project.kind("greeter", {"greet": {"input_schema": text, "output_schema": told}})
    project.run("new", "plugin", "acme-thing", "--kind", "greeter", "--package")
    test = (project.root / "acme-thing/tests/test_acme_thing.py").read_text()
    assert '== {"text": "", "lang": "en"}' in test


def test_nothing_is_overwritten(project: Any) -> None:
    assert project.run("new", "plugin", "echo", "--kind", "tool").status == 0
    (project.root / "plugins/echo/plugin.py").write_text("mine")
    (project.root / "plugins/echo/dagstack.toml").unlink()
    done = project.run("new", "plugin", "echo", "--kind", "tool")
    assert (done.status, done.out) == (1, "")
    assert "plugin.py is there already, and nothing is overwritten\n" in done.err
    assert "plugins/echo/plugin.py" in done.err
    assert (project.root / "plugins/echo/plugin.py").read_text() == "mine"
    assert not (project.root / "plugins/echo/dagstack.toml").exists()


def test_what_cannot_be_written_leaves_nothing_behind(project: Any) -> None:
    (project.root / "kinds/greeter").mkdir(parents=True)
    (project.root / "kinds/greeter/schemas").write_text("a file where a folder goes")
    assert project.run("new", "kind", "greeter").status == 1
    assert sorted(path.name for path in (project.root / "kinds/greeter").iterdir()) == ["schemas"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("plugin", "Echo", "--kind", "tool"), 2, "'Echo' is no name for a plugin"),
        (("plugin", "../echo", "--kind", "tool"), 2, "'../echo' is no name for a plugin"),
        (("plugin", "echo", "--kind", "tol"), 1, "did you mean 'tool'?"),
        (("plugin", "echo"), 2, "Missing option '--kind'"),
        (("plugin", "json", "--kind", "tool", "--package"), 2, "'json' is a module that is there already"),
        (("plugin", "1st", "--kind", "tool", "--package"), 2, "'1st' is no name for a package"),
        (("plugin", "dagstack-plugins", "--kind", "tool", "--package"), 2, "is a module that is there already"),
        (("plugin", "abc-", "--kind", "tool", "--package"), 2, "is no name for a package"),
        (("kind", "my-kind"), 2, "'my-kind' is no name for a kind"),
        (("kind", "tool"), 2, "kind 'tool' is built in"),
        (("kind", "greeter", "--hook", "setup"), 2, "'setup' is reserved"),
        (("kind", "greeter", "--hook", "a b"), 2, "'a b' is no name for a hook"),
        (("kind", "greeter", "--dispatch", "any"), 2, "'any' is not one of"),
    ],
)
def test_wrong_command_lines(project: Any, arguments: tuple[str, ...], status: int, told: str) -> None:
    before = sorted(project.root.rglob("*"))
    done = project.run("new", *arguments)
    assert (done.status, done.out) == (status, "")
    assert told in done.err
    assert sorted(project.root.rglob("*")) == before
