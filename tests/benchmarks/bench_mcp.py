"""A plugin behind MCP, beside the official SDK's own client calling the same server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from dagstack_plugins import PluginRegistry

SERVER = """
import sys
from mcp.server import MCPServer

server = MCPServer("echo", log_level="ERROR")


@server.tool(name="tool.echo.execute")
async def execute(msg: str) -> dict:
    return {"echoed": msg}


if sys.argv[1:]:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run("stdio")
"""
CALLS = 20
"""In a row, of which the time of one is a part."""
AT_ONCE = 64


class Both:
    """The same server, called by a host and by the SDK's client, each with a connection of its own."""

    def __init__(self, folder: Path, runtime: str, how: dict[str, Any], theirs: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        ready = self._loop.create_future()
        manifest = {"name": "echo", "kind": "tool", "core_version": ">=0.1", "runtime": runtime, runtime: how}
        (folder / "dagstack.json").write_text(json.dumps({"plugin": manifest}))
        self._registry = PluginRegistry()
        self._registry.discover(folder)
        self._keeping = self._loop.create_task(self._keep(theirs, ready))
        self._loop.run_until_complete(asyncio.wait([ready, self._keeping], return_when=asyncio.FIRST_COMPLETED))
        ready.result()

    async def _keep(self, theirs: Any, ready: asyncio.Future[None]) -> None:
        async with self._registry.running(), Client(theirs, cache=None) as client:
            self._client = client
            self._execute = self._registry.get_plugin("tool", "echo").aio.execute
            ready.set_result(None)
            await self._over.wait()

    def close(self) -> None:
        self._over.set()
        self._loop.run_until_complete(self._keeping)
        self._loop.close()

    def ours(self, at_once: int) -> Callable[[], object]:
        return self._run(lambda: self._execute(msg="hello"), at_once)

    def theirs(self, at_once: int) -> Callable[[], object]:
        return self._run(lambda: self._client.session.call_tool("tool.echo.execute", {"msg": "hello"}), at_once)

    def _run(self, call: Callable[[], Awaitable[Any]], at_once: int) -> Callable[[], object]:
        async def calls() -> None:
            for _ in range(CALLS if at_once == 1 else 4):
                await call()

        async def all_of_them() -> None:
            await asyncio.gather(*(calls() for _ in range(at_once)))

        return lambda: self._loop.run_until_complete(all_of_them())


@pytest.fixture
def server(tmp_path: Path) -> Path:
    (tmp_path / "server.py").write_text(SERVER)
    return tmp_path


@pytest.fixture
def by_stdio(server: Path) -> Iterator[Both]:
    program = str(server / "server.py")
    theirs = StdioServerParameters(command=sys.executable, args=[program], env=dict(os.environ))
    both = Both(server, "mcp_stdio", {"command": [sys.executable, program]}, theirs)
    yield both
    both.close()


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def by_http(server: Path) -> Iterator[Both]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(server / "server.py"), str(port)]) as running:
        while not _listens(port):
            assert running.poll() is None
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}/mcp"
        both = Both(server, "mcp_http", {"url": url}, url)
        yield both
        both.close()
        running.terminate()


@pytest.mark.parametrize("runtime", ["stdio", "http"])
@pytest.mark.parametrize(("at_once", "at_most"), [(1, 1.15), (AT_ONCE, 1 / 0.9)])
def test_a_call_elsewhere(beside: Any, request: Any, runtime: str, at_once: int, at_most: float) -> None:
    both = request.getfixturevalue(f"by_{runtime}")
    beside(
        f"a call over {runtime}" if at_once == 1 else f"{at_once} calls at once over {runtime}",
        both.ours(at_once),
        "the MCP SDK's client, same server",
        both.theirs(at_once),
        at_most=at_most,
        rounds=8,
    )
