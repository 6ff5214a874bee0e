"""Lock files, and hosts that refuse what differs from one, or declares too much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import (
    LockedPlugin,
    LockInvalid,
    PluginLock,
    PluginRegistry,
    PluginUntrusted,
)
from dagstack_plugins.contents import Contents

Install = Callable[..., Path]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
HASH = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
LOCKED = st.builds(LockedPlugin, kind=TEXT, name=TEXT, version=st.none() | TEXT, content_hash=HASH)
ECHO = "class Echo:\n    def execute(self, args):\n        return args\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a plugin's folder."""

    def made(name: str = "echo", code: str = ECHO, more: str = "") -> Path:
        folder = tmp_path / "plugins" / name
        folder.mkdir(parents=True)
        fields = {"name": name, "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
        lines = [f'{key} = "{value}"' for key, value in fields.items()]
        (folder / "dagstack.toml").write_text("\n".join(["[plugin]", *lines, more, ""]))
        (folder / "plugin.py").write_text(code)
        return folder

    return made


def lock_of(*folders: Path, **changes: Any) -> PluginLock:
    return PluginLock.of(
        LockedPlugin(kind="tool", name=folder.name, **{"content_hash": Contents(folder).hash} | changes)
        for folder in folders
    )


# --- the file ---------------------------------------------------------------------------------------------------------


@given(st.lists(LOCKED, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, plugins: list[LockedPlugin]) -> None:
    lock = PluginLock.of(plugins)
    file = tmp_path_factory.mktemp("lock") / "dagstack.lock"
    file.write_text(lock.to_toml(), encoding="utf-8", newline="")
    assert PluginLock.read(file).plugins == lock.plugins
    assert PluginLock.of(reversed(list(lock.plugins.values()))).to_toml() == lock.to_toml()


GOOD = f'lock_version = 1\n[[plugin]]\nkind = "tool"\nname = "echo"\ncontent_hash = "sha256:{"0" * 64}"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'lock_version' is missing"),
        ("lock_version = 2", "line 1: lock_version: expected 1, found 2"),
        ("lock_version = ", "is not valid TOML"),
        ("lock_version = 1\nlock_version = 1", "is not valid TOML"),
        (GOOD.replace("name", "nam"), "line 4: plugin[0].nam: unknown field (did you mean 'name'?)"),
        (GOOD.replace("name", "nam"), "'name' is missing"),
        (GOOD.replace("000", "00g"), "line 5: plugin[0].content_hash: 'sha256:00g"),
        (GOOD.replace('"echo"', "3"), "line 4: plugin[0].name: expected a string, found 3, an integer"),
        (GOOD + GOOD.partition("\n")[2], "plugin[1].name: tool/echo is locked twice"),
        ('lock_version = 1\nplugin = "echo"', "line 2: plugin: expected a list"),
        ("lock_version = 1\nplugins = []", "line 2: plugins: unknown field (did you mean 'plugin'?)"),
        ("lock_version = 1\nplugin = 3", "line 2: plugin: expected a list, found 3"),
        ("lock_version = 1\nplugin = [3]", "expected an object, found 3"),
        (GOOD.replace('"echo"', "2020-01-01"), "line 4: plugin[0].name: expected a string"),
        (GOOD.replace('"tool"', '["tool"]') + GOOD.partition("\n")[2], "line 3: plugin[0].kind: expected a string"),
        ("\0", "is not valid TOML"),
    ],
)
def test_a_file_that_was_edited_is_told_with_its_lines(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "dagstack.lock"
    file.write_text(text)
    with pytest.raises(LockInvalid) as raised:
        PluginLock.read(file)
    assert told in str(raised.value)
    assert raised.value.file == str(file)
    with pytest.raises(LockInvalid):
        PluginRegistry(lock=file)


def test_a_file_that_is_no_text_or_no_file(tmp_path: Path) -> None:
    file = tmp_path / "dagstack.lock"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(LockInvalid, match="is not UTF-8"):
        PluginLock.read(file)
    with pytest.raises(LockInvalid, match="cannot be read"):
        PluginLock.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        PluginRegistry(lock=tmp_path / "missing")


# --- the host ---------------------------------------------------------------------------------------------------------


def test_what_is_as_it_was_is_taken(write: Callable[..., Path]) -> None:
    folder = write()
    registry = PluginRegistry(lock=lock_of(folder))
    assert [one.name for one in registry.discover(folder.parent)] == ["echo"]
    [status] = registry.status()
    assert status.content_hash == Contents(folder).hash
    with registry.running():
        assert registry.get_plugin("tool", "echo").execute({"a": 1}) == {"a": 1}
    assert registry.status()[0].content_hash == status.content_hash


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"content_hash": "sha256:" + "0" * 64}, "its files were changed: sha256:"),
        ({"version": "1.0"}, "version none is here, 1.0 is locked"),
    ],
)
def test_what_differs_is_refused(write: Callable[..., Path], changes: dict[str, str], told: str) -> None:
    folder = write()
    registry = PluginRegistry(lock=lock_of(folder, **changes))
    assert registry.discover(folder.parent) == []
    [status] = registry.status()
    assert isinstance(status.error, PluginUntrusted)
    assert told in status.reason
    assert (status.error.plugin, status.error.found) == ("echo", Contents(folder).hash)
    assert status.content_hash == Contents(folder).hash


def test_no_code_of_a_refused_one_runs(write: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    good = write("good")
    write("bad", "print('here')\n" + ECHO)
    registry = PluginRegistry(lock=lock_of(good))
    assert [one.name for one in registry.discover(good.parent)] == ["good"]
    assert "'bad' of kind 'tool'" in registry.unavailable_plugins()[0].reason
    assert "is not in the lock" in registry.unavailable_plugins()[0].reason
    assert capfd.readouterr().out == ""
    assert not [name for name in sys.modules if name.startswith("dagstack._discovered.bad")]


def test_under_strict_one_that_differs_stops_all(write: Callable[..., Path]) -> None:
    folder = write()
    with pytest.raises(ExceptionGroup) as raised:
        PluginRegistry(lock=PluginLock()).discover(folder.parent, strict=True)
    assert isinstance(raised.value.exceptions[0], PluginUntrusted)


def test_what_was_mended_is_taken_at_the_next_look(write: Callable[..., Path]) -> None:
    folder = write()
    registry = PluginRegistry(lock=lock_of(folder))
    (folder / "plugin.py").write_text(ECHO + "# changed\n")
    assert registry.discover(folder.parent) == []
    (folder / "plugin.py").write_text(ECHO)
    assert [one.name for one in registry.discover(folder.parent)] == ["echo"]


def test_what_the_host_registers_itself_needs_no_lock() -> None:
    class Echo:
        def execute(self, args: Any) -> Any:
            return args

    registry = PluginRegistry(lock=PluginLock())
    manifest = {"name": "echo", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
    registry.register(Echo, manifest)
    assert registry.status()[0].content_hash is None


def test_the_hash_is_the_one_that_the_lock_found(write: Callable[..., Path]) -> None:
    folder = write()
    locked = lock_of(folder)
    registry = PluginRegistry(lock=locked)
    registry.discover(folder.parent)
    (folder / "plugin.py").write_text("# changed\n")
    assert registry.status()[0].content_hash == locked.plugins["tool", "echo"].content_hash


def test_a_worker_process_loads_what_is_locked(write: Callable[..., Path]) -> None:
    folder = write(more='execution_model = "process_cpu_bound"')
    registry = PluginRegistry(lock=lock_of(folder))
    registry.discover(folder.parent, strict=True)
    with registry.running():
        assert registry.get_plugin("tool", "echo").execute({"a": 1}) == {"a": 1}
    registry = PluginRegistry(lock=lock_of(folder))
    registry.discover(folder.parent, strict=True)
    (folder / "plugin.py").write_text(ECHO.replace("return args", "return 'another'"))
    with registry.running():
        [status] = registry.status()
        assert (str(status.state), "its files were changed" in status.reason) == ("unavailable", True)


def test_what_is_refused_takes_no_name_from_what_is_trusted(tmp_path: Path, write: Callable[..., Path]) -> None:
    first, second = write("a", ECHO + "# another\n"), write("b")
    for folder in (first, second):
        text = (folder / "dagstack.toml").read_text().replace(f'name = "{folder.name}"', 'name = "same"')
        (folder / "dagstack.toml").write_text(text.replace('kind = "tool"', 'kind = "late"'))
    locked = LockedPlugin(kind="late", name="same", content_hash=Contents(second).hash)
    registry = PluginRegistry(lock=PluginLock.of([locked]))
    registry.discover(first.parent)
    (tmp_path / "v1.yaml").write_text(
        "{kind: late, kind_api_version: 1.0.0, hooks: [{name: execute, dispatch: singleton}]}"
    )
    registry.add_hookspecs(tmp_path / "v1.yaml")
    assert [manifest.folder for manifest in registry.list_manifests()] == [second]


def test_capabilities_that_the_host_does_not_allow(write: Callable[..., Path]) -> None:
    folder = write(more='capabilities = ["net", "pii", "files"]')
    registry = PluginRegistry(allow_capabilities=["net"])
    assert registry.discover(folder.parent) == []
    error = registry.status()[0].error
    assert isinstance(error, PluginUntrusted)
    assert error.capabilities == ("pii", "files")
    assert "pii, files; allowed are net" in str(error)
    assert PluginRegistry(allow_capabilities={"net", "pii", "files"}).discover(folder.parent)
    assert PluginRegistry(allow_capabilities=[]).discover(folder.parent) == []
    with pytest.raises(TypeError, match="takes several"):
        PluginRegistry(allow_capabilities="net")


# --- installed plugins ------------------------------------------------------------------------------------------------


MANIFEST = '[plugin]\nname = "echo"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'


def test_the_files_of_an_installed_plugin_are_those_of_its_package(site: Path, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": MANIFEST, "acme/helper.py": ""}
    install("acme", {"echo": "acme.plugin:Echo"}, {**files, "other.py": ""})
    expected = Contents(site / "acme").hash
    registry = PluginRegistry(lock=PluginLock.of([LockedPlugin(kind="tool", name="echo", content_hash=expected)]))
    assert registry.load_entry_points()
    (site / "acme/helper.py").write_text("# changed")
    registry = PluginRegistry(lock=PluginLock.of([LockedPlugin(kind="tool", name="echo", content_hash=expected)]))
    assert registry.load_entry_points() == []


@pytest.mark.parametrize(("value", "manifest"), [("acme.plugin:Echo", ""), ("acme", 'entry_point = "plugin:Echo"\n')])
def test_without_an_init_they_are_those_of_the_folder(site: Path, install: Install, value: str, manifest: str) -> None:
    install(
        "acme",
        {"echo": value},
        {"acme/plugin.py": ECHO, "acme/dagstack.toml": MANIFEST + manifest, "acme/helper.py": ""},
    )
    registry = PluginRegistry()
    assert registry.load_entry_points()
    assert registry.status()[0].content_hash == Contents(site / "acme").hash


@pytest.mark.parametrize("value", ["acme_echo", "acme_echo:Echo"])
def test_code_beside_a_single_module_that_no_lock_knows_is_not_loaded(install: Install, value: str) -> None:
    other = "raise SystemExit('it was imported')\n"
    files = {
        "acme_echo.py": ECHO,
        "dagstack.toml": MANIFEST + 'entry_point = "acme_other:Echo"\n',
        "acme_other.py": other,
    }
    install("acme", {"echo": value}, files)
    registry = PluginRegistry()
    assert registry.load_entry_points() == []
    assert "the entry point must name the module that the plugin is in" in registry.status()[0].reason
    assert "acme_other" not in sys.modules


def test_those_of_a_single_module_are_it_its_manifest_and_its_schema(site: Path, install: Install) -> None:
    schema = 'config_schema = "echo.json"\n'
    files = {"acme_echo.py": ECHO, "dagstack.toml": MANIFEST + schema, "echo.json": "{}", "other.py": ""}
    install("acme", {"echo": "acme_echo:Echo"}, files)
    registry = PluginRegistry()
    assert registry.load_entry_points()
    assert registry.status()[0].content_hash == Contents(site, ("acme_echo.py", "dagstack.toml", "echo.json")).hash
