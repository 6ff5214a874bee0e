"""The kind in pluggy: its plugins as pluggy registers them, and calls that go through pluggy while somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pluggy

from dagstack_plugins.calls import Call
from dagstack_plugins.dispatch.implementation import Implementation
from dagstack_plugins.kinds.compile import PROJECT, hookimpl
from dagstack_plugins.plugin import Plugin

Watcher = tuple[Callable[..., None], Callable[..., None]]
"""What ``add_hookcall_monitoring`` was given: told before, and after a call."""
Watch = Callable[[Watcher], Callable[[], None]]
"""Takes a watcher, and gives back what lets it go."""


class KindManager(pluggy.PluginManager):
    """The plugins of a kind at one moment.

    While it is monitored or traced, so are all later managers of the kind, and every call of it goes through pluggy.

    Args:
        watchers: those there are already.
        watch: tells the kind of another.
    """

    def __init__(self, watchers: Iterable[Watcher], watch: Watch) -> None:
        super().__init__(PROJECT)
        self._watch = watch
        for before, after in watchers:
            super().add_hookcall_monitoring(before, after)

    def add_hookcall_monitoring(self, before: Any, after: Any) -> Callable[[], None]:
        """Tell ``before`` and ``after`` of every call of the kind's hooks; the function returned ends it."""
        undo_here = super().add_hookcall_monitoring(before, after)
        let_go = self._watch((before, after))

        def undo() -> None:
            undo_here()
            let_go()

        return undo

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Ask an adapter for its hooks, where pluggy would look at every attribute of a plugin."""
        return super().parse_hookimpl_opts(plugin, name) if not isinstance(plugin, Adapter) else plugin.options(name)


class Adapter:
    """What pluggy sees of one plugin: a function ``(payload, call)`` for each hook.

    Args:
        plugin: the plugin.
        made: its implementations, by hook, and whether the hook is async.
    """

    def __init__(self, plugin: Plugin, made: Mapping[str, tuple[Implementation, bool]]) -> None:
        self.plugin = plugin
        for hook, (implementation, is_async) in made.items():
            setattr(self, hook, _boxed(implementation, is_async=is_async))

    def options(self, name: str) -> Any:
        """What ``hookimpl`` left on the function of that name."""
        return getattr(getattr(self, name), f"{PROJECT}_impl", None)

    def __dir__(self) -> list[str]:
        return list(self.plugin.bindings)

    def __repr__(self) -> str:
        return f"<plugin {self.plugin.label}>"


def _boxed(made: Implementation, *, is_async: bool) -> Any:
    @hookimpl
    def call_boxed(payload: Any, call: Any) -> tuple[Any]:
        waits = call.waits if isinstance(call, _WatchedCall) else is_async
        return ((made.wait if waits else made.block)(payload),)

    return call_boxed


class _WatchedCall(Call):
    """A call of a dispatcher's: in which colour it is made."""

    __slots__ = ("waits",)

    def __init__(self, kind: str, hook: str, *, waits: bool) -> None:
        super().__init__(kind, hook)
        self.waits = waits


def watched(manager: pluggy.PluginManager, made: Implementation) -> Implementation:
    """An implementation, called through pluggy's loop over it alone, so that monitors see it.

    Args:
        manager: the kind's plugins.
        made: the implementation.
    """
    kind, hook = made.codec.kind.name, made.codec.hook.name
    others = [other for other in manager.get_plugins() if getattr(other, "plugin", None) is not made.plugin]
    caller = manager.subset_hook_caller(hook, others)
    blocking, waiting = (_WatchedCall(kind, hook, waits=waits) for waits in (False, True))

    def block(payload: Any) -> Any:
        return _unboxed(caller(payload=payload, call=blocking))

    async def wait(payload: Any) -> Any:
        return await _unboxed(caller(payload=payload, call=waiting))

    return attrs.evolve(made, block=block, wait=wait)


def _unboxed(answer: Any) -> Any:
    """The one result; a hook that is no first-result one gives a list of boxes."""
    return answer[0][0] if isinstance(answer, list) else answer[0]
