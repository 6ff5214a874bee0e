"""Rounds of starting and stopping: what must be settled before, who takes part, one round at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

from dagstack_plugins.context import PluginContext
from dagstack_plugins.dispatch.capability import fallback_of
from dagstack_plugins.dispatch.catalogue import Catalogue
from dagstack_plugins.dispatch.selection import ambiguous, tied_at_top
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.table import in_order
from dagstack_plugins.errors import PluginRegistryError, PluginUnavailable, TeardownErrors
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.lifecycle.configuration import misplaced, plugin_config
from dagstack_plugins.lifecycle.order import Edges, dependencies, generations
from dagstack_plugins.lifecycle.startup import start_all, stop_all
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.roster import Roster
from dagstack_plugins.runtimes.home import HomeLoop
from dagstack_plugins.wording import nearest, shown


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
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._blocks = 0
        self._claiming = threading.Lock()
        self._claims = 0
        self._left_behind = False
        self._leaving: set[asyncio.Future[None]] = set()

    async def start(self, ctx: PluginContext | None, *, strict: bool, block: bool = False) -> None:
        """Start every plugin that doesn't run yet; the running loop becomes the plugins' home.

        Args:
            ctx: what the host lends, if it says so anew.
            strict: one failure is the failure of all.
            block: for a block, which ``leave`` ends.
        """
        if ctx is not None and not isinstance(ctx, PluginContext):
            raise TypeError(f"plugins get a PluginContext, such as PluginContext(config=…), found {shown(ctx)}")
        loop = asyncio.get_running_loop()
        with self._claimed(loop):
            async with self._alone(loop):
                await self._start(ctx, strict=strict)
                # In the same round: who leaves another block meanwhile waits for it, and sees that this one is open.
                self._blocks += block

    async def _start(self, ctx: PluginContext | None, *, strict: bool) -> None:
        plugins = self._roster.plugins
        for told in self._roster.misnamed():  # a slip there would run in process what should be isolated
            self._context.logger.warning("%s", told)
        await self._call_off(plugins)
        edges, problems = dependencies(plugins)
        # Of all, running ones too: what starts now may close a circle through them.
        order = generations([plugin for plugin in plugins if not plugin.refused], edges)
        self._check_choices()
        if ctx is not None:
            self._lend(ctx, plugins)
        for slot in self._catalogue:
            self._tell_colours(slot)
        only = self._only_ones()
        await self._make_way(only, order, edges)
        asked = [[plugin for plugin in generation if plugin.may_start] for generation in order]
        wanted = [[plugin for plugin in generation if self._takes_part(plugin, problems, only)] for generation in asked]
        try:
            await start_all(wanted, edges, self._context_for, self._home, self._changed, self._context.logger)
            if strict:
                _all_or_nothing(asked)
        except BaseException as error:
            await self._take_back(asked, error)
            raise
        finally:
            self._home.wire.rest()

    async def _call_off(self, plugins: Sequence[Plugin]) -> None:
        """Those that are away are not looked for any more: they start anew, or somebody else takes their place."""
        for plugin in plugins:
            if plugin.link is not None and plugin.link.runs and not plugin.usable:
                await plugin.link.stop(self._home.wire, hurry=True)

    def _lend(self, ctx: PluginContext, plugins: Sequence[Plugin]) -> None:
        self._context = ctx
        self.resources = self.resources if ctx.resources is None else ctx.resources
        for told in misplaced(ctx.config, plugins):
            ctx.logger.warning("%s", told)

    async def leave(self) -> None:
        """Stop, if no other block is open: blocks may overlap."""
        await self._at_home(self._leave)

    async def _leave(self) -> None:
        in_turn = False
        try:
            async with self._alone(asyncio.get_running_loop()):
                in_turn = True
                self._blocks -= 1
                if self._blocks == 0:
                    await self._stop_running()
        except asyncio.CancelledError:
            if not in_turn:  # the block is left all the same, when its turn comes
                leaving = asyncio.ensure_future(self._leave())
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
            raise

    async def stop(self) -> None:
        """Tear down every plugin that runs."""
        await self._at_home(self._stop_alone)

    async def _stop_alone(self) -> None:
        async with self._alone(asyncio.get_running_loop()):
            await self._stop_running()

    async def remove(self, plugin: Plugin) -> None:
        """Tear down one plugin, and drop it from the roster."""
        await self._at_home(self._stop_and_drop, plugin)

    async def _stop_and_drop(self, plugin: Plugin) -> None:
        # Dropped in the same round: one that waits for its turn would start it again.
        async with self._alone(asyncio.get_running_loop()):
            try:
                if plugin.runs:
                    await self._stop([[plugin]])
            finally:
                self._roster.drop(plugin)
                self._home.wire.rest()

    async def _stop_running(self) -> None:
        plugins = self._roster.plugins
        edges, _ = dependencies(plugins)
        await self._stop(generations([plugin for plugin in plugins if plugin.runs], edges))
        self._home.rest()

    async def _stop(self, order: Sequence[Sequence[Plugin]]) -> None:
        await stop_all(order, self._home, self._changed, self._context.logger)

    async def _at_home(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run on the loop that the plugins were started on, where that still runs."""
        if self._home.loop is None or not self._home.loop.is_running():
            await function(*args)
        else:
            await self._home.wait(function, *args)

    @contextmanager
    def _claimed(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Make ``loop`` the plugins' home.

        Raises:
            PluginRegistryError: if they run on another, or start there.
        """
        with self._claiming:  # by one thread, and thus one loop, at a time
            home = self._home.loop
            running = any(one.usable for one in self._roster.plugins)
            if home not in (None, loop) and home.is_running() and (running or self._claims or self._blocks):
                raise PluginRegistryError(
                    "plugins run on another event loop already, and they live on one; call setup_all there, or tear "
                    "them down first; inside `with registry.running():` everything runs already"
                )
            if home is not loop:
                self._left_behind = self._left_behind or running
                self._blocks = 0  # those of a loop that ended are never left
            self._home.move(loop)
            self._claims += 1
        try:
            yield
        finally:
            with self._claiming:
                self._claims -= 1

    @asynccontextmanager
    async def _alone(self, loop: asyncio.AbstractEventLoop) -> AsyncIterator[None]:
        """One round at a time.

        Raises:
            PluginRegistryError: for what a plugin asks for in its setup or teardown, which would wait for itself.
        """
        if any(one.rounds is self and not one.over for one in _rounds_around.get()):
            raise PluginRegistryError(
                "a plugin cannot start, stop or unregister plugins in its own setup or teardown, which would wait for "
                "itself; let depends_on in the manifest say what must run first, or leave it to the host"
            )
        # A lock belongs to its loop.
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        async with self._lock[1]:
            this = _Round(self)
            token = _rounds_around.set((*_rounds_around.get(), this))
            try:
                yield
            finally:
                this.over = True
                _rounds_around.reset(token)

    def _changed(self, plugin: Plugin) -> None:
        slot = self._catalogue.of_plugin(plugin)
        if slot is not None:
            slot.changed()

    def _address(self, plugin: Plugin) -> str:
        slot = self._catalogue.of_plugin(plugin)
        return slot.address if slot is not None else str(plugin.kind)

    def _context_for(self, plugin: Plugin) -> PluginContext:
        assert plugin.manifest is not None
        if missing := self.resources.missing(plugin.manifest):
            names = self.resources.names()
            wanted = ", ".join(f"{name!r}{nearest(name, names)}" for name in missing)
            raise PluginUnavailable(
                f"requires the resource{'s' if len(missing) > 1 else ''} {wanted}, which the host does not lend; "
                f"it has {', '.join(names)}; resource_registry.register({missing[0]!r}, …) gives it",
                kind=plugin.kind,
                plugin=plugin.name,
            )
        return self._context.for_plugin(
            str(plugin.kind),
            str(plugin.name),
            config=plugin_config(plugin, self._context.config),
            registry=self._registry,
            resources=self.resources.lend(plugin.manifest),
            in_flight=lambda: self._catalogue.in_flight(plugin),
        )

    def _check_choices(self) -> None:
        """What nothing decides is said before anything starts."""
        for slot in self._catalogue:
            slot.read_environment()
            slot.check_choice()
            hooks = slot.compiled.kind.hooks.values()
            candidates = in_order(plugin for plugin in slot.plugins if plugin.usable or plugin.may_start)
            has_active = any(hook.dispatch is Dispatch.SINGLETON and not hook.named for hook in hooks)
            if has_active and slot.chosen is None and slot.policy is None and (tied := tied_at_top(candidates)):
                raise ambiguous(slot.table(), tied)
            if any(hook.dispatch is Dispatch.CAPABILITY for hook in hooks):
                fallback_of(slot.table(), candidates)

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

    def _only_ones(self) -> dict[str, tuple[str, Plugin | None]]:
        """Of each kind that runs one plugin at a time, the name of that one, and the plugin unless it was refused."""
        found = {}
        for slot in self._catalogue:
            if slot.compiled.kind.singleton_per_runtime and slot.plugins:
                # One that runs stays, unless the host chose another.
                candidates = [plugin for plugin in slot.plugins if plugin.usable]
                candidates = candidates or [plugin for plugin in slot.plugins if plugin.may_start]
                first = next(iter(in_order(candidates)), None)
                if (chosen := slot.chosen) is not None:
                    found[slot.address] = chosen[0], slot.accepted(chosen[0])
                elif first is not None:
                    found[slot.address] = str(first.name), first
        return found

    async def _make_way(
        self, only: Mapping[str, tuple[str, Plugin | None]], order: Sequence[Sequence[Plugin]], edges: Edges
    ) -> None:
        """Stop what runs in the place of another that was chosen since, and all that depends on it.

        What was left behind on a loop that ended without a teardown starts again on this one, if it needs a loop.
        """
        stopping: set[Plugin] = set()
        for plugin in (plugin for generation in order for plugin in generation if plugin.usable):
            _, chosen = only.get(self._address(plugin), ("", None))
            replaced = chosen is not None and chosen is not plugin and chosen.may_start
            stranded = self._left_behind and plugin.needs_its_loop
            if replaced or stranded or not stopping.isdisjoint(edges[plugin]):
                stopping.add(plugin)
        try:
            await self._stop([[plugin for plugin in generation if plugin in stopping] for generation in order])
        except TeardownErrors as error:
            self._context.logger.error("%s", error)
        self._left_behind = False

    def _takes_part(
        self, plugin: Plugin, problems: Mapping[Plugin, str], only: Mapping[str, tuple[str, Plugin | None]]
    ) -> bool:
        if plugin in problems:
            error = PluginUnavailable(problems[plugin], kind=plugin.kind, plugin=plugin.name)
            plugin.become(PluginState.UNAVAILABLE, problems[plugin], error)
            self._context.logger.error("plugin %s is unavailable: %s", plugin.label, problems[plugin])
            self._changed(plugin)
            return False
        name, chosen = only.get(self._address(plugin), (plugin.name, plugin))
        if chosen is plugin:
            return True
        reason = f"stands by: kind {plugin.kind!r} runs one plugin at a time, and {name!r} is active"
        plugin.become(PluginState.REGISTERED, reason)
        self._changed(plugin)
        return False

    async def _take_back(self, asked: Sequence[Sequence[Plugin]], error: BaseException) -> None:
        """Tear down what a start had started, as something ends it."""
        try:
            await self._stop([[plugin for plugin in generation if plugin.runs] for generation in asked])
        except TeardownErrors as failures:
            error.add_note(str(failures))
        self._home.rest()


def _all_or_nothing(asked: Sequence[Sequence[Plugin]]) -> None:
    failed = [plugin.error for generation in asked for plugin in generation if not plugin.usable]
    errors = [error for error in failed if isinstance(error, Exception)]
    if errors:
        raise ExceptionGroup("plugins failed to start, those that had started were torn down", errors)


class _Round:
    """One round of starting or stopping, as code that it runs sees it: tasks outlive the round that they began in."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds
        self.over = False


_rounds_around: ContextVar[tuple[_Round, ...]] = ContextVar("dagstack_plugins.rounds", default=())
