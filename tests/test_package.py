"""The package as a whole: its names, what importing it costs, what it ships."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dagstack.plugin_system
import dagstack_plugins

HEAVY = {
    "networkx",
    "httpx2",
    "obstore",
    "mcp",
    "starlette",
    "click",
    "rich",
    "hypothesis",
    "psycopg",
    "celery",
    "redis",
}


def test_each_public_name_is_there() -> None:
    for name in dagstack_plugins.__all__:
        assert getattr(dagstack_plugins, name) is getattr(dagstack.plugin_system, name)
    assert set(dagstack_plugins.__all__) <= set(dir(dagstack_plugins))


def test_type_checkers_see_the_same_names() -> None:
    stub = ast.parse(Path(dagstack_plugins.__file__).with_suffix(".pyi").read_text("utf-8"))
    imported = {
        (alias.name, node.module) for node in ast.walk(stub) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    homes = {(name, f"dagstack_plugins.{home}") for home, names in dagstack_plugins._NAMES.items() for name in names}
    assert imported == homes


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="PluginRegistri"):
        dagstack_plugins.PluginRegistri  # noqa: B018
    with pytest.raises(AttributeError, match="PluginRegistri"):
        dagstack.plugin_system.PluginRegistri  # noqa: B018


@pytest.mark.parametrize("module", ["dagstack_plugins", "dagstack.plugin_system"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module} as m; m.PluginRegistry(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())


def test_star_import_works() -> None:
    scope: dict[str, object] = {}
    exec("from dagstack.plugin_system import *", scope)
    assert scope["PluginRegistry"] is dagstack_plugins.PluginRegistry
