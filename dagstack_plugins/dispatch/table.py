"""One kind at one moment: its plugins in order, and what a dispatcher asks about them; never changed once made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pluggy

from dagstack_plugins.dispatch.engine import Adapter, KindManager, Watch, Watcher, watched
from dagstack_plugins.dispatch.implementation import Implementation, implementation
from dagstack_plugins.dispatch.middleware import wrapped
from dagstack_plugins.dispatch.traffic import Traffic
from dagstack_plugins.errors import KindUnknown, PluginUnavailable
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.model import Hook
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.home import HomeLoop
from dagstack_plugins.wording import nearest

if TYPE_CHECKING:
    from dagstack_plugins.dispatch.routing import RoutingPolicy


def in_order(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """Plugins as they answer: bands, then priority downwards, then name."""
    return tuple(sorted(plugins, key=lambda plugin: plugin.manifest.sort_key if plugin.manifest else (3, 0, "")))


def _has(plugin: Plugin, require: frozenset[str]) -> bool:
    return not require or (plugin.manifest is not None and require.issubset(plugin.manifest.capabilities))


class Table:
    """The plugins of one kind, as they are now.

    Args:
        compiled: the kind.
        plugins: all its plugins, refused ones included.
        chosen: the name of the active plugin and where that was said, if it was.
        home: the loop that plugins live on.
        absence: tells why there is no plugin, where there is none.
        policy: chooses the active plugin at each call, if the host set one.
        middleware: what goes round calls, outermost first.
        watchers: those who monitor the kind's pluggy manager.
        watch: tells the kind of another.
        require: capabilities without which a plugin is left out.
        traffic: the calls of the whole table, of which this is a part.

    Attributes:
        plugins: all of them, in order.
        usable: those that take calls, in order.
        home: the loop that plugins live on.
        has_plugins: whether the kind has any at all, left out or not.
        traffic: the calls that are made by this table.
    """

    def __init__(
        self,
        compiled: CompiledKind,
        plugins: Sequence[Plugin],
        chosen: tuple[str, str] | None,
        home: HomeLoop,
        absence: Callable[[], str],
        *,
        policy: RoutingPolicy | None = None,
        middleware: tuple[Plugin, ...] = (),
        watchers: tuple[Watcher, ...] = (),
        watch: Watch = lambda _: lambda: None,
        require: frozenset[str] = frozenset(),
        traffic: Traffic | None = None,
    ) -> None:
        self.traffic = Traffic() if traffic is None else traffic
        self.compiled = compiled
        self.kind = compiled.kind
        self.chosen = chosen
        self.policy = policy
        self.middleware = middleware
        self._everyone = in_order(plugins)
        self.plugins = tuple(plugin for plugin in self._everyone if _has(plugin, require))
        self.usable = tuple(plugin for plugin in self.plugins if plugin.usable)
        self.home = home
        self.has_plugins = bool(plugins)
        self._absence = absence
        self._require = require
        self._watchers = watchers
        self._watch = watch
        self._restricted: dict[frozenset[str], Table] = {}

    def hook(self, name: str) -> Hook:
        """The hook of a name."""
        return self.kind.hooks[name]

    def named(self, name: str) -> Plugin | None:
        """The plugin of a name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Plugin]:
        # Refused ones first, so that one of the same name that was accepted wins.
        ordered = sorted(self.plugins, key=lambda plugin: not plugin.refused)
        return {plugin.name: plugin for plugin in ordered if plugin.name is not None}

    def is_async(self, hook: str) -> bool:
        """The colour of a hook: the hookspec's word, or async if any plugin has a coroutine function for it."""
        declared = self.kind.hooks[hook].is_async
        if declared is not None:
            return declared
        return any(plugin.bindings[hook].is_async for plugin in self.plugins if hook in plugin.bindings)

    def colours(self, hook: str) -> tuple[list[str], list[str]]:
        """The plugins that have a coroutine function for a hook, and those that have a plain one."""
        found: tuple[list[str], list[str]] = [], []
        for plugin in self.plugins:
            if hook in plugin.bindings and plugin.link is None:  # one elsewhere follows the hook
                found[not plugin.bindings[hook].is_async].append(str(plugin.name))
        return found

    def implementation(self, plugin: Plugin, hook: str) -> Implementation:
        """What is called of a usable plugin; through pluggy, while somebody monitors the kind.

        Raises:
            PluginUnavailable: if it doesn't have the hook.
        """
        made = self._made(plugin, hook)
        return watched(self.manager, made) if self._watchers else made

    def _made(self, plugin: Plugin, hook: str) -> Implementation:
        made: Implementation | None = plugin.implementations.get(hook)
        if made is None or made.middleware is not self.middleware:
            binding = plugin.bindings.get(hook)
            if binding is None:
                raise PluginUnavailable(
                    f"plugin {plugin.name!r} of kind {self.kind.name!r} does not implement hook {hook!r}; "
                    f"it implements: {', '.join(plugin.bindings) or 'none'}",
                    reasons={str(plugin.name): f"has no {hook!r}"},
                    kind=self.kind.name,
                    plugin=plugin.name,
                    hook=hook,
                )
            made = implementation(plugin, binding, self.compiled.codecs[hook], self.home)
            made = plugin.implementations[hook] = wrapped(made, self.middleware, self.home)
        return made

    def implementations(self, hook: str) -> tuple[Implementation, ...]:
        """Everyone who has the hook, in order."""
        return tuple(self.implementation(plugin, hook) for plugin in self.usable if hook in plugin.bindings)

    def restricted(self, require: frozenset[str]) -> Table:
        """The same with only those plugins that declare all of ``require`` in ``capabilities``."""
        if not require:
            return self
        made = self._restricted.get(require)
        if made is None:
            made = Table(
                self.compiled,
                self._everyone,
                self.chosen,
                self.home,
                self._absence,
                policy=self.policy,
                middleware=self.middleware,
                watchers=self._watchers,
                watch=self._watch,
                require=require,
                traffic=self.traffic,
            )
            self._restricted[require] = made
        return made

    def nobody(self, hook: str) -> KindUnknown | PluginUnavailable:
        """The error for a call that nobody can take."""
        kind = self.kind.name
        if not self.has_plugins:
            return KindUnknown(f"kind {kind!r} has no plugin: {self._absence()}", kind=kind, hook=hook)
        return self.unavailable(f"no plugin of kind {kind!r} can take the call to {hook!r}", hook)

    def unavailable(self, message: str, hook: str | None = None, plugin: str | None = None) -> PluginUnavailable:
        """An error that lists each plugin of the kind with its reason."""
        reasons = dict(sorted(self._reasons().items(), key=lambda item: item[0] != plugin))  # the one in question first
        told = "".join(f"\n  - {name}: {reason}" for name, reason in reasons.items()) or "\n  - there are none"
        return PluginUnavailable(message + ":" + told, reasons=reasons, kind=self.kind.name, hook=hook, plugin=plugin)

    def _reasons(self) -> dict[str, str]:
        return {str(one.name or one.location): self._reason(one) for one in self._everyone}

    def _reason(self, plugin: Plugin) -> str:
        if not _has(plugin, self._require):
            return f"lacks one of the required capabilities: {', '.join(sorted(self._require))}"
        return "ready" if plugin.usable else plugin.why_not

    def knows(self, name: str) -> bool:
        """Whether any plugin of the kind has that name, left out or not."""
        return any(plugin.name == name for plugin in self._everyone)

    def unknown_plugin(self, name: str, said_by: str = "") -> PluginUnavailable:
        """The error for a name that no plugin of the kind has."""
        names = [str(plugin.name) for plugin in self._everyone if plugin.name]
        accepted = [str(plugin.name) for plugin in self._everyone if not plugin.refused]
        kind = self.kind.name
        refused = sorted(set(names) - set(accepted))
        told = f"; refused, see registry.status(): {', '.join(refused)}" if refused else ""
        return PluginUnavailable(
            f"kind {kind!r} has no plugin {name!r}{said_by}{nearest(name, names)}; "
            f"it has: {', '.join(accepted) or 'none'}{told}",
            reasons=self._reasons(),
            kind=kind,
            plugin=name,
        )

    @cached_property
    def manager(self) -> pluggy.PluginManager:
        """The kind's plugins in pluggy: the same implementations, results boxed in one-tuples.

        pluggy drops ``None`` and goes on to the next plugin after it; a boxed ``None`` is a result. Its calls, made as
        ``manager.hook.<name>(payload=…, call=…)``, give the implementations' answers in our order.
        """
        manager = KindManager(self._watchers, self._watch)
        manager.add_hookspecs(self.compiled.specification)
        # pluggy calls the last registered first.
        for plugin in reversed(self.usable):
            made = {hook: (self._made(plugin, hook), self.is_async(hook)) for hook in plugin.bindings}
            manager.register(Adapter(plugin, made), name=str(plugin.name))
        return manager
