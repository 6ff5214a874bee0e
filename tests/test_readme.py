"""What the README shows is what a reader gets: its files are written, its commands typed, its output compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
FILE = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SESSION = re.compile(r"^```console\n\$ (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    ".venv/bin/python": [sys.executable],
    ".venv/bin/dagstack-plugins": [sys.executable, "-m", "dagstack_plugins"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the README shows."""
    folder = tmp_path_factory.mktemp("reader")
    files = FILE.findall(README.read_text("utf-8"))
    assert len(files) == 7
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


SESSIONS = SESSION.findall(README.read_text("utf-8"))


@pytest.mark.parametrize(("command", "output"), SESSIONS, ids=[command.split()[1] for command, _ in SESSIONS])
def test_a_command_prints_what_is_shown(folder: Path, command: str, output: str) -> None:
    program, *arguments = shlex.split(command)
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [*COMMANDS[program], *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, output), done.stderr


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README.read_text("utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []
