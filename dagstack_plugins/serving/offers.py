"""The exposed hooks of a registry's plugins, as the tools of an MCP server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import anyio
import attrs
import mcp_types as types

from dagstack_plugins.calls import bound_metadata
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.kinds.emit.bundle import CannotEmit
from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.runtimes.mcp.tools import exposed, tool_name
from dagstack_plugins.serving.answers import answered, failed, metadata_of
from dagstack_plugins.serving.schemas import input_schema, output_schema

Naming = Callable[[str], str]
_THREADS: Final = 256
"""Calls of plain functions that run at once; more wait."""
_DOTS: Final = re.compile(r"[A-Za-z0-9_.\-/]{1,128}")
"""The names that MCP admits."""
_UNDERSCORES: Final = re.compile(r"[A-Za-z0-9_\-]{1,64}")
"""The names that model APIs admit."""
NAMINGS: Final[Mapping[str, tuple[Naming, re.Pattern[str], str]]] = {
    "dots": (str, _DOTS, "128 letters, digits, '_', '-', '.' and '/'"),
    "underscores": (
        lambda name: re.sub(r"[^A-Za-z0-9_\-]", "_", name),
        _UNDERSCORES,
        "64 letters, digits, '_' and '-'",
    ),
}


class CannotOffer(PluginRegistryError):
    """A hook can't be a tool; the message says which, and why."""


@attrs.frozen(eq=False)
class Offer:
    """One hook of one plugin.

    Attributes:
        plugin: the plugin.
        kind: its kind.
        hook: the hook.
        tool: what clients are told of it.
    """

    plugin: Plugin
    kind: Kind
    hook: Hook
    tool: types.Tool


class Offers:
    """What is offered now.

    Args:
        registry: the plugins, which run.
        naming: ``dots``, as the kinds say, or ``underscores``, as model APIs want it.
        only: kind and name of the one plugin that is offered; by default all are.
    """

    def __init__(self, registry: PluginRegistry, naming: str = "dots", only: tuple[str, str] | None = None) -> None:
        self._registry = registry
        self._rename, self._admitted, self._limits = NAMINGS[naming]
        self._only = only
        self._places = anyio.CapacityLimiter(_THREADS)

    def check(self) -> None:
        """See whether all plugins can be offered, ready or not.

        Raises:
            CannotOffer: if a name is none, or two are the same.
        """
        self._named(self._offers(lambda plugin: not plugin.refused))

    def now(self) -> dict[str, Offer]:
        """By name, the hooks of plugins that are ready.

        Raises:
            CannotOffer: if a name is none, or two are the same.
        """
        return self._named(self._offers(lambda plugin: plugin.usable))

    def _offers(self, wanted: Callable[[Plugin], bool]) -> Iterable[Offer]:
        for name in self._registry.kinds():
            for slot in self._registry.slots(name):
                kind = slot.compiled.kind
                for plugin in slot.plugins:
                    if wanted(plugin) and self._only in (None, (plugin.kind, plugin.name)):
                        hooks = [hook for hook in exposed(kind) if hook.name in plugin.bindings]
                        yield from (self._offer(plugin, kind, hook) for hook in hooks)

    def _offer(self, plugin: Plugin, kind: Kind, hook: Hook) -> Offer:
        assert plugin.manifest is not None
        own = plugin.own_inputs.get(hook.name)
        try:
            tool = types.Tool(
                name=self._rename(tool_name(hook, plugin.manifest)),
                description="\n".join(filter(None, (plugin.manifest.description, hook.description))) or None,
                input_schema=input_schema(kind, hook) if own is None else {"type": "object", **own.schema},
                output_schema=output_schema(kind, hook),
            )
        except CannotEmit as error:
            raise CannotOffer(f"hook {hook.name!r} of kind {kind.name!r} can't be a tool: {error}") from None
        return Offer(plugin, kind, hook, tool)

    def _named(self, offers: Iterable[Offer]) -> dict[str, Offer]:
        found: dict[str, Offer] = {}
        for offer in offers:
            name = offer.tool.name
            told = f"{offer.plugin.label}, hook {offer.hook.name!r}"
            if not self._admitted.fullmatch(name):
                raise CannotOffer(f"{told}: the tool's name {name!r} is none: it has at most {self._limits}")
            if (other := found.get(name)) is not None:
                both = f"{other.plugin.label}, hook {other.hook.name!r}, and {told}"
                raise CannotOffer(
                    f"two tools are called {name!r}: {both}; rename one of the plugins, or let the kind's "
                    "mcp_tool_name_template tell them apart"
                )
            found[name] = offer
        return found

    async def call(self, offer: Offer, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call a hook.

        Args:
            offer: the hook.
            params: the arguments, and metadata.
        """
        plugin, hook, arguments = offer.plugin, offer.hook.name, params.arguments or {}
        try:
            proxy = self._registry.get_plugin(f"{plugin.kind}@{offer.kind.major}", plugin.name)
            with bound_metadata(metadata_of(params)):
                if self._is_awaited(plugin, hook):
                    value = await getattr(proxy.aio, hook)(arguments)
                else:
                    value = await anyio.to_thread.run_sync(
                        getattr(proxy.sync, hook), arguments, abandon_on_cancel=True, limiter=self._places
                    )
            return answered(value, offer.kind, offer.hook)
        except Exception as error:
            return failed(error)

    def _is_awaited(self, plugin: Plugin, hook: str) -> bool:
        """Whether a call doesn't hold up the loop that it is made on."""
        elsewhere = plugin.link is not None or (plugin.manifest and plugin.manifest.execution_model != "sync")
        return bool(elsewhere) or plugin.bindings[hook].is_async
