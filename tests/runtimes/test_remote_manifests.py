"""Plugins of which the host has a manifest and no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    AmbiguousPlugin,
    ManifestInvalid,
    PluginLock,
    PluginRegistry,
    PluginState,
    RuntimeNotSupported,
)
from tests.waiting import until

from .conftest import HERE, status_of
from .service import serving


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote"
    folder.mkdir()
    return folder


def write(file: Path, url: str = "http://127.0.0.1:9/mcp", **fields: Any) -> Path:
    name = file.name.partition(".")[0]
    manifest = {
        "name": name,
        "kind": "oracle",
        "core_version": ">=0.1",
        "runtime": "mcp_http",
        "mcp_http": {"url": url},
    }
    file.write_text(json.dumps({"plugin": {**manifest, **fields}}))
    return file


TOML = """
[plugin]
name = "delphi"
kind = "oracle"
core_version = ">=0.1"
runtime = "mcp_http"

[plugin.mcp_http]
url = "{}"
"""


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_folder_of_manifests(
    registry: PluginRegistry, remote: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    (remote / "README.md").write_text("nothing to see")
    (remote / "deep").mkdir()
    with serving() as service:
        (remote / "delphi.toml").write_text(TOML.format(service.url))
        write(remote / "absent.json")
        if by_environment:
            monkeypatch.setenv("DAGSTACK_REMOTE_PLUGINS", str(remote))
            found = registry.load_remote()
        else:
            found = registry.load_remote(remote)
        assert [manifest.name for manifest in found] == ["absent", "delphi"]
        assert registry.load_remote(remote) == []  # nothing new
        with registry.running():
            until(lambda: status_of(registry, "delphi").state is PluginState.READY)
            assert registry.get_plugin("oracle", "delphi").ask("?").answer == "delphi: ?"
            assert status_of(registry, "delphi").location == str(remote / "delphi.toml")
            assert status_of(registry, "absent").state is PluginState.UNAVAILABLE


def test_manifests_that_come_later_are_taken_the_next_time(registry: PluginRegistry, remote: Path) -> None:
    write(remote / "early.json")
    assert [manifest.name for manifest in registry.load_remote(remote)] == ["early"]
    write(remote / "late.json")
    assert [manifest.name for manifest in registry.load_remote(remote)] == ["late"]


def test_without_a_folder_there_is_nothing(registry: PluginRegistry) -> None:
    assert registry.load_remote() == []


@pytest.mark.parametrize(("name", "error"), [("missing", FileNotFoundError), ("file", NotADirectoryError)])
def test_a_folder_that_is_none_is_an_error(
    registry: PluginRegistry, remote: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[OSError]
) -> None:
    (remote / "file").touch()
    with pytest.raises(error):
        registry.load_remote(remote / name)
    monkeypatch.setenv("DAGSTACK_REMOTE_PLUGINS", str(remote / name))
    with pytest.raises(error) as caught:
        registry.load_remote()
    assert "as DAGSTACK_REMOTE_PLUGINS names it" in str(caught.value)


def test_a_faulty_manifest_stops_no_other(registry: PluginRegistry, remote: Path) -> None:
    write(remote / "fine.json")
    (remote / "broken.toml").write_text("[plugin")
    write(remote / "priced.json", priority="high")
    write(remote / "here.json", runtime="in_process")
    assert [manifest.name for manifest in registry.load_remote(remote)] == ["fine"]
    errors = {Path(status.location).name: status.error for status in registry.unavailable_plugins()}
    assert isinstance(errors["broken.toml"], ManifestInvalid)
    assert isinstance(errors["priced.json"], ManifestInvalid)
    assert isinstance(errors["here.json"], RuntimeNotSupported)
    with pytest.raises(ExceptionGroup):
        PluginRegistry().load_remote(remote, strict=True)


def test_a_second_of_a_name_is_told(registry: PluginRegistry, remote: Path) -> None:
    write(remote / "a.json", name="same")
    write(remote / "b.json", name="same")
    with pytest.raises(AmbiguousPlugin):
        registry.load_remote(remote)


def test_the_hosts_own_folder_needs_no_lock(remote: Path) -> None:
    registry = PluginRegistry(lock=PluginLock())
    registry.add_hookspecs(HERE / "kinds")
    write(remote / "delphi.json")
    assert len(registry.load_remote(remote)) == 1
