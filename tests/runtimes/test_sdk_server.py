"""Servers that were written with the official SDK, and know nothing of this package."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginError, PluginRegistry, PluginState
from tests.waiting import until

from .conftest import HERE, status_of

SERVER = str(HERE / "sdk_server.py")


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """Where the server says what was cancelled."""
    return tmp_path / "heard"


@pytest.fixture
def port(heard: Path) -> Iterator[int]:
    """The port of a server over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with subprocess.Popen([sys.executable, SERVER, str(heard), str(port)], stderr=subprocess.DEVNULL) as server:
        yield port
        server.terminate()


@pytest.fixture(
    params=[
        pytest.param("mcp_stdio", marks=pytest.mark.skipif(os.name != "posix", reason="mcp_stdio needs POSIX")),
        "mcp_http",
    ]
)
def running(request: Any, registry: PluginRegistry, plugins: Path, heard: Path) -> Iterator[PluginRegistry]:
    """A host with the server as a plugin, by either runtime."""
    if request.param == "mcp_stdio":
        how: dict[str, Any] = {"command": ["python3", SERVER, str(heard)]}
    else:
        how = {"url": f"http://127.0.0.1:{request.getfixturevalue('port')}/mcp", "backoff_sec": 0.05}
    (plugins / "sdk").mkdir()
    manifest = {"name": "sdk", "kind": "oracle", "core_version": ">=0.1", "runtime": request.param, request.param: how}
    (plugins / "sdk" / "dagstack.json").write_text(json.dumps({"plugin": manifest}))
    registry.discover(plugins)
    with registry.running():
        until(lambda: status_of(registry, "sdk").state is PluginState.READY, 40)
        yield registry


def test_calls_results_errors(running: PluginRegistry) -> None:
    proxy = running.get_plugin("oracle", "sdk")
    assert proxy.ask("why?").answer == "sdk: why?"
    assert proxy.ask("why?", politely=True).answer == "sdk: why? please"
    assert proxy.number(value=7) == 7
    with pytest.raises(PluginError, match="plugin 'sdk' of kind 'oracle' failed: Error executing tool"):
        proxy.ask("raise")


def test_a_caller_that_gives_up_cancels_the_tool(running: PluginRegistry, heard: Path) -> None:
    async def give_up() -> None:
        async with asyncio.timeout(0.5):
            await running.get_plugin("oracle", "sdk").aio.ask("wait")

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    until(heard.exists)
    until(lambda: heard.read_text() == "cancelled\n")
    assert running.get_plugin("oracle", "sdk").ask("hm").answer == "sdk: hm"
