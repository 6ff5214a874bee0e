"""``dagstack-plugins list``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins.contents import Contents

LOUD = """
import atexit, os, subprocess, sys
print("printed")
sys.stdout.write("written")
os.write(1, b"low level")
subprocess.run([sys.executable, "-c", "print('by a child')"])
atexit.register(print, "at exit")

class Echo:
    def execute(self, args):
        return dict(args)
"""


def test_a_plugin_is_one_line_with_all_that_matters(project: Any) -> None:
    project.plugin("echo", version="1.2.3", priority=7)
    done = project.run("list", "plugins")
    head, row = done.out.splitlines()
    assert head.split() == ["Kind", "Name", "Version", "Priority", "Runtime", "State", "Location"]
    assert row.split() == ["tool", "echo", "1.2.3", "7", "in_process", "registered", str(Path("plugins", "echo"))]
    assert (done.status, done.err) == (0, "")


def test_the_working_directory_is_where_it_looks_by_default(project: Any) -> None:
    project.plugin("echo")
    assert project.run("list", at=project.plugins).out.splitlines()[1].split()[-1] == "echo"


def test_a_refused_plugin_is_listed_with_its_reason_and_told_once(project: Any) -> None:
    project.plugin("echo")
    project.plugin("late", kind="paymant")
    done = project.run("list", "plugins")
    assert done.status == 0
    assert done.err == ""
    assert done.out.count("kind 'paymant' has no hookspec") == 1
    assert [line for line in done.out.splitlines() if "tool" in line and "registered" in line]
    assert any(line.split()[:2] == ["paymant", "late"] for line in done.out.splitlines())


def test_json_is_sorted_and_complete(project: Any) -> None:
    for name in ("zebra", "ape"):
        project.plugin(name, version="1.0")
    project.plugin("broken", "import nothing_of_that_name")
    project.file("plugins/unreadable/dagstack.toml", "[plugin")
    done = project.run("list", "--json", "plugins")
    plugins = done.json["plugins"]
    assert [(one["kind"], one["name"]) for one in plugins] == [
        (None, None),
        ("tool", "ape"),
        ("tool", "broken"),
        ("tool", "zebra"),
    ]
    unreadable, ape, broken, _ = plugins
    assert ape == {
        "kind": "tool",
        "name": "ape",
        "version": "1.0",
        "priority": 0,
        "runtime": "in_process",
        "state": "registered",
        "location": str(project.plugins / "ape"),
        "content_hash": Contents(project.plugins / "ape").hash,
        "error": None,
        "reason": "",
    }
    assert (broken["error"], broken["state"], broken["priority"]) == ("PluginLoadError", "unavailable", 0)
    assert (unreadable["error"], unreadable["version"]) == ("ManifestInvalid", None)
    assert "TOML" in unreadable["reason"]
    assert project.run("list", "--json", "plugins").out == done.out


def test_what_plugins_print_is_kept_from_standard_output(project: Any) -> None:
    project.plugin("loud", LOUD)
    done = project.run("list", "--json", "plugins")
    assert [one["name"] for one in done.json["plugins"]] == ["loud"]
    for word in ("printed", "written", "low level", "by a child", "at exit"):
        assert word in done.err


@pytest.mark.parametrize("as_json", [False, True])
def test_a_folder_without_plugins(project: Any, as_json: bool) -> None:
    done = project.run("list", "plugins", *(["--json"] if as_json else []))
    assert done.status == 0
    assert done.json == {"plugins": []} if as_json else done.out == "" and "there is no plugin in plugins" in done.err


def test_nothing_is_cut_in_80_columns(project: Any) -> None:
    name = "a_plugin_with_a_rather_long_name"
    at = "/".join(["a_folder_with_a_rather_long_name"] * 4)
    folder = project.plugin(name, at=at, kind="some_kind_that_nobody_knows", version="1.0.0")
    done = project.run("list", "plugins", COLUMNS="80")
    assert max(map(len, done.out.splitlines())) <= 80
    packed = "".join(done.out.split())
    reason = project.run("list", "--json", "plugins").json["plugins"][0]["reason"]
    for whole in (name, "some_kind_that_nobody_knows", str(folder.relative_to(project.root)), reason):
        assert "".join(whole.split()) in packed


def test_text_of_plugins_is_printed_as_it_is_and_steers_nothing(project: Any) -> None:
    project.plugin("sly", version="[red]1[/red] :smile: \x1b[31m\x07\u202e")
    done = project.run("list", "plugins", FORCE_COLOR="1")
    assert r"[red]1[/red] :smile: \x1b[31m\x07\u202e" in done.out


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("changes", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gives_width_and_takes_colour(project: Any, changes: dict[str, str], coloured: bool) -> None:
    import pty
    import termios

    project.plugin("late", kind="paymant", at="quite/a/long/way/down/to/a/plugin")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    done = subprocess.Popen(
        [sys.executable, "-m", "dagstack_plugins", "list", "plugins"],
        cwd=project.root,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=project.environment(TERM="xterm-256color", **changes),
    )
    os.close(theirs)
    out = b""
    try:
        while chunk := os.read(ours, 4096):
            out += chunk
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    assert done.wait() == 0
    assert (b"\x1b[31m" in out) is coloured
    assert b"\r\n  " in out
    assert b"plugins/quite/a/long/way/down/to/a/plugin" in out
    if not coloured:
        lines = out.decode().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()
        assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("arguments", [("nowhere",), ("--hookspecs", "nowhere")])
def test_a_path_that_is_not_there_is_a_usage_error(misuse: Any, arguments: tuple[str, ...]) -> None:
    assert "'nowhere' does not exist" in misuse("list", *arguments)
