"""Plugins, offered to others as the tools of an MCP server: by the command, to the official SDK's client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from dagstack_plugins import PayloadInvalid, PluginError, PluginRegistry
from dagstack_plugins.serving.offers import Offers
from dagstack_plugins.serving.server import HostServer
from tests.serving.conftest import COMMAND, KIND, PLUGIN, SCHEMA, write


@asynccontextmanager
async def by_stdio(project: Path, *arguments: str, **given: Any) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "dagstack_plugins", *arguments], cwd=project, env=dict(os.environ)
    )
    async with Client(parameters, **given) as client:
        yield client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_one_plugin_as_a_server(project: Path, mode: str) -> None:
    write(project, "corner", description="The shop at the corner.")
    async with by_stdio(project, "serve", "plugins/corner", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"shop.corner.price", "shop.corner.count"}
        price = tools["shop.corner.price"]
        assert price.description == "The shop at the corner.\nThe price of a thing."
        assert price.input_schema["type"] == "object"
        assert price.input_schema["required"] == ["thing"]
        assert price.input_schema == SCHEMA
        answer = await client.call_tool("shop.corner.price", {"thing": "lamp"})
        assert answer.structured_content == {"cents": 4}
        assert json.loads(answer.content[0].text) == {"cents": 4}  # type: ignore[union-attr]
        assert (await client.call_tool("shop.corner.count", {})).structured_content == {"result": 3}


async def test_errors_say_what_it_was(project: Path) -> None:
    write(project, "corner")
    async with by_stdio(project, "serve", "plugins/corner") as client:
        answer = await client.call_tool("shop.corner.price", {"thing": "nothing"})
        assert answer.is_error
        assert answer.content[0].text == "LookupError: it has no price"  # type: ignore[union-attr]
        told = (answer.meta or {})["dagstack/error"]
        assert (told["type"], told["message"]) == ("LookupError", "it has no price")  # type: ignore[index]
        assert "plugin.py" in told["traceback"]  # type: ignore[index, operator]
        answer = await client.call_tool("shop.corner.price", {"thing": "x"})
        assert answer.is_error
        assert "$.thing" in answer.content[0].text  # type: ignore[union-attr]
        with pytest.raises(
            MCPError, match=r"there is no tool 'shop\.corner\.prise' \(did you mean 'shop\.corner\.price'"
        ):
            await client.call_tool("shop.corner.prise", {})
        answer = await client.call_tool("shop.corner.price", {"thing": "odd"})
        assert answer.content[0].text.startswith(  # type: ignore[union-attr]
            "PayloadInvalid: shop.price: what plugin 'corner' returned is not valid\n  - $: has the key None"
        )
        meta: Any = {"dagstack/metadata": {"tenant": "acme"}}
        answer = await client.call_tool("shop.corner.price", {"thing": "tenant"}, meta=meta)
        assert answer.structured_content == {"cents": 4}


async def test_configuration_comes_from_a_file_and_calls_run_side_by_side(project: Path) -> None:
    write(project, "corner")
    (project / "host.toml").write_text("[shop.corner]\nfactor = 10\n")
    async with by_stdio(project, "serve", "plugins/corner", "--config", "host.toml") as client:
        began = time.monotonic()
        answers = await asyncio.gather(
            *(client.call_tool("shop.corner.price", {"thing": "lamp", "wait": 0.3}) for _ in range(10))
        )
        assert time.monotonic() - began < 2
        assert [answer.structured_content for answer in answers] == [{"cents": 40}] * 10


async def test_all_plugins_as_one_server_with_names_that_models_take(project: Path) -> None:
    write(project, "corner")
    write(project, "market", priority=3)
    async with by_stdio(project, "serve-host", "plugins", "--tool-names", "underscores") as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert sorted(names) == ["shop_corner_count", "shop_corner_price", "shop_market_count", "shop_market_price"]
        assert (await client.call_tool("shop_market_price", {"thing": "lamp"})).structured_content == {"cents": 4}


async def test_a_host_calls_what_another_host_serves(
    project: Path, by_http: Callable[..., Any], tmp_path: Path
) -> None:
    from dagstack_plugins import PluginRegistry

    write(project, "corner")
    url, _ = by_http("serve", "plugins/corner", "--token-env", "TOKEN", TOKEN="0123456789abcdef")
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    http = {"url": url, "auth_secret_env": "TOKEN"}
    manifest = {"name": "corner", "kind": "shop", "core_version": ">=0.1", "runtime": "mcp_http", "mcp_http": http}
    (manifests / "corner.json").write_text(json.dumps({"plugin": manifest}))
    registry = PluginRegistry()
    registry.add_hookspecs(project / "kinds")
    registry.load_remote(manifests)
    os.environ["TOKEN"] = "0123456789abcdef"
    try:
        async with registry.running():
            shop = registry.get_plugin("shop", "corner").aio
            assert (await shop.price(thing="lamp")).cents == 4
            assert await shop.count() == 3
            with pytest.raises(PluginError, match="LookupError: it has no price") as caught:
                await shop.price(thing="nothing")
            assert caught.value.remote_traceback is None  # nobody on the network needs to know of files
            with pytest.raises(PayloadInvalid):
                await shop.price(thing="x")
    finally:
        del os.environ["TOKEN"]


async def test_over_http_a_token_is_needed_where_one_is_set(project: Path, by_http: Callable[..., Any]) -> None:
    write(project, "corner")
    url, _ = by_http("serve-host", "plugins", "--token-env", "TOKEN", TOKEN="0123456789abcdef")
    async with httpx2.AsyncClient() as http:
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic 0123456789abcdef"}):
            answer = await http.post(url, json={}, headers=header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    headers = {"authorization": "Bearer 0123456789abcdef"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(url, http_client=http)) as mcp,
    ):
        assert len((await mcp.list_tools()).tools) == 2


async def test_over_http_on_loopback_other_hosts_names_are_refused(project: Path, by_http: Callable[..., Any]) -> None:
    write(project, "corner")
    url, _ = by_http("serve-host", "plugins")
    async with httpx2.AsyncClient() as http:
        answer = await http.post(url, json={}, headers={"host": "evil.example"})
        assert answer.status_code == 421


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one address on loopback")
async def test_names_of_others_are_refused_on_every_address_of_loopback(
    project: Path, by_http: Callable[..., Any]
) -> None:
    write(project, "corner")
    url, _ = by_http("serve-host", "plugins", host="127.0.0.2")
    async with httpx2.AsyncClient() as http:
        assert (await http.post(url, json={}, headers={"host": "evil.example"})).status_code == 421
    async with Client(url) as mcp:
        assert len((await mcp.list_tools()).tools) == 2


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_over_stdio_it_does_not_wait_for_its_client(project: Path, sign: signal.Signals, status: int) -> None:
    write(project, "corner", PLUGIN + "\n    def teardown(self):\n        print('torn down', file=sys.stderr)\n")
    command = [*COMMAND, "serve-host", "plugins", "--verbose"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=project, text=True, **pipes) as process:  # type: ignore[call-overload]
        while "set up" not in process.stderr.readline():
            pass
        time.sleep(0.3)
        process.send_signal(sign)
        assert process.wait(4) == status  # it has been said nothing, and nothing was closed
        told = process.stderr.read()
    assert "torn down" in told
    assert "Traceback" not in told


def test_a_client_that_goes_in_the_middle_of_a_call_is_no_failure(project: Path) -> None:
    write(project, "corner")
    command = [*COMMAND, "serve-host", "plugins"]
    call = {"name": "shop.corner.price", "arguments": {"thing": "bread", "wait": 0.5}}
    greeting = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=project, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdout.close()
        time.sleep(1)
        process.stdin.close()
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()


def test_one_without_anything_to_serve_says_so(project: Path) -> None:
    kind = (
        "kind: silent\nkind_api_version: 1.0.0\nhooks:\n  - {name: hidden, dispatch: singleton, mcp_exposed: false}\n"
    )
    (project / "kinds/silent").mkdir()
    (project / "kinds/silent/v1.yaml").write_text(kind)
    write(project, "corner", kind="silent")
    assert "has nothing to serve: its kind exposes none of its hooks" in refused(project, "serve", "plugins/corner")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_ends_in_good_order(project: Path, by_http: Callable[..., Any], sign: signal.Signals, status: int) -> None:
    write(project, "corner", PLUGIN + "\n    def teardown(self):\n        print('torn down', file=sys.stderr)\n")
    _, process = by_http("serve-host", "plugins")
    process.send_signal(sign)
    _, told = process.communicate(timeout=20)
    assert process.returncode == status
    assert "torn down" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_list_follows_plugins_that_come_and_go(project: Path, mode: str) -> None:
    write(project, "corner")
    write(project, "market")
    registry = PluginRegistry()
    registry.add_hookspecs(project / "kinds")
    registry.discover(project / "plugins")
    told = asyncio.Event()

    async def heard(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            told.set()

    async with registry.running():
        server = HostServer(Offers(registry))
        over, port = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(server.over_http("127.0.0.1", 0, None, port.set_result, over))
        async with Client(f"http://127.0.0.1:{await port}/mcp", mode=mode, message_handler=heard) as client:
            assert len((await client.list_tools()).tools) == 4
            if mode == "auto":
                async with client.listen(tools_list_changed=True) as events:
                    await registry.unregister("shop", "market")
                    async with asyncio.timeout(10):
                        await anext(aiter(events))
            else:
                await registry.unregister("shop", "market")
                async with asyncio.timeout(10):
                    await told.wait()
            names = {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}
            assert names == {"shop.corner.price", "shop.corner.count"}
        over.set()
        await serving


def refused(project: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=project,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (1, 2), done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return re.sub(r"\s+", " ", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve"], "Missing argument 'FOLDER'"),
        (["serve", "nowhere"], "Directory 'nowhere' does not exist"),
        (["serve", "plugins"], "no manifest in this folder"),
        (["serve-host", "plugins", "--stdio", "--http", "127.0.0.1:0"], "--stdio and --http exclude each other"),
        (["serve-host", "plugins", "--http", "8000"], "'8000' is no HOST:PORT, such as 127.0.0.1:8000"),
        (["serve-host", "plugins", "--http", "127.0.0.1:http"], "is no HOST:PORT"),
        (["serve-host", "plugins", "--http", "127.0.0.1:70000"], "is no HOST:PORT"),
        (["serve-host", "plugins", "--http", "0.0.0.0:0"], "0.0.0.0 is reached from other machines: say --token-env"),
        (["serve-host", "plugins", "--http", "192.0.2.1:0", "--token-env", "TOKEN"], "can't be bound"),
        (["serve-host", "plugins", "--token-env", "TOKEN"], "--token-env is for --http"),
        (["serve-host", "plugins", "--http", "127.0.0.1:0", "--token-env", "NONE"], "variable NONE is not set"),
        (["serve-host", "plugins", "--http", "127.0.0.1:0", "--token-env", "SHORT"], "that in SHORT is none"),
        (["serve-host", "plugins", "--tool-names", "camels"], "'camels' is not one of 'dots', 'underscores'"),
    ],
)
def test_a_wrong_command_line_is_told(project: Path, arguments: list[str], told: str) -> None:
    write(project, "corner")
    environment = {"TOKEN": "0123456789abcdef", "SHORT": "0123"}
    said = refused(project, *arguments, **environment)
    assert told in said
    assert "0123" not in said


def test_a_plugin_that_is_faulty_or_does_not_start_is_not_served(project: Path) -> None:
    write(project, "raises", "1 / 0")
    assert "ZeroDivisionError" in refused(project, "serve", "plugins/raises")
    write(project, "corner")
    (project / "host.toml").write_text("[shop.corner]\nfail = true\n")
    assert "ValueError: closed today" in refused(project, "serve", "plugins/corner", "--config", "host.toml")


def test_names_that_are_too_long_or_the_same_are_told_before_anything_starts(project: Path) -> None:
    write(project, "a_b")
    write(project, "a-b")
    write(project, "x" * 60)
    assert "the tool's name 'shop_xxx" in refused(project, "serve-host", "plugins", "--tool-names", "underscores")
    same = KIND.replace("selection: named", "selection: named\n    mcp_tool_name_template: 'shop.{hook}'")
    (project / "kinds" / "shop" / "v1.yaml").write_text(same)
    assert "two tools are called 'shop.price': shop/" in refused(project, "serve-host", "plugins")
