"""Folders of plugins and kinds, and the real command run on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from dagstack_plugins.cli.app import commands

ECHO = """
class Echo:
    def execute(self, args):
        return dict(args)
"""


@attrs.frozen
class Done:
    """How the command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@attrs.frozen
class Project:
    """A repository with plugins and kinds in it."""

    root: Path

    @property
    def plugins(self) -> Path:
        return self.root / "plugins"

    def file(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    def plugin(self, name: str, code: str = ECHO, *, at: str | None = None, more: str = "", **fields: Any) -> Path:
        """A plugin folder; ``more`` is TOML below the fields."""
        given = {"name": name, "kind": "tool", "core_version": ">=0.1,<1", "runtime": "in_process", **fields}
        lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
        folder = f"plugins/{at or name}"
        self.file(f"{folder}/dagstack.toml", "\n".join(["[plugin]", *lines, more, ""]))
        return self.file(f"{folder}/plugin.py", code).parent

    def kind(self, name: str, hooks: Mapping[str, Mapping[str, Any]], *, at: str = "kinds", **fields: Any) -> Path:
        """A hookspec file."""
        declared = [{"name": hook, "dispatch": "singleton", **how} for hook, how in hooks.items()]
        document = {"kind": name, "kind_api_version": "1.0.0", "hooks": declared, **fields}
        return self.file(f"{at}/{name}/v1.yaml", json.dumps(document))  # JSON is YAML

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment of the tests, as far as it doesn't change what is printed."""
        changing = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONIOENCODING")
        kept = {key: value for key, value in os.environ.items() if key not in changing}
        return {**kept, "PYTHONUTF8": "1", **changes}

    def run(self, *arguments: str | Path, at: Path | None = None, given: str | None = None, **environment: str) -> Done:
        """Run ``python -m dagstack_plugins``."""
        done = subprocess.run(
            [sys.executable, "-m", "dagstack_plugins", *map(str, arguments)],
            cwd=at or self.root,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            env=self.environment(**environment),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr or "--verbose" in arguments, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


def make_project(root: Path) -> Project:
    # The search for kinds goes no further up than this.
    (root / ".git").mkdir()
    (root / "plugins").mkdir()
    return Project(root)


@pytest.fixture
def misuse() -> Callable[..., str]:
    """Run a command line that is refused before anything is loaded, and give what it says; that takes no process."""

    def run(*arguments: str, given: str = "") -> str:
        done = CliRunner().invoke(commands, arguments, input=given)
        assert (done.exit_code, done.stdout) == (2, "")
        return done.stderr

    return run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One for all tests of a file, which only read it."""
    return make_project(tmp_path_factory.mktemp("shared"))
