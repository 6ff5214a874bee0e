"""The exposed hooks of a registry's plugins, as the tools of an MCP server."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import anyio
import attrs
import mcp_types as types

from dagstack_plugins.calls import bound_metadata
from dagstack_plugins.dispatch.base import Form
from dagstack_plugins.dispatch.singleton import LinkDispatcher
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.emit.bundle import CannotEmit
from dagstack_plugins.kinds.model import Hook
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.runtimes.mcp.results import Expected
from dagstack_plugins.runtimes.mcp.tools import exposed, tool_name
from dagstack_plugins.serving.answers import answered, failed, metadata_of
from dagstack_plugins.serving.schemas import input_schema, output_schema
from dagstack_plugins.wording import nearest

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


class UnknownTool(PluginRegistryError):
    """There is no tool of a name, or not now."""


@attrs.frozen(eq=False)
class Offer:
    """One hook of one plugin.

    Attributes:
        plugin: the plugin.
        codec: the hook's border.
        tool: what clients are told of it.
        expected: what the hook's outputs are.
        call: calls it.
        is_awaited: whether that is to be awaited, or blocks.
    """

    plugin: Plugin
    codec: HookCodec
    tool: types.Tool
    expected: Expected
    call: Callable[[Any], Any]
    is_awaited: bool

    @property
    def told(self) -> str:
        """Whose it is, for messages."""
        return f"{self.plugin.label}, hook {self.codec.hook.name!r}"


class Offers:
    """What is offered now.

    Args:
        registry: the plugins, which run.
        naming: ``dots``, as the kinds say, or ``underscores``, as model APIs want it.
        only: kind and name of the one plugin that is offered; by default all are.
        traces: whether clients are told where in the code a plugin failed.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        naming: str = "dots",
        only: tuple[str, str] | None = None,
        *,
        traces: bool = True,
    ) -> None:
        self._registry = registry
        self._rename, self._admitted, self._limits = NAMINGS[naming]
        self._only = only
        self._traces = traces
        self._places = anyio.CapacityLimiter(_THREADS)
        # Schemas of large kinds take a while, and clients ask again and again.
        self._made: dict[Plugin, tuple[tuple[Any, ...], list[Offer]]] = {}
        self._found: dict[str, Offer] = {}

    def all(self) -> dict[str, Offer]:
        """By name, the hooks of all plugins that were loaded, ready or not.

        Raises:
            CannotOffer: if a hook can't be a tool, a name is none, or two are the same.
        """
        return self._named(lambda plugin: not plugin.refused)

    def now(self) -> dict[str, Offer]:
        """By name, the hooks of plugins that are ready.

        Raises:
            CannotOffer: if a hook can't be a tool, a name is none, or two are the same.
        """
        self._found = self._named(lambda plugin: plugin.usable)
        return self._found

    def find(self, name: str) -> Offer:
        """The one of this name.

        Raises:
            UnknownTool: if there is none now.
            CannotOffer: if a hook can't be a tool, a name is none, or two are the same.
        """
        offer = self._found.get(name)
        if offer is None or not offer.plugin.usable:
            offer = self.now().get(name)
        if offer is None:
            raise UnknownTool(f"there is no tool {name!r}{nearest(name, self._found)}")
        return offer

    def _named(self, wanted: Callable[[Plugin], bool]) -> dict[str, Offer]:
        found: dict[str, Offer] = {}
        for offer in self._offers(wanted):
            name = offer.tool.name
            if not self._admitted.fullmatch(name):
                raise CannotOffer(f"{offer.told}: the tool's name {name!r} is none: it has at most {self._limits}")
            if (other := found.get(name)) is not None:
                raise CannotOffer(
                    f"two tools are called {name!r}: {other.told}, and {offer.told}; rename one of the plugins, or let "
                    "the kind's mcp_tool_name_template tell them apart"
                )
            found[name] = offer
        return found

    def _offers(self, wanted: Callable[[Plugin], bool]) -> Iterator[Offer]:
        slots = [slot for name in self._registry.kinds() for slot in self._registry.slots(name)]
        there = {plugin: slot.compiled for slot in slots for plugin in slot.plugins}
        self._made = {plugin: made for plugin, made in self._made.items() if plugin in there}
        for plugin, compiled in there.items():
            if wanted(plugin) and self._only in (None, (plugin.kind, plugin.name)):
                yield from self._of(plugin, compiled)

    def _of(self, plugin: Plugin, compiled: CompiledKind) -> list[Offer]:
        made_of = (compiled, plugin.bindings, plugin.own_inputs)
        if (made := self._made.get(plugin)) is not None and all(map(operator.is_, made[0], made_of)):
            return made[1]
        hooks = [hook for hook in exposed(compiled.kind) if hook.name in plugin.bindings]
        offers = [self._offer(plugin, compiled, hook) for hook in hooks]
        self._made[plugin] = made_of, offers
        return offers

    def _offer(self, plugin: Plugin, compiled: CompiledKind, hook: Hook) -> Offer:
        assert plugin.manifest is not None
        kind, own = compiled.kind, plugin.own_inputs.get(hook.name)
        try:
            tool = types.Tool(
                name=self._rename(tool_name(hook, plugin.manifest)),
                description="\n".join(filter(None, (plugin.manifest.description, hook.description))) or None,
                input_schema=input_schema(kind, hook) if own is None else {"type": "object", **own.schema},
                output_schema=output_schema(kind, hook),
            )
        except CannotEmit as error:
            raise CannotOffer(f"hook {hook.name!r} of kind {kind.name!r} can't be a tool: {error}") from None
        is_awaited = _is_awaited(plugin, hook.name)
        form = Form.AIO if is_awaited else Form.SYNC
        call = LinkDispatcher(self._registry, kind.address, hook.name, plugin=str(plugin.name), form=form)
        return Offer(plugin, compiled.codecs[hook.name], tool, Expected.of(hook, kind.schemas), call, is_awaited)

    async def call(self, offer: Offer, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call a hook.

        Args:
            offer: the hook.
            params: the arguments, and metadata.
        """
        arguments = params.arguments or {}
        try:
            with bound_metadata(metadata_of(params)):
                if offer.is_awaited:
                    value = await offer.call(arguments)
                else:  # in a thread, so that others go on
                    value = await anyio.to_thread.run_sync(
                        offer.call, arguments, abandon_on_cancel=True, limiter=self._places
                    )
            return answered(value, offer.expected, offer.codec, str(offer.plugin.name))
        except Exception as error:
            return failed(error, trace=self._traces)


def _is_awaited(plugin: Plugin, hook: str) -> bool:
    """Whether a call doesn't hold up the loop that it is made on."""
    elsewhere = plugin.link is not None or (plugin.manifest and plugin.manifest.execution_model != "sync")
    return bool(elsewhere) or plugin.bindings[hook].is_async
