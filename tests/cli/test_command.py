"""The command as a program: how it starts, and all the ways in which it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dagstack_plugins import __version__
from dagstack_plugins.cli import main
from dagstack_plugins.cli.app import commands

COMMANDS = ("list", "check", "graph", "kinds", "call")
FULL = Path("/dev/full")
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and pipes")

SLEEPER = """
import sys, time

class Sleeper:
    def execute(self, args):
        print("asleep", flush=True)
        time.sleep(60)
"""


def test_the_entry_point_is_the_command() -> None:
    (entry,) = entry_points(group="console_scripts", name="dagstack-plugins")
    assert entry.load() is main


def test_version(project: Any) -> None:
    done = project.run("--version")
    assert (done.status, done.out) == (0, f"dagstack-plugins {__version__}\n")


def test_help_shows_all_commands_and_how_they_are_used(project: Any) -> None:
    done = project.run("--help")
    assert (done.status, done.err) == (0, "")
    for command in COMMANDS:
        assert f"dagstack-plugins {command} " in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(command: str) -> None:
    done = CliRunner().invoke(commands, [command, "--help"])
    assert (done.exit_code, done.stderr) == (0, "")
    examples = done.stdout.partition("Examples:\n")[2].splitlines()
    assert examples
    assert all(line.strip().startswith(f"dagstack-plugins {command}") for line in examples)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_wrong_command_line(project: Any) -> None:
    done = project.run("lst")
    assert (done.status, done.out) == (2, "")
    assert "No such command 'lst'" in done.err


@pytest.mark.parametrize(("arguments", "word"), [((), "Usage"), (("--colour",), "No such option")])
def test_other_wrong_command_lines(misuse: Any, arguments: tuple[str, ...], word: str) -> None:
    assert word in misuse(*arguments)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_extra_it_says_what_to_install(project: Any, missing: str) -> None:
    # None in sys.modules makes Python say that there is no such module.
    code = f"import sys; sys.modules[{missing!r}] = None; from dagstack_plugins.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "list"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        'dagstack-plugins needs more to run as a command: pip install "dagstack-plugins[cli]"'
    ]


@posix
def test_ctrl_c(project: Any) -> None:
    project.plugin("sleeper", SLEEPER)
    command = [sys.executable, "-m", "dagstack_plugins", "call", "tool", "execute"]
    with subprocess.Popen(
        command, cwd=project.root, env=project.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "asleep\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err


@posix
@pytest.mark.parametrize("arguments", [("list", "plugins"), ("kinds", "--json"), ("graph", "plugins")])
def test_nobody_reads(project: Any, arguments: tuple[str, ...]) -> None:
    project.plugin("echo")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dagstack_plugins", *arguments],
        cwd=project.root,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_a_full_disk(project: Any) -> None:
    project.plugin("echo")
    command = [sys.executable, "-m", "dagstack_plugins", "list", "plugins"]
    with FULL.open("w") as full:
        done = subprocess.run(command, cwd=project.root, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@posix
def test_a_closed_standard_output(project: Any) -> None:
    project.plugin("echo")
    command = f'"{sys.executable}" -m dagstack_plugins list plugins >&-'
    done = subprocess.run(command, shell=True, cwd=project.root, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
