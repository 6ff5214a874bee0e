"""``dagstack-plugins lock``, and ``check --locked``."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def made(project: Any) -> Any:
    project.plugin("echo", version="1.2.0")
    project.plugin("other")
    return project


def test_a_lock_is_written_and_holds(made: Any) -> None:
    done = made.run("lock", "plugins")
    assert (done.status, done.err) == (0, "")
    assert "+ tool/echo 1.2.0 sha256:" in done.out
    assert done.out.endswith("dagstack.lock: 2 plugins\n")
    text = (made.root / "dagstack.lock").read_text()
    assert made.run("check", "--locked", "plugins").status == 0
    again = made.run("lock", "plugins")
    assert again.out == "dagstack.lock: 2 plugins\n"
    assert (made.root / "dagstack.lock").read_text() == text


def test_what_changed_is_told_and_refused(made: Any) -> None:
    made.run("lock", "plugins")
    (made.plugins / "echo/plugin.py").write_text("class Echo:\n    def execute(self, args):\n        return 1\n")
    made.plugin("third")
    done = made.run("check", "--locked", "plugins")
    assert done.status == 1
    assert "its files were changed" in done.out
    assert "'third' of kind 'tool'" in done.out
    assert made.run("check", "plugins").status == 0
    done = made.run("lock", "plugins/echo", "plugins/third")
    assert [line.split()[:2] for line in done.out.splitlines()[:3]] == [
        ["~", "tool/echo"],
        ["-", "tool/other"],
        ["+", "tool/third"],
    ]


def test_what_is_locked_and_gone_is_a_warning(made: Any) -> None:
    made.run("lock", "plugins")
    done = made.run("check", "--locked", "plugins/echo")
    assert (done.status, "tool/other is locked, but was not found" in done.err) == (0, True)
    told = made.run("check", "--locked", "--json", "plugins/echo").json
    assert [one["plugin"] for one in told["warnings"]] == ["other"]


def test_a_lock_file_that_is_not_there_says_how_to_get_one(made: Any) -> None:
    done = made.run("check", "--locked", "plugins")
    file = made.root / "dagstack.lock"
    assert done.status == 1
    assert done.err == f"error: there is no lock file {file}; `dagstack-plugins lock` writes one\n"


def test_another_file(made: Any) -> None:
    assert made.run("lock", "--out", "trusted.toml", "plugins").status == 0
    assert not (made.root / "dagstack.lock").exists()
    assert made.run("check", "--lock", "trusted.toml", "plugins").status == 0


def test_no_code_is_loaded(project: Any) -> None:
    project.plugin("loud", "raise SystemExit('loaded')\n")
    assert project.run("lock", "--json", "plugins").json["plugins"][0]["name"] == "loud"


def test_programs_are_told_of_faults_too(made: Any) -> None:
    made.run("lock", "plugins")
    made.plugin("odd", priorty=3)
    done = made.run("lock", "--json", "plugins")
    assert (done.status, done.json["changed"], len(done.json["plugins"])) == (1, False, 2)
    [fault] = done.json["faults"]
    assert (fault["error"], fault["path"], "did you mean 'priority'" in fault["message"]) == (
        "ManifestInvalid",
        "plugin.priorty",
        True,
    )
    assert fault["file"].endswith("odd/dagstack.toml")


def test_faulty_plugins_leave_the_lock_as_it_is(made: Any) -> None:
    made.run("lock", "plugins")
    before = (made.root / "dagstack.lock").read_text()
    made.plugin("odd", priorty=3)
    made.plugin("echo", at="echo_again")
    done = made.run("lock", "plugins")
    assert done.status == 1
    assert "did you mean 'priority'" in done.err
    assert "two plugins are called 'echo' in kind 'tool'" in done.err
    assert "dagstack.lock is left as it is" in done.err
    assert (made.root / "dagstack.lock").read_text() == before


def test_nothing_but_a_lock_is_overwritten(made: Any) -> None:
    made.file("README.md", "hello")
    done = made.run("lock", "--out", "README.md", "plugins")
    assert (done.status, "README.md is there and is no lock file" in done.err) == (2, True)
    assert (made.root / "README.md").read_text() == "hello"
    made.file("dagstack.lock", "lock_version = 1\nplugin = 3\n")
    done = made.run("lock", "plugins")
    assert (done.status, "plugin: expected a list" in done.err) == (0, True)
    assert made.run("check", "--locked", "plugins").status == 0


def test_a_lock_does_not_lie_in_what_it_tells_of(made: Any) -> None:
    done = made.run("lock", at=made.plugins / "echo")
    assert (done.status, "lies in the folder of plugin 'echo'" in done.err) == (1, True)
    assert made.run("lock", "--out", "../../dagstack.lock", at=made.plugins / "echo").status == 0


def test_one_plugin_by_two_ways_is_one(made: Any) -> None:
    (made.root / "link").symlink_to(made.plugins)
    assert made.run("lock", "plugins", "link", "plugins/../plugins").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("lock", "nowhere"), 2, "does not exist"),
        (("lock", "empty"), 1, "there is no plugin in empty"),
        (("lock", "--installed"), 1, "there is no plugin in the distributions that are installed"),
        (("check", "--locked", "plugins"), 1, "dagstack.lock"),
        (("check", "--lock", "missing", "plugins"), 2, "does not exist"),
        (("check",), 2, "Missing argument 'PATH...'"),
        (("graph",), 2, "Missing argument 'PATH...'"),
    ],
)
def test_wrong_command_lines(made: Any, arguments: tuple[str, ...], status: int, told: str) -> None:
    (made.root / "empty").mkdir()
    done = made.run(*arguments)
    assert done.status == status
    assert told in done.err
