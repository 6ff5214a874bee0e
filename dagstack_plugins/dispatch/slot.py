"""The place of one kind in a registry: its plugins come and go here, and its table is made anew when they did."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from dagstack_plugins.dispatch.engine import Watcher
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.dispatch.traffic import Traffic
from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.hookspec_class import HookSpec
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.home import HomeLoop

if TYPE_CHECKING:
    from dagstack_plugins.dispatch.routing import RoutingPolicy


class Unset(Enum):
    """The one value that says "not given" where ``None`` means something."""

    TOKEN = 0


UNSET: Final = Unset.TOKEN


class Linked(Protocol):
    """Something that is compiled from a table, and again when that changed."""

    def link(self, table: Table) -> None:
        """Take what is needed of ``table``."""

    def unlink(self) -> None:
        """Ask again before the next call."""


class Held(Linked, Protocol):
    """One that calls plugins."""

    def hold(self) -> Any:
        """Enter for one call."""


class Slot:
    """One kind of a registry.

    A call reads what its dispatcher compiled from the last table. A change only unlinks the dispatchers, so that a
    thousand changes cost one table, made by the first call after them.

    Args:
        compiled: the kind.
        home: the loop that plugins live on.
        nowhere: tells where plugins were looked for in vain, for messages.
        middleware: tells what goes round calls, outermost first; the same tuple until that changes.
        on_change: is told when a table is out of date.
        others: the slots of the kind's other majors.

    Attributes:
        address: the kind's name and major version.
        policy: chooses the active plugin at each call, if the host set one.
    """

    def __init__(
        self,
        compiled: CompiledKind,
        home: HomeLoop,
        nowhere: Callable[[], str],
        middleware: Callable[[], tuple[Plugin, ...]] = lambda: (),
        on_change: Callable[[], None] = lambda: None,
        others: Callable[[], Sequence[Slot]] = lambda: (),
    ) -> None:
        self.compiled = compiled
        self.address = compiled.kind.address
        self._plugins: dict[Plugin, None] = {}
        self.policy: RoutingPolicy | None = None
        self._watchers: list[Watcher] = []
        self._set_active: str | None = None
        self._environment: str | None = None
        self._home = home
        self._nowhere = nowhere
        self._middleware = middleware
        self._on_change = on_change
        self._others = others
        self._accepted: dict[str, Plugin] = {}
        self._lock = threading.RLock()
        self._table: Table | None = None
        self._traffic: list[Traffic] = []
        self._linked: weakref.WeakSet[Linked] = weakref.WeakSet()

    def check_same(self, given: type[HookSpec[Any, Any]]) -> None:
        """Refuse a class that declares another contract than the one that is known here.

        Raises:
            HookspecInvalid: if it does.
        """
        known = self.compiled.kind
        if not given.kind.same_as(known):
            raise HookspecInvalid(
                f"{given.__module__}.{given.__qualname__} declares kind {known.name!r} {given.kind.version} otherwise "
                f"than {known.file or 'the class that was added'}, which is known as {known.version}; emit it again",
                kind=known.name,
            )

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The kind's plugins as they are now, refused ones included."""
        return tuple(self._plugins)

    @property
    def variable(self) -> str:
        """The environment variable that names the active plugin."""
        return f"DAGSTACK_ACTIVE_{self.compiled.kind.name.upper()}"

    @property
    def chosen(self) -> tuple[str, str] | None:
        """The active plugin that the host chose, and how it did."""
        said, environment = self._set_active, self._environment  # once each, as other threads change them
        if said is not None:
            return said, "set_active"
        return (environment, self.variable) if environment else None

    def choose(self, *, set_active: str | Unset | None = UNSET, environment: str | Unset | None = UNSET) -> None:
        """Note what the host chose; ``None`` takes a choice back."""
        with self._lock:
            before = self.chosen
            if not isinstance(set_active, Unset):
                self._set_active = set_active
            if not isinstance(environment, Unset):
                self._environment = environment
            different = self.chosen != before
        if different:
            self.changed()

    def route(self, policy: RoutingPolicy | None) -> None:
        """Let a policy choose the active plugin at each call; ``None`` takes it back."""
        self.policy = policy
        self.changed()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Let somebody watch every call, through pluggy; the function returned ends it."""
        with self._lock:
            self._watchers.append(watcher)
        self.changed()

        def let_go() -> None:
            with self._lock:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)
            self.changed()

        return let_go

    def has(self, name: str | None) -> bool:
        """Whether a plugin of that name is there, a refused one included."""
        return any(plugin.name == name for plugin in self.plugins)

    def read_environment(self) -> None:
        """Look whether the environment names the active plugin; done now and then, never in a call.

        A name that another major of the kind has a plugin of is meant for that one.
        """
        name = os.environ.get(self.variable) or None
        others = [slot for slot in self._others() if slot.has(name)]
        self.choose(environment=name if self.has(name) or not others else None)

    def check_choice(self) -> None:
        """Check that the plugin that the host chose exists.

        Raises:
            PluginUnavailable: if the kind has plugins, but none of that name.
        """
        # Under the lock: who takes a choice back, and then the plugin away, must not be seen half way.
        with self._lock:
            table, chosen = self.table(), self.chosen
        if chosen is not None and table.plugins and table.named(chosen[0]) is None:
            raise table.unknown_plugin(chosen[0], f", which {chosen[1]} names")

    def accepted(self, name: str) -> Plugin | None:
        """The plugin of a name, if it was not refused."""
        return self._accepted.get(name)

    def table(self) -> Table:
        """The table of now."""
        with self._lock:
            if self._table is None:
                self._table = Table(
                    self.compiled,
                    self.plugins,
                    self.chosen,
                    self._home,
                    self._absence,
                    policy=self.policy,
                    middleware=self._middleware(),
                    watchers=tuple(self._watchers),
                    watch=self.watch,
                )
            return self._table

    def _absence(self) -> str:
        """Why there is no plugin, as far as one can tell."""
        if others := [slot.address for slot in self._others() if slot.plugins]:
            return f"those of this kind were made for {', '.join(others)}; name that in place of the kind"
        return self._nowhere()

    def changed(self) -> None:
        """Something that a table shows is different now."""
        with self._lock:
            if self._table is not None:
                self._table.traffic.closed = True
                self._traffic = [traffic for traffic in (*self._traffic, self._table.traffic) if traffic.busy]
                self._table = None
            for dispatcher in self._linked:
                dispatcher.unlink()
            self._linked.clear()
        # Without the lock: other slots look into this one while they hold theirs.
        self._on_change()

    def link(self, dispatcher: Linked) -> None:
        """Let a dispatcher compile itself from the table of now, and be told when that changes."""
        # Under the lock, so that no change comes between the table and the link.
        with self._lock:
            dispatcher.link(self.table())
            self._linked.add(dispatcher)

    def hold(self, dispatcher: Held) -> Any:
        """Link a dispatcher, and enter for one call, at once."""
        with self._lock:
            self.link(dispatcher)
            return dispatcher.hold()

    def in_flight(self, plugin: Plugin) -> int:
        """How many calls of this kind may still reach a plugin."""
        with self._lock:
            now = () if self._table is None else (self._table.traffic,)
            return sum(traffic.reaching(plugin) for traffic in (*self._traffic, *now))

    def add(self, plugin: Plugin) -> None:
        """A plugin of this kind, or a refused one."""
        with self._lock:
            self._plugins[plugin] = None
            if not plugin.refused and plugin.name is not None:
                self._accepted[plugin.name] = plugin
        self.changed()

    def remove(self, plugin: Plugin) -> None:
        """Forget a plugin."""
        with self._lock:
            self._plugins.pop(plugin, None)
            if plugin.name is not None and self._accepted.get(plugin.name) is plugin:
                del self._accepted[plugin.name]
        self.changed()
