"""Which folders are plugins, in which order they come, and what happens where one can't be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import DEFAULT_IGNORE, AmbiguousPlugin, PluginManifest, PluginRegistry

WritePlugin = Callable[..., Path]

MANIFEST = """
[plugin]
name = "{name}"
kind = "tool"
core_version = ">=0.1"
runtime = "in_process"
"""
CODE = "class Echo:\n    def execute(self, args):\n        return args\n"


def names(manifests: Sequence[PluginManifest]) -> list[str]:
    return [manifest.name for manifest in manifests]


def write(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagstack.toml").write_text(MANIFEST.format(name=name))
    (folder / "plugin.py").write_text(CODE)


# Where to look


def test_a_missing_root_is_an_error(registry: PluginRegistry, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        registry.discover(tmp_path / "nowhere")
    assert registry.status() == []


def test_a_root_that_is_a_file_is_an_error(registry: PluginRegistry, plugin: WritePlugin) -> None:
    file = plugin("echo") / "plugin.py"
    with pytest.raises(NotADirectoryError, match=r"plugin\.py is a file; name the folder"):
        registry.discover(file)


def test_a_root_that_links_to_nothing_or_to_itself_is_an_error(registry: PluginRegistry, tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for root in ("dangling", "circle"):
        with pytest.raises(FileNotFoundError):
            registry.discover(tmp_path / root)


def test_an_empty_root_holds_nothing(registry: PluginRegistry, plugins: Path) -> None:
    assert registry.discover(plugins) == []


def test_relative_paths_count_from_the_working_directory(
    registry: PluginRegistry, plugin: WritePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plugin("echo")
    monkeypatch.chdir(folder.parent.parent)
    assert names(registry.discover("plugins/")) == ["echo"]
    assert registry.status()[0].location == str(folder)


def test_the_working_directory_may_change_afterwards(
    registry: PluginRegistry, plugin: WritePlugin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = plugin("echo")
    monkeypatch.chdir(folder)
    assert names(registry.discover(".")) == ["echo"]
    monkeypatch.chdir(tmp_path)
    assert registry.discover(folder) == []


def test_the_home_folder_is_expanded(
    registry: PluginRegistry, plugin: WritePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plugin("echo")
    monkeypatch.setenv("HOME", str(folder.parent.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent.parent))
    assert names(registry.discover("~/plugins")) == ["echo"]


def test_the_root_may_be_a_plugin_itself(registry: PluginRegistry, plugin: WritePlugin) -> None:
    assert names(registry.discover(plugin("echo"))) == ["echo"]


def test_several_roots_may_be_discovered(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("one", at="first/one")
    plugin("two", at="second/two")
    assert names(registry.discover(plugins / "first")) == ["one"]
    assert names(registry.discover(plugins / "second")) == ["two"]
    assert names(registry.list_manifests()) == ["one", "two"]


# Which folders


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dagstack.toml", MANIFEST.format(name="echo")),
        (
            "dagstack.json",
            '{"plugin": {"name": "echo", "kind": "tool", "core_version": ">=0.1", "runtime": "in_process"}}',
        ),
        ("pyproject.toml", MANIFEST.format(name="echo").replace("[plugin]", "[tool.dagstack.plugin]")),
    ],
)
def test_each_form_of_manifest_makes_a_plugin(registry: PluginRegistry, plugins: Path, file: str, text: str) -> None:
    folder = plugins / "echo"
    folder.mkdir()
    (folder / file).write_text(text)
    (folder / "plugin.py").write_text(CODE)
    assert names(registry.discover(plugins)) == ["echo"]


def test_a_pyproject_of_something_else_is_no_plugin(registry: PluginRegistry, plugin: WritePlugin) -> None:
    root = plugin("echo", at="workspace/echo").parent
    (root / "pyproject.toml").write_text('[project]\nname = "dagstack-host"\n')
    assert names(registry.discover(root)) == ["echo"]


def test_nothing_below_a_plugin_is_searched(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("outer")
    plugin("inner", at="outer/vendored/inner")
    assert names(registry.discover(plugins)) == ["outer"]


def test_nothing_below_a_faulty_plugin_is_searched(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    plugin("outer", runtime="teleport")
    plugin("inner", at="outer/vendored/inner")
    assert registry.discover(plugins) == []
    assert [status.name for status in registry.status()] == ["outer"]


def test_folders_are_walked_in_sorted_order(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    for number, place in enumerate(("b", "a/z", "c/a", "a/B", "a/b", "a.a")):
        plugin(f"p{number}", at=place)
    assert [manifest.folder for manifest in registry.discover(plugins)] == [
        plugins / place for place in ("a/B", "a/b", "a/z", "a.a", "b", "c/a")
    ]


def test_without_recursion_only_the_folders_in_the_root_are_looked_at(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    plugin("near")
    plugin("far", at="group/far")
    assert names(registry.discover(plugins, recursive=False)) == ["near"]
    assert names(registry.discover(plugins, recursive=False)) == []
    assert names(registry.discover(plugins)) == ["far"]


@pytest.mark.parametrize("ignored", DEFAULT_IGNORE)
def test_no_plugin_lies_in_a_folder_that_is_ignored_by_default(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, ignored: str
) -> None:
    plugin("hidden", at=f"group/{ignored}/hidden")
    plugin("ignored", at=ignored)
    plugin("seen", at="group/seen")
    assert names(registry.discover(plugins)) == ["seen"]


def test_the_default_is_what_was_promised() -> None:
    assert set(DEFAULT_IGNORE) == {
        *("__pycache__", "node_modules", ".git", ".venv", "venv", ".mypy_cache", ".pytest_cache"),
        *(".ruff_cache", ".tox", "dist", "build"),
    }


def test_own_patterns_replace_the_default(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("draft", at="draft-one")
    plugin("built", at="build/built")
    plugin("numbered", at="v1")
    plugin("kept")
    assert names(registry.discover(plugins, ignore=["draft-*", "v[0-9]"])) == ["built", "kept"]


def test_patterns_are_for_names_of_folders_not_for_the_root(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    plugin("echo", at="build/echo")
    assert names(registry.discover(plugins / "build")) == ["echo"]
    assert names(PluginRegistry().discover(plugins / "build" / "echo", ignore=["*"])) == ["echo"]


def test_patterns_mind_case(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("echo", at="Build")
    assert names(registry.discover(plugins, ignore=["build", "B"])) == ["echo"]


def test_one_bare_pattern_is_told_apart_from_several(registry: PluginRegistry, plugins: Path) -> None:
    with pytest.raises(TypeError, match=r"ignore.*\['draft\*'\]"):
        registry.discover(plugins, ignore="draft*")


# Links and depth


def test_loops_of_links_end(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("echo", at="a/echo")
    (plugins / "a" / "back").symlink_to(plugins)
    (plugins / "b").mkdir()
    (plugins / "b" / "self").symlink_to(plugins / "b")
    (plugins / "circle").symlink_to(plugins / "circle")
    (plugins / "dangling").symlink_to(plugins / "nowhere")
    assert names(registry.discover(plugins)) == ["echo"]
    assert len(registry.status()) == 1


def test_a_linked_folder_is_a_plugin(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    folder = plugin("echo", at="../elsewhere/echo")
    (plugins / "link").symlink_to(folder, target_is_directory=True)
    assert names(registry.discover(plugins)) == ["echo"]


def test_a_folder_with_two_names_is_one_plugin(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    folder = plugin("echo")
    (plugins / "again").symlink_to(folder, target_is_directory=True)
    assert names(registry.discover(plugins)) == ["echo"]
    assert len(registry.status()) == 1


def test_a_hundred_levels_deep(registry: PluginRegistry, plugins: Path) -> None:
    folder = plugins.joinpath(*["d"] * 100)
    write(folder, "deep")
    assert names(registry.discover(plugins)) == ["deep"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_a_name_that_is_no_utf8(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = os.fsdecode(b"caf\xe9")
    plugin("echo", at=f"{name}/good")
    plugin("faulty", "1 / 0", at=f"{name}/faulty")
    assert names(registry.discover(plugins)) == ["echo"]
    assert {status.location for status in registry.status()} == {f"{plugins / name}/good", f"{plugins / name}/faulty"}
    (record,) = caplog.records
    assert b"caf\\udce9" in record.getMessage().encode("utf-8")


# The same again


@pytest.mark.parametrize("how", ["same", "relative", "link", "parent", "dotted"])
def test_the_same_folder_found_twice_is_nothing_new(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder = plugin("echo")
    monkeypatch.chdir(plugins.parent)
    (plugins.parent / "link").symlink_to(plugins, target_is_directory=True)
    again: dict[str, str | Path] = {
        "same": folder,
        "relative": "plugins/echo",
        "link": "link",
        "parent": plugins,
        "dotted": folder / ".." / "echo",
    }
    assert names(registry.discover(folder)) == ["echo"]
    before = registry.status()
    assert registry.discover(again[how]) == []
    assert registry.status() == before


def test_a_second_manifest_beside_the_first_makes_no_second_plugin(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    folder = plugin("echo")
    registry.discover(plugins)
    (folder / "dagstack.toml").write_text(MANIFEST.format(name="echo"))
    assert registry.discover(plugins) == []
    assert len(registry.status()) == 1


def test_a_folder_that_came_later_is_taken(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("one")
    registry.discover(plugins)
    plugin("two")
    assert names(registry.discover(plugins)) == ["two"]


def test_two_folders_that_share_one_manifest_file_are_two_plugins_of_one_name(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    first = plugin("echo", at="a")
    (plugins / "b").mkdir()
    (plugins / "b" / "dagstack.json").symlink_to(first / "dagstack.json")
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.discover(plugins)
    assert caught.value.places == (str(plugins / "a"), str(plugins / "b"))


def test_also_if_they_are_found_one_after_the_other(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    first = plugin("echo", at="a")
    registry.discover(plugins)
    (plugins / "b").mkdir()
    (plugins / "b" / "dagstack.json").symlink_to(first / "dagstack.json")
    with pytest.raises(AmbiguousPlugin):
        registry.discover(plugins)


# Laws


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "Z", "dist", "x-1"]), min_size=1, max_size=3).map(tuple),
        unique=True,
        max_size=6,
    ).flatmap(lambda places: st.tuples(st.just(places), st.permutations(places)))
)
def test_what_is_found_does_not_depend_on_the_order_in_which_folders_were_made(
    orders: tuple[list[tuple[str, ...]], list[tuple[str, ...]]],
) -> None:
    found = []
    for order in orders:
        with TemporaryDirectory() as root:
            for place in order:
                write(Path(root, *place), "p" + "/".join(place).encode().hex())
            manifests = PluginRegistry().discover(root)
            found.append([manifest.folder.relative_to(Path(root)) for manifest in manifests if manifest.folder])
    assert found[0] == found[1]
    outermost = {
        place
        for place in orders[0]
        if "dist" not in place and not any(place[:end] in orders[0] for end in range(1, len(place)))
    }
    assert found[0] == [Path(*place) for place in sorted(outermost)]


# Folders that can't be read. Root reads everything, so these run in a child process, as nobody.

AS_NOBODY = """
import json, logging, os, sys
from pathlib import Path
from dagstack_plugins import PluginRegistry

