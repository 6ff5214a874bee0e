"""Factories that write plugin folders, kinds and distributions, and what tests of loading look at."""

from __future__ import annotations

import gc
import json
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry

WritePlugin = Callable[..., Path]
WriteKind = Callable[..., Path]
LoadedModules = Callable[[], set[str]]

ECHO = """
class Echo:
    def execute(self, args):
        return dict(args)
"""


def _file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def manifest_fields(name: str, **fields: Any) -> dict[str, Any]:
    """A manifest that nothing is wrong with; a field of ``None`` is left out."""
    given = {"name": name, "kind": "tool", "core_version": ">=0.1,<1", "runtime": "in_process", **fields}
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture
def manifest() -> Callable[..., dict[str, Any]]:
    return manifest_fields


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """The folder that plugins are written into."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture
def plugin(plugins: Path) -> WritePlugin:
    """Write one plugin, ``plugin(name, code, at=folder, files={path: text}, **fields of its manifest)``."""

    def write(
        name: str,
        code: str | None = ECHO,
        *,
        at: str | Path | None = None,
        files: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Path:
        folder = plugins / (at or name)
        _file(folder / "dagstack.json", json.dumps({"plugin": manifest_fields(name, **fields)}))
        if code is not None:
            _file(folder / "plugin.py", code)
        for path, text in (files or {}).items():
            _file(folder / path, text)
        return folder

    return write


@pytest.fixture
def kind(tmp_path: Path) -> WriteKind:
    """Write one kind, ``kind(name, {hook: {field: …}}, version, **top-level fields)``; gives its hookspec file."""

    def write(
        name: str, hooks: Mapping[str, Mapping[str, Any]] | None = None, version: str = "1.0.0", **fields: Any
    ) -> Path:
        declared = [{"name": hook, "dispatch": "singleton", **how} for hook, how in (hooks or {"greet": {}}).items()]
        document = {"kind": name, "kind_api_version": version, "hooks": declared, **fields}
        # JSON is YAML.
        return _file(tmp_path / "kinds" / name / f"v{version.split('.')[0]}.yaml", json.dumps(document))

    return write


@pytest.fixture
def registry() -> PluginRegistry:
    return PluginRegistry()


@pytest.fixture
def loaded() -> LoadedModules:
    """The names of discovered modules that this test has loaded; earlier tests' registries are gone."""
    gc.collect()
    before = {name for name in sys.modules if name.startswith("dagstack._discovered.")}

    def names() -> set[str]:
        return {name for name in sys.modules if name.startswith("dagstack._discovered.")} - before

    return names
