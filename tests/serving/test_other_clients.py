"""Clients by others, of the npm world, list and call what is served."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginError, PluginRegistry
from tests.conftest import NPM
from tests.serving.conftest import COMMAND, write

TOKEN = "0123456789abcdef"
Run = Callable[..., Any]


@pytest.fixture
def run(npm: Mapping[str, str], project: Path) -> Run:
    """Run a program of Node.js beside the plugins; what it printed, as JSON."""

    def run(*command: str, status: int = 0) -> Any:
        done = subprocess.run(
            command, cwd=project, env={**npm, "TOKEN": TOKEN}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def server(request: pytest.FixtureRequest, project: Path, by_http: Run) -> list[str]:
    """How a client reaches it: the command that serves it, or its address."""
    write(project, "corner")
    if request.param == "stdio":
        return [*COMMAND, "serve-host", "plugins"]
    return [by_http("serve-host", "plugins", "--token-env", "TOKEN", TOKEN=TOKEN)[0]]


both_ways = pytest.mark.parametrize("server", ["stdio", "http"], indirect=True)


@both_ways
def test_the_client_of_the_typescript_sdk(server: list[str], run: Run) -> None:
    told = run("node", str(NPM / "client.mjs"), "shop.corner.price", '{"thing": "bread"}', *server)
    assert {tool["name"] for tool in told["tools"]} == {"shop.corner.price", "shop.corner.count"}
    (price,) = [tool for tool in told["tools"] if tool["name"] == "shop.corner.price"]
    assert price["inputSchema"]["required"] == ["thing"]
    assert price["outputSchema"]["properties"] == {"cents": {"type": "integer"}}
    assert told["answer"]["structuredContent"] == {"cents": 5}


@both_ways
def test_that_client_gets_errors_and_values_that_are_no_objects(server: list[str], run: Run) -> None:
    client = str(NPM / "client.mjs")
    answer = run("node", client, "shop.corner.price", '{"thing": "nothing"}', *server)["answer"]
    assert answer["isError"]
    assert answer["content"][0]["text"] == "LookupError: it has no price"
    answer = run("node", client, "shop.corner.count", "{}", *server)["answer"]
    assert answer["structuredContent"] == {"result": 3}


def inspected(server: list[str]) -> list[str]:
    if server[0].startswith("http:"):
        server = [*server, "--transport", "http", "--header", f"Authorization: Bearer {TOKEN}"]
    return ["mcp-inspector", "--cli", *server]


@both_ways
def test_the_inspector_lists_and_calls(server: list[str], run: Run) -> None:
    command = inspected(server)
    tools = run(*command, "--method", "tools/list", "--strict")["tools"]
    assert [tool["name"] for tool in tools] == ["shop.corner.price", "shop.corner.count"]
    price = (*command, "--method", "tools/call", "--tool-name", "shop.corner.price", "--tool-arg")
    assert run(*price, "thing=bread")["structuredContent"] == {"cents": 5}
    assert run(*price, "thing=nothing", status=5)["isError"]


def test_a_server_of_the_first_typescript_sdk_is_a_plugin(
    npm: Mapping[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", npm["PATH"])
    folder = write(project, "corner", runtime="mcp_stdio", mcp_stdio={"command": ["node", str(NPM / "server.mjs")]})
    (folder / "plugin.py").unlink()
    registry = PluginRegistry()
    registry.add_hookspecs(project / "kinds")
    registry.discover(project / "plugins")
    with registry.running():
        corner = registry.get_plugin("shop", "corner")
        assert corner.price(thing="bread").cents == 5
        assert corner.count() == 3
        with pytest.raises(PluginError, match="it has no price"):
            corner.price(thing="nothing")