logging.disable(logging.CRITICAL)
root = Path(sys.argv[1])
# The package itself may lie where nobody can't read: what is read when first needed is read now.
PluginRegistry().discover(root / "before")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
registry = PluginRegistry()
registry.types("tool")

def discover(**how):
    try:
        found = [manifest.name for manifest in registry.discover(root / "plugins", **how)]
    except OSError as error:
        return type(error).__name__
    except ExceptionGroup as group:
        return [type(error).__name__ for error in group.exceptions]
    refused = [one for one in registry.status() if one.state == "unavailable"]
    told = [[os.path.basename(one.location), type(one.error).__name__, one.reason] for one in refused]
    return {"found": found, "refused": told}

"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that anyone may enter; pytest's own belong to its user."""
    folder = Path(mkdtemp())
    folder.chmod(0o777)
    write(folder / "before" / "good", "good")
    write(folder / "before" / "faulty", "Faulty")
    (folder / "plugins").mkdir()
    yield folder
    for inner, folders, _ in os.walk(folder):
        for name in folders:
            Path(inner, name).chmod(0o777)
    shutil.rmtree(folder)


def as_nobody(act: str, folder: Path) -> Any:
    """What the last line of ``act`` gives."""
    *lines, last = textwrap.dedent(act).strip().splitlines()
    script = AS_NOBODY + "\n".join([*lines, f"print(json.dumps({last}))"])
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")


