"""``DagPlugin``, and the ``PluginManager`` that starts and stops plugins which listen to graphs."""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final, TypeVar

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.hooks import Callback, HookRegistry
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.wording import place_of, raised, shown

_GROUPS: Final = ("dagstack.dag_plugins", "dagron.plugins")
"""Groups of entry points; the second is that of those who wrote plugins before."""

P = TypeVar("P", bound="type[DagPlugin]")


class DagPlugin(ABC):
    """A plugin that listens to graphs being built and run.

    Examples:
        >>> class Counting(DagPlugin):
        ...     name = "counting"
        ...     def initialize(self, hooks):
        ...         self.nodes = 0
        ...         hooks.register("pre_node", self.count)
        ...     def count(self, ctx):
        ...         self.nodes += 1
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name, unique in its manager; an attribute of the class will do."""

    @abstractmethod
    def initialize(self, hooks: HookRegistry) -> None:
        """Begin: register callbacks.

        Args:
            hooks: where to; what was registered there is taken back after ``teardown``.
        """

    def teardown(self) -> None:  # noqa: B027 - most have nothing to do
        """End: close what is open."""


class PluginManager:
    """Registers, starts and stops plugins that share a ``HookRegistry``.

    What one of them does wrong is a ``RuntimeWarning``, and the others go on.

    Args:
        hooks: what they listen to; left out, one of their own.
    """

    def __init__(self, hooks: HookRegistry | None = None) -> None:
        self._hooks = HookRegistry() if hooks is None else hooks
        self._plugins: dict[str, DagPlugin] = {}
        self._started: dict[str, _Remembered] = {}
        self._lock = threading.RLock()  # executors start the default one, in any thread

    @property
    def hooks(self) -> HookRegistry:
        """What the plugins listen to."""
        return self._hooks

    @property
    def plugins(self) -> list[str]:
        """The names of the plugins, in the order in which they were registered."""
        return list(self._plugins)

    def register(self, plugin: DagPlugin) -> None:
        """Add a plugin, which ``initialize_all`` starts. One of the same name is stopped and replaced, with a warning.

        Raises:
            TypeError: if it is no ``DagPlugin``, or a class of them.
        """
        if isinstance(plugin, type):
            raise TypeError(f"register takes a plugin, not its class: write register({plugin.__name__}())")
        if not isinstance(plugin, DagPlugin):
            raise TypeError(f"a plugin is a DagPlugin, found {shown(plugin)}")
        with self._lock:
            if plugin.name in self._plugins:
                warnings.warn(f"plugin {plugin.name!r} is registered again, and replaced", RuntimeWarning, stacklevel=2)
                self._stop(plugin.name)
            self._plugins[plugin.name] = plugin

    def discover(self) -> list[str]:
        """Register the plugins of installed distributions; one that can't be loaded is a warning.

        They are entry points of the group ``dagstack.dag_plugins`` (or ``dagron.plugins``), each naming a class.

        Returns:
            The names of those that were registered.
        """
        found = []
        for group in _GROUPS:
            for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
                try:
                    plugin = entry.load()()
                    self.register(plugin)
                    found.append(plugin.name)
                except BaseException as error:
                    _warn(f"entry point {entry.name} = {entry.value} cannot be loaded", error)
        return found

    def initialize_all(self) -> None:
        """Start the plugins that are not started yet; one that fails is a warning."""
        with self._lock:
            for name, plugin in self._plugins.items():
                if name not in self._started:
                    self._start(name, plugin)

    def _start(self, name: str, plugin: DagPlugin) -> None:
        hooks = _Remembered(self._hooks)
        try:
            plugin.initialize(hooks)
        except BaseException as error:
            hooks.take_back()
            _warn(f"plugin {name!r} cannot be started", error)
        else:
            self._started[name] = hooks

    def teardown_all(self) -> None:
        """Stop the plugins that were started, the last one first; one that fails is a warning."""
        with self._lock:
            for name in reversed(list(self._started)):
                self._stop(name)

    def _stop(self, name: str) -> None:
        hooks = self._started.pop(name, None)
        if hooks is None:
            return
        try:
            self._plugins[name].teardown()
        except BaseException as error:
            _warn(f"plugin {name!r} failed in teardown", error)
        finally:
            hooks.take_back()


class _Remembered(HookRegistry):
    """The same hooks, for one plugin: what it registered is known, and can be taken back."""

    def __init__(self, hooks: HookRegistry) -> None:
        self._hooks = hooks
        self._taken: dict[Callable[[], None], None] = {}

    def register(self, event: HookEvent, callback: Callback, priority: int = 0) -> Callable[[], None]:
        unregister = self._hooks.register(event, callback, priority)
        self._taken[unregister] = None

        def forget() -> None:
            self._taken.pop(unregister, None)
            unregister()

        return forget

    def fire(self, context: HookContext) -> None:
        self._hooks.fire(context)

    def heard(self, event: HookEvent) -> bool:
        return self._hooks.heard(event)

    def clear(self, event: HookEvent | None = None) -> None:
        self._hooks.clear(event)

    def hook_count(self, event: HookEvent | None = None) -> int:
        return self._hooks.hook_count(event)

    def take_back(self) -> None:
        for unregister in self._taken:
            unregister()
        self._taken.clear()


def _warn(told: str, error: BaseException) -> None:
    if is_interrupt(error):
        raise error
    warnings.warn(f"{told}: {raised(error)}{place_of(error)}", RuntimeWarning, stacklevel=3)


_default = PluginManager()


def default_manager() -> PluginManager:
    """The manager of plugins that were declared by ``dag_plugin``; executors that are given no hooks use it."""
    return _default


def dag_plugin(cls: P) -> P:
    """Register an instance of a class with the default manager.

    Args:
        cls: a class of plugins that is made without arguments.
    """
    default_manager().register(cls())
    return cls


def default_hooks() -> HookRegistry | None:
    """What the default manager's plugins listen to, all of them started; ``None`` if it has none."""
    manager = default_manager()
    if not manager.plugins:
        return None
    manager.initialize_all()
    return manager.hooks
