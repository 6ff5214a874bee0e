"""A Python plugin in a process of its own, which a host started for it: loaded, set up and called as tools."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import sys
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from dagstack_plugins.errors import PluginError, TeardownErrors
from dagstack_plugins.guest import Guest
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.runtimes.mcp.tools import SETUP, TEARDOWN, own_name
from dagstack_plugins.runtimes.told import level_line
from dagstack_plugins.serving.answers import failed
from dagstack_plugins.serving.offers import Offers
from dagstack_plugins.version import VERSION


class Isolated:
    """The plugin.

    Args:
        recipe: how it is loaded, as its host packed it.
    """

    def __init__(self, recipe: bytes) -> None:
        self._guest = guest = Guest(recipe)
        self._offers = Offers(guest.registry)
        self._hooks = self._offers.all()
        self._setup, self._teardown = (own_name(word, guest.kind, guest.manifest) for word in (SETUP, TEARDOWN))

    def tools(self) -> list[types.Tool]:
        """What it offers."""
        own = (types.Tool(name=name, input_schema={"type": "object"}) for name in (self._setup, self._teardown))
        return [*(offer.tool for offer in self._hooks.values()), *own]

    async def call(self, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call a hook, or set the plugin up, or tear it down."""
        if (offer := self._hooks.get(params.name)) is not None:
            return await self._offers.call(offer, params)
        try:
            if params.name == self._setup:
                await asyncio.to_thread(self._start, params.arguments or {})
                return types.CallToolResult(content=[], structured_content={})
            if params.name == self._teardown:
                restart = await asyncio.to_thread(self.stop)
                return types.CallToolResult(content=[], structured_content={"requires_restart": restart})
        except Exception as error:
            return failed(error)
        raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name!r}")

    def _start(self, arguments: dict[str, Any]) -> None:
        given = pickle.loads(base64.b64decode(arguments["given"]))
        logging.getLogger().setLevel(given["level"])
        self._guest.start(given["config"], given["resources"])
        plugin = self._guest.plugin
        if not plugin.usable:
            raise PluginError(plugin.reason) from plugin.error

    def stop(self) -> bool:
        """Tear it down; whether only another process could start it again.

        Raises:
            PluginError: if it fails.
        """
        plugin = self._guest.plugin
        try:
            self._guest.stop()
        except TeardownErrors:
            raise PluginError(plugin.reason) from plugin.error
        return plugin.state is PluginState.REQUIRES_RESTART


class _Levelled(logging.Formatter):
    """Each line with its level, so that the host's log has it, too."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        text = super().format(record)
        named = text if record.name.startswith("plugin.") else f"{record.name}: {text}"
        return "\n".join(level_line(record.levelno, line) for line in named.splitlines())


async def _serve(isolated: Isolated) -> None:
    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=isolated.tools())

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await isolated.call(params)

    server: Server[Any] = Server("dagstack-plugins", version=VERSION, on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
    await asyncio.to_thread(isolated.stop)


def main(recipe: str) -> None:
    """Serve a plugin over the standard streams, until the host closes them.

    Args:
        recipe: how it is loaded, in base64.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Levelled())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    try:
        isolated = Isolated(base64.b64decode(recipe))
    except Exception as error:  # the host tells of what it wrote last
        sys.exit(f"{type(error).__name__}: {error}")
    asyncio.run(_serve(isolated))