@posix
@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444], ids=["nothing", "no listing", "no entering"])
def test_a_folder_without_permission_stops_no_other(shared: Path, mode: int) -> None:
    for name in ("a", "closed", "z"):
        write(shared / "plugins" / name, name)
    (shared / "plugins" / "closed").chmod(mode)
    told = as_nobody("discover()", shared)
    assert told["found"] == ["a", "z"]
    ((place, error, reason),) = told["refused"]
    assert (place, error) == ("closed", "PluginLoadError")
    assert "cannot be read" in reason
    assert "Permission denied" in reason


@posix
def test_folders_below_one_that_cannot_be_entered_are_told_of(shared: Path) -> None:
    write(shared / "plugins" / "group" / "inner", "inner")
    (shared / "plugins" / "group").chmod(0o444)
    told = as_nobody("discover()", shared)
    assert told["found"] == []
    ((place, _, reason),) = told["refused"]
    assert place == "inner"
    assert "Permission denied" in reason


@posix
@pytest.mark.parametrize("file", ["dagstack.toml", "plugin.py"])
def test_a_file_without_permission_refuses_its_plugin(shared: Path, file: str) -> None:
    write(shared / "plugins" / "a", "a")
    write(shared / "plugins" / "closed", "closed")
    (shared / "plugins" / "closed" / file).chmod(0o000)
    told = as_nobody("discover()", shared)
    assert told["found"] == ["a"]
    ((place, _, reason),) = told["refused"]
    assert place == "closed"
    assert file in reason
    assert "ermission denied" in reason


