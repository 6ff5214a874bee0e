"""Nodes that are units of work: a graph whose steps are done by whoever works on units, here or elsewhere."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dagstack_plugins.dag.tasks import Task
from dagstack_plugins.errors import PluginRegistryError

if TYPE_CHECKING:
    from dagstack_plugins.registry import PluginRegistry
    from dagstack_plugins.submission import Submitted, Units


def unit_task(
    registry: PluginRegistry,
    kind: str,
    plugin_name: str,
    hook: str,
    *,
    payload: Mapping[str, Any] | Callable[..., Mapping[str, Any]] | None = None,
    idempotency_key: str | None = None,
    partition_key: str | None = None,
    priority: int | None = None,
) -> Task:
    """A task that hands a call of a hook to the orchestrator, and waits for it; its result is the node's value.

    While it waits it holds up no worker of the executor. A node that is cancelled, or takes too long, cancels its unit.

    Examples:
        >>> from dagstack_plugins import PluginRegistry
        >>> task = unit_task(PluginRegistry(), "tool", "importer", "execute", payload=lambda day: {"day": day})

    Args:
        registry: where the plugin and the orchestrator are; they are started when the task runs.
        kind: the plugin's kind.
        plugin_name: its name.
        hook: the hook.
        payload: what the hook gets; or a function that makes it of the results of nodes, by its parameters' names.
        idempotency_key: units of one key are one, so that a graph that is run again takes what was done before.
        partition_key: units of one partition run one after the other.
        priority: higher ones are taken first.

    Raises:
        KindUnknown: if the kind has no hookspec.
        HookUnknown: if the kind has no such hook.
    """
    getattr(registry.kind(kind), hook)
    make = payload if callable(payload) else None
    given = {"idempotency_key": idempotency_key, "partition_key": partition_key, "priority": priority}

    async def task(**results: Any) -> Any:
        args = make(**results) if make is not None else payload or {}
        handed = _Handed(registry.units)
        try:
            unit = await asyncio.to_thread(handed.hand_in, kind, plugin_name, hook, args, **given)
            return await registry.units.finished(unit.unit_id)
        except asyncio.CancelledError:
            handed.call_off()
            raise

    task.__name__ = f"{kind}.{hook}"
    task.__signature__ = inspect.signature(make) if make is not None else inspect.Signature()  # type: ignore[attr-defined]
    return task


class _Handed:
    """A unit that is handed in, by a thread, for a node that may be cancelled at any moment.

    Args:
        units: where to.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._lock = threading.Lock()
        self._unit: Submitted | None = None
        self._is_off = False

    def hand_in(self, *args: Any, **given: Any) -> Submitted:
        """Hand it in."""
        unit = self._units.submit(*args, **given)
        with self._lock:
            self._unit = unit
            is_off = self._is_off
        if is_off:
            self._cancel()
        return unit

    def call_off(self) -> None:
        """Nobody waits for it any more; it may be on its way."""
        with self._lock:
            self._is_off = True
            is_known = self._unit is not None
        if is_known:
            # Not awaited: the loop of a run that ends has no time for that.
            threading.Thread(target=self._cancel, name="dagstack-plugins-cancel").start()

    def _cancel(self) -> None:
        if self._unit is not None and not self._unit.deduplicated:  # else somebody else waits for it
            with suppress(PluginRegistryError):
                self._units.cancel(self._unit.unit_id)
