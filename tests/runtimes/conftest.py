"""A host whose plugins are other processes: small MCP servers that misbehave on demand."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dagstack_plugins import PluginRegistry, PluginStatus

HERE = Path(__file__).parent
TIMES = int(os.environ.get("FAULTS_EACH", "10"))
"""How often each fault is brought about; ``FAULTS_EACH=50`` is for who changes how they are met."""
WriteServer = Callable[..., Path]


@pytest.fixture
def registry() -> PluginRegistry:
    """Knows the kinds of these tests."""
    registry = PluginRegistry()
    registry.add_hookspecs(HERE / "kinds")
    return registry


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """The folder of the plugins."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture
def server(plugins: Path) -> WriteServer:
    """Write the folder of a plugin: ``server(name, *options of oracle.py, table of the manifest's mcp_stdio…)``."""

    def write(name: str, *options: str, stdio: dict[str, Any] | None = None, **fields: Any) -> Path:
        folder = plugins / name
        folder.mkdir(exist_ok=True)
        command = ["python3", "-S", str(HERE / "oracle.py"), name, *options]
        table = {"command": command, "backoff_sec": 0.01, **(stdio or {})}
        manifest = {
            "name": name,
            "kind": "oracle",
            "core_version": ">=0.1",
            "runtime": "mcp_stdio",
            "mcp_stdio": table,
            **fields,
        }
        (folder / "dagstack.json").write_text(json.dumps({"plugin": manifest}))
        return folder

    return write


collect_ignore = ["oracle.py", "sdk_server.py"]  # programs, which doctest would import


def wires() -> set[threading.Thread]:
    """The threads of connections; other tests' may be about to end."""
    return {one for one in threading.enumerate() if one.name.startswith("dagstack-plugins-wire")}


def gone(pid: int) -> bool:
    """Whether there is no such process any more; one that nobody has reaped is none."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def status_of(registry: PluginRegistry, name: str) -> PluginStatus:
    """How one plugin is."""
    (found,) = [one for one in registry.status() if one.name == name]
    return found