@posix
def test_a_closed_root_is_an_error(shared: Path) -> None:
    write(shared / "plugins" / "a", "a")
    (shared / "plugins").chmod(0o000)
    assert as_nobody("discover()", shared) == "PermissionError"


@posix
def test_a_root_behind_a_closed_folder_is_an_error(shared: Path) -> None:
    write(shared / "closed" / "plugins" / "a", "a")
    (shared / "plugins").rmdir()
    (shared / "plugins").symlink_to(shared / "closed" / "plugins")
    (shared / "closed").chmod(0o000)
    assert as_nobody("discover()", shared) in ("PermissionError", "FileNotFoundError")


@posix
def test_a_closed_folder_is_told_of_once_and_taken_when_it_opens(shared: Path) -> None:
    write(shared / "plugins" / "closed", "closed")
    (shared / "plugins" / "closed").chmod(0o000)
    if os.geteuid() == 0:
        os.chown(shared / "plugins" / "closed", 65534, 65534)
    first, second, third = as_nobody(
        """
        first, second = discover(), discover()
        (root / "plugins" / "closed").chmod(0o755)
        [first, second, discover()]
        """,
        shared,
    )
    assert len(first["refused"]) == 1
    assert second == first
    assert third == {"found": ["closed"], "refused": []}


@posix
def test_a_closed_folder_is_a_fault_under_strict(shared: Path) -> None:
    for name in ("a", "closed"):
        write(shared / "plugins" / name, name)
    (shared / "plugins" / "closed").chmod(0o000)
    strict, after = as_nobody("[discover(strict=True), len(registry.status())]", shared)
    assert strict == ["PluginLoadError"]
    assert after == 0


@posix
def test_a_plugin_in_a_folder_that_cannot_be_written_loads(shared: Path) -> None:
    write(shared / "plugins" / "a", "a")
    (shared / "plugins" / "a").chmod(0o555)
    assert as_nobody("discover()", shared)["found"] == ["a"]


def test_a_refused_plugin_that_is_gone_is_forgotten(registry: PluginRegistry, plugin: Callable[..., Path]) -> None:
    folder = plugin("broken", "raise RuntimeError")
    other = plugin("other", "raise RuntimeError")
    registry.discover(folder.parent)
    assert len(registry.status()) == 2
    shutil.rmtree(folder)
    (other / "dagstack.json").unlink()
    registry.discover(folder.parent)
    assert registry.status() == []
