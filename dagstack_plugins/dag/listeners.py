"""Plugins of kind ``dag_listener``, as hearers of an event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dispatch.base import Form
from dagstack_plugins.dispatch.singleton import PluginDispatcher
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.errors import PluginUnavailable
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import raised, said

if TYPE_CHECKING:
    from dagstack_plugins.registry import PluginRegistry

KIND: Final = "dag_listener"
_log: Final = logging.getLogger("dagstack_plugins")


class Watched:
    """The plugins of the kind, and a word when they change.

    Args:
        slot: the kind's.
        on_change: is called when ``plugins`` would give others.
    """

    def __init__(self, slot: Slot, on_change: Callable[[], None]) -> None:
        self._slot = slot
        self._on_change = on_change
        self._table: Table

    def plugins(self, event: HookEvent) -> list[Plugin]:
        """Those that hear an event now, in order."""
        self._slot.link(self)
        return [plugin for plugin in self._table.usable if event in plugin.bindings]

    def link(self, table: Table) -> None:
        """Take the table of now."""
        self._table = table

    def unlink(self) -> None:
        """There is another table."""
        self._on_change()


class Listener:
    """One plugin, called with the event as JSON.

    On the loop that plugins live on, a plugin is called as a task of its own, as that loop can't be held up.

    Args:
        registry: where it is.
        event: what it hears.
        plugin: the plugin.
    """

    def __init__(self, registry: PluginRegistry, event: HookEvent, plugin: Plugin) -> None:
        self.label = plugin.label
        self._plugin = plugin
        self._event = event
        name = str(plugin.name)
        self._block = PluginDispatcher(registry, KIND, event, plugin=name, form=Form.SYNC)
        self._wait = PluginDispatcher(registry, KIND, event, plugin=name, form=Form.AIO)
        self._home = registry.slot(KIND).table().home
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, context: HookContext) -> None:
        """Tell it."""
        payload = payload_of(context)
        loop = _running_loop()
        if loop is not None and loop is self._home.loop:
            task = loop.create_task(self._told(payload))
            self._tasks.add(task)  # the loop itself keeps no hold on it
            task.add_done_callback(self._tasks.discard)
            return
        try:
            self._block(payload)
        except PluginUnavailable:
            if self._plugin.usable:
                raise
            # It went just now, and hears no more.

    async def _told(self, payload: dict[str, Any]) -> None:
        try:
            await self._wait(payload)
        except Exception as error:
            if not isinstance(error, PluginUnavailable) or self._plugin.usable:
                self.complain(error)

    def complain(self, error: BaseException) -> None:
        """Log that it failed."""
        _log.error("plugin %s failed in %s: %s", self.label, self._event, raised(error), exc_info=error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def payload_of(context: HookContext) -> dict[str, Any]:
    """An event as plugins hear it; made once for all of them."""
    if context.payload is None:
        context.payload = dict(_fields(context))
    return context.payload


def _fields(context: HookContext) -> Iterator[tuple[str, Any]]:
    result = context.execution_result if context.event is HookEvent.POST_EXECUTE else context.node_result
    yield "run_id", context.run_id
    yield "event", str(context.event)
    yield "node", context.node_name
    yield "status", _text(getattr(result, "status", None))
    took = "total_duration_seconds" if context.event is HookEvent.POST_EXECUTE else "duration_seconds"
    yield "duration_seconds", _number(getattr(result, took, None))
    error = context.error or getattr(result, "error", None)
    yield "error", {"type": type(error).__name__, "message": said(error)} if error is not None else None
    if context.event in (HookEvent.PRE_EXECUTE, HookEvent.POST_EXECUTE) and context.dag is not None:
        yield "graph", context.dag.to_dict()


# Whoever fires an event says what a result is.
def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
