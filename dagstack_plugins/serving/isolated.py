"""A Python plugin in a process of its own, which a host started for it: loaded, set up and called as tools."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import sys
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from dagstack_plugins.calls import bound_metadata
from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginError, TeardownErrors
from dagstack_plugins.kinds.builtin import builtin_hookspec
from dagstack_plugins.lock import LockedPlugin, PluginLock
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.runtimes.mcp.tools import SETUP, TEARDOWN, exposed, own_name, tool_name
from dagstack_plugins.serving.answers import answered, failed, metadata_of
from dagstack_plugins.serving.schemas import input_schema, output_schema
from dagstack_plugins.version import VERSION

_THREADS = 256
"""Calls of plain functions that run at once; more wait."""


class Isolated:
    """The plugin.

    Args:
        recipe: how it is loaded, as its host packed it.
    """

    def __init__(self, recipe: bytes) -> None:
        make, args, self._manifest, hookspec, typed, locked = pickle.loads(recipe)
        self._typed: bool = typed
        self._registry = PluginRegistry(validate="input" if typed else "off", runtimes=["in_process"])
        if builtin_hookspec(self._manifest.kind) != hookspec:
            self._registry.add_hookspecs(hookspec)
        source = make(*args)
        if locked is not None:  # files may have changed since the host looked
            PluginLock.of([LockedPlugin.of(self._manifest, locked)]).check(
                self._manifest, source.contents and source.contents.readable_hash
            )
        self._registry._take_one(source, self._manifest)  # noqa: SLF001 - a host has no sources, but ways to name them
        slots = self._registry.slots(self._manifest.kind)
        self._slot = next(slot for slot in slots if slot.accepted(self._manifest.name) is not None)
        plugin = self._slot.accepted(self._manifest.name)
        assert plugin is not None
        self.plugin: Plugin = plugin
        self._running: Any = None
        self._places = anyio.CapacityLimiter(_THREADS)
        kind = self._slot.compiled.kind
        self._hooks = {tool_name(hook, self._manifest): hook for hook in exposed(kind) if hook.name in plugin.bindings}
        self._setup, self._teardown = (own_name(word, kind, self._manifest) for word in (SETUP, TEARDOWN))

    def tools(self) -> list[types.Tool]:
        """What it offers."""
        kind = self._slot.compiled.kind
        tools = [
            types.Tool(
                name=name,
                description=hook.description,
                input_schema=input_schema(kind, hook),
                output_schema=output_schema(kind, hook),
            )
            for name, hook in self._hooks.items()
        ]
        return [
            *tools,
            *(types.Tool(name=one, input_schema={"type": "object"}) for one in (self._setup, self._teardown)),
        ]

    async def call(self, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call a hook, or set the plugin up."""
        arguments = params.arguments or {}
        try:
            if params.name == self._setup:
                await asyncio.to_thread(self.start, arguments)
                return types.CallToolResult(content=[], structured_content={})
            if params.name == self._teardown:
                restart = await asyncio.to_thread(self.stop)
                return types.CallToolResult(content=[], structured_content={"requires_restart": restart})
            hook = self._hooks[params.name]
            with bound_metadata(metadata_of(params)):
                return answered(await self._called(hook.name, arguments), self._slot.compiled.kind, hook)
        except Exception as error:
            return failed(error)

    async def _called(self, hook: str, arguments: dict[str, Any]) -> Any:
        table = self._slot.table()
        made = table.implementation(self.plugin, hook)
        payload = self._slot.compiled.codecs[hook].accept(arguments) if self._typed else arguments
        # What `ctx.in_flight` counts.
        lane = table.traffic.open([self.plugin])
        lane.append(None)
        try:
            if made.home is not None or self._manifest.execution_model != "sync":
                return await made.wait(payload)
            block: Callable[[], Any] = lambda: made.block(payload)  # noqa: E731 - a thread runs it, so that others go on
            return await anyio.to_thread.run_sync(block, abandon_on_cancel=True, limiter=self._places)
        finally:
            lane.pop()

    def start(self, arguments: dict[str, Any]) -> None:
        """Set the plugin up with what its host gives it.

        Raises:
            PluginError: if it fails.
        """
        given = pickle.loads(base64.b64decode(arguments["given"]))
        logging.getLogger().setLevel(given["level"])
        config = {self._manifest.kind: {self._manifest.name: pickle.loads(given["config"])}}
        resources = ResourceRegistry.unpack(given["resources"])
        self._running = self._registry.running(PluginContext(config, resources=resources))
        self._running.__enter__()
        if not self.plugin.usable:
            raise PluginError(self.plugin.reason) from self.plugin.error

    def stop(self) -> bool:
        """Tear it down; whether only another process could start it again.

        Raises:
            PluginError: if it fails.
        """
        running, self._running = self._running, None
        if running is not None:
            try:
                running.__exit__(None, None, None)
            except TeardownErrors:
                raise PluginError(self.plugin.reason) from self.plugin.error
        return self.plugin.state is PluginState.REQUIRES_RESTART


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
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        isolated = Isolated(base64.b64decode(recipe))
    except Exception as error:  # the host tells of what it wrote last
        sys.exit(f"{type(error).__name__}: {error}")
    asyncio.run(_serve(isolated))
