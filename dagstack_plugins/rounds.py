"""Rounds of starting and stopping: what must be settled before, who takes part, one round at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from dagstack_plugins.context import PluginContext
from dagstack_plugins.dispatch.capability import fallback_of
from dagstack_plugins.dispatch.catalogue import Catalogue
from dagstack_plugins.dispatch.selection import ambiguous, tied_at_top
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.table import in_order
from dagstack_plugins.errors import PluginRegistryError, PluginUnavailable, TeardownErrors
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.lifecycle.configuration import plugin_config
from dagstack_plugins.lifecycle.order import dependencies, generations
from dagstack_plugins.lifecycle.startup import may_start, start_all, stop_all
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.resources import ResourceRegistry
from dagstack_plugins.roster import Roster
from dagstack_plugins.runtimes.home import HomeLoop


class Rounds:
    """Starts and stops the plugins of a registry.

    Args:
        registry: what plugins see as ``ctx.registry``.
        catalogue: the kinds.
        roster: the plugins.
        home: the loop that plugins live on.
        context: what the host lends to its plugins, until it says otherwise.
        resources: its resources, until it says otherwise.
    """

    def __init__(
        self,
        registry: Any,
        catalogue: Catalogue,
        roster: Roster,
        home: HomeLoop,
        context: PluginContext,
        resources: ResourceRegistry,
    ) -> None:
        self.resources = resources
        self._registry = registry
        self._catalogue = catalogue
        self._roster = roster
        self._home = home
        self._context = context
        self._round: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def start(self, ctx: PluginContext | None, *, strict: bool) -> None:
        """Start every plugin that doesn't run yet; the running loop becomes the plugins' home."""
        loop = asyncio.get_running_loop()
        self._check_home(loop)
        async with self._alone(loop):
            self._home.move(loop)
            if ctx is not None:
                self._context = ctx
                self.resources = self.resources if ctx.resources is None else ctx.resources
            edges, problems = dependencies(self._roster.plugins)
            # Of all, running ones too: what starts now may close a circle through them.
            order = generations([plugin for plugin in self._roster.plugins if not plugin.refused], edges)
            self._check_choices()
            asked = [[plugin for plugin in generation if may_start(plugin)] for generation in order]
            wanted = [[plugin for plugin in generation if self._takes_part(plugin, problems)] for generation in asked]
            await start_all(wanted, edges, self._context_for, self._changed, self._context.logger)
            if strict:
                await self._all_or_nothing(asked)

    async def stop(self) -> None:
        """Tear down every plugin that runs."""
        await self._at_home(self._stop_running)

    async def stop_one(self, plugin: Plugin) -> None:
        """Tear down one plugin."""
        await self._at_home(self._stop_started, plugin)

    async def _stop_started(self, plugin: Plugin) -> None:
        async with self._alone(asyncio.get_running_loop()):
            if plugin.usable:
                await self._stop([[plugin]])

    async def _stop_running(self) -> None:
        async with self._alone(asyncio.get_running_loop()):
            edges, _ = dependencies(self._roster.plugins)
            await self._stop(generations([plugin for plugin in self._roster.plugins if plugin.usable], edges))

    async def _stop(self, order: Sequence[Sequence[Plugin]]) -> None:
        await stop_all(order, self._changed, self._context.logger)

    async def _at_home(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run on the loop that the plugins were started on, where that still runs."""
        if self._home.loop is None or not self._home.loop.is_running():
            await function(*args)
        else:
            await self._home.wait(function, *args)

    def _check_home(self, loop: asyncio.AbstractEventLoop) -> None:
        home = self._home.loop
        if home is None or home is loop or not home.is_running():
            return
        starting = self._round is not None and self._round[0] is home and self._round[1].locked()
        if not starting and not any(one.usable for one in self._roster.plugins):
            return
        raise PluginRegistryError(
            "setup_all was called on another event loop than the running plugins live on; "
            "call it there, or await registry.teardown_all() first"
        )

    def _alone(self, loop: asyncio.AbstractEventLoop) -> asyncio.Lock:
        """One round at a time; a lock belongs to its loop."""
        if self._round is None or self._round[0] is not loop:
            self._round = (loop, asyncio.Lock())
        return self._round[1]

    def _changed(self, plugin: Plugin) -> None:
        slot = self._catalogue.find(str(plugin.kind))
        if slot is not None:
            slot.changed()

    def _context_for(self, plugin: Plugin) -> PluginContext:
        assert plugin.manifest is not None
        if missing := self.resources.missing(plugin.manifest):
            raise PluginUnavailable(
                f"requires the resource {', '.join(map(repr, missing))}, which the host does not lend; "
                f"the host gives it with resource_registry.register({missing[0]!r}, …)",
                kind=plugin.kind,
                plugin=plugin.name,
            )
        return self._context.for_plugin(
            str(plugin.kind),
            str(plugin.name),
            config=plugin_config(plugin, self._context.config),
            registry=self._registry,
            resources=self.resources.lend(plugin.manifest),
        )

    def _check_choices(self) -> None:
        """What nothing decides is said before anything starts."""
        for slot in self._catalogue:
            slot.read_environment()
            slot.check_choice()
            hooks = slot.compiled.kind.hooks.values()
            candidates = in_order(plugin for plugin in slot.plugins if plugin.usable or may_start(plugin))
            has_active = any(hook.dispatch is Dispatch.SINGLETON and not hook.named for hook in hooks)
            if has_active and slot.chosen is None and (tied := tied_at_top(candidates)):
                raise ambiguous(slot.table(), tied)
            if any(hook.dispatch is Dispatch.CAPABILITY for hook in hooks):
                fallback_of(slot.table(), candidates)
        for slot in self._catalogue:
            self._tell_colours(slot)

    def _tell_colours(self, slot: Slot) -> None:
        """Warn where one plugin alone makes a hook async, which its callers notice when it goes."""
        table = slot.table()
        for hook in table.kind.hooks.values():
            coroutines, plain = table.colours(hook.name) if hook.is_async is None else ([], [])
            if coroutines and plain:
                self._context.logger.warning(
                    "%s.%s is async, as it is a coroutine function of %s, and a plain one of %s; "
                    "settle it in the hookspec with `async: true` or `async: false`",
                    table.kind.name,
                    hook.name,
                    ", ".join(coroutines),
                    ", ".join(plain),
                )

    def _takes_part(self, plugin: Plugin, problems: Mapping[Plugin, str]) -> bool:
        if plugin in problems:
            error = PluginUnavailable(problems[plugin], kind=plugin.kind, plugin=plugin.name)
            plugin.become(PluginState.UNAVAILABLE, problems[plugin], error)
            self._context.logger.error("plugin %s is unavailable: %s", plugin.label, problems[plugin])
            self._changed(plugin)
            return False
        slot = self._catalogue.find(str(plugin.kind))
        active = _only_one(slot) if slot is not None else None
        if active is None or active is plugin:
            return True
        reason = f"stands by: kind {plugin.kind!r} runs one plugin at a time, and {active.name!r} is active"
        plugin.become(PluginState.REGISTERED, reason)
        return False

    async def _all_or_nothing(self, asked: Sequence[Sequence[Plugin]]) -> None:
        failed = [plugin.error for generation in asked for plugin in generation if not plugin.usable]
        errors = [error for error in failed if isinstance(error, Exception)]
        if not errors:
            return
        failure = ExceptionGroup("plugins failed to start, those that had started were torn down", errors)
        try:
            await self._stop([[plugin for plugin in generation if plugin.usable] for generation in asked])
        except TeardownErrors as error:
            failure.add_note(str(error))
        raise failure


def _only_one(slot: Slot) -> Plugin | None:
    """The one plugin that runs, of a kind that runs one at a time."""
    if not slot.compiled.kind.singleton_per_runtime:
        return None
    if slot.chosen is not None:
        return slot.accepted(slot.chosen[0])
    return in_order(plugin for plugin in slot.plugins if plugin.usable or may_start(plugin))[0]
