"""``HookRegistry``: who hears of an event, and in which order."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import attrs

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.listeners import KIND, Listener, Watched
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.wording import nearest, place_of, raised, shown

if TYPE_CHECKING:
    from dagstack_plugins.registry import PluginRegistry

Callback = Callable[[HookContext], object]

_MIDDLE: Final = 1
"""The band of callbacks: between plugins that say ``tryfirst`` and those that say ``trylast``."""


class HookRegistry:
    """Callbacks for the events of graphs, and the plugins of kind ``dag_listener`` of a plugin registry.

    All of them hear an event in one order: of callbacks and plugins together, the higher priority first; of equal ones
    the callbacks, as they were registered, then the plugins, by name. A callback that fails is a ``RuntimeWarning``, a
    plugin that fails is logged; the others hear the event all the same.

    It may be used by several threads at once. Who is registered or goes while an event is fired hears, or still
    hears, from the next one on.

    Examples:
        >>> hooks = HookRegistry()
        >>> unregister = hooks.register(HookEvent.PRE_NODE, lambda ctx: print("begins:", ctx.node_name))
        >>> hooks.fire(HookContext(event=HookEvent.PRE_NODE, node_name="extract"))
        begins: extract
        >>> unregister()

    Args:
        registry: where plugins of kind ``dag_listener`` are; they hear once they were started.
    """

    __slots__ = ("_callbacks", "_changes", "_hearers", "_lock", "_registry", "_swap", "_watched")

    def __init__(self, registry: PluginRegistry | None = None) -> None:
        self._lock = threading.RLock()
        self._callbacks: dict[HookEvent, list[_Registered]] = {event: [] for event in HookEvent}
        self._registry = registry
        self._watched: dict[HookEvent, Watched] = {}
        if registry is not None:
            slot = registry.slot(KIND)
            self._watched = {event: Watched(slot, partial(self._stale, event)) for event in HookEvent}
        self._changes = dict.fromkeys(HookEvent, 0)
        self._swap = threading.Lock()
        self._hearers: dict[HookEvent, tuple[Callback, ...]] = {}
        for event in HookEvent:
            self._stale(event)

    def register(self, event: HookEvent, callback: Callback, priority: int = 0) -> Callable[[], None]:
        """Let a callback hear an event.

        Args:
            event: which.
            callback: called with a ``HookContext``, on the thread that fires the event; what it returns is dropped.
            priority: the higher ones are called first.

        Returns:
            What takes it back; calling that again does nothing.

        Raises:
            TypeError: if the callback can't be called.
            ValueError: if there is no such event.
        """
        event = _event(event)
        if not callable(callback):
            raise TypeError(f"a callback is a function of a HookContext, found {shown(callback)}")
        one = _Registered(callback, priority)
        with self._lock:
            self._callbacks[event].append(one)
            self._stale(event)

        def unregister() -> None:
            with self._lock:
                if one in self._callbacks[event]:
                    self._callbacks[event].remove(one)
                self._stale(event)

        return unregister

    def fire(self, context: HookContext) -> None:
        """Tell everyone who listens to the event of ``context``, one after the other."""
        if hearers := self._hearers[context.event]:
            _tell(hearers, context)

    def heard(self, event: HookEvent) -> bool:
        """Whether anyone listens to an event; where nobody does, who would fire it need not make a context."""
        hearers = self._hearers[event]
        if len(hearers) == 1 and type(hearers[0]) is _Stale:
            hearers = self._compiled(event)
        return bool(hearers)

    def clear(self, event: HookEvent | None = None) -> None:
        """Take back all callbacks of an event, or of all events; plugins go on hearing."""
        with self._lock:
            for one in HookEvent if event is None else (_event(event),):
                self._callbacks[one] = []
                self._stale(one)

    def hook_count(self, event: HookEvent | None = None) -> int:
        """How many callbacks are registered for an event, or for all events."""
        events = HookEvent if event is None else (_event(event),)
        return sum(len(self._callbacks[one]) for one in events)

    # Hearers are compiled when an event is fired for the first time after something changed.

    def _stale(self, event: HookEvent) -> None:
        with self._swap:  # not the other lock: plugins change under one of their own
            self._changes[event] += 1
            self._hearers[event] = (_Stale(self, event),)

    def _compiled(self, event: HookEvent) -> tuple[Callback, ...]:
        with self._lock:
            changes = self._changes[event]
            hearers = tuple(self._in_order(event))
            with self._swap:
                if self._changes[event] == changes:
                    self._hearers[event] = hearers
            return hearers

    def _in_order(self, event: HookEvent) -> Iterator[Callback]:
        ranked: list[tuple[tuple[int, ...], Callback]] = [
            ((_MIDDLE, -one.priority, 0, place), one.callback) for place, one in enumerate(self._callbacks[event])
        ]
        if self._registry is not None:
            for place, plugin in enumerate(self._watched[event].plugins(event)):
                assert plugin.manifest is not None  # as it was started
                band, priority, _ = plugin.manifest.sort_key
                ranked.append(((band, priority, 1, place), Listener(self._registry, event, plugin)))
        return (hear for _, hear in sorted(ranked, key=itemgetter(0)))


@attrs.frozen(eq=False)
class _Registered:
    callback: Callback
    priority: int


@attrs.frozen(eq=False)
class _Stale:
    """Stands for hearers that are not compiled yet."""

    hooks: HookRegistry
    event: HookEvent

    def __call__(self, context: HookContext) -> None:
        _tell(self.hooks._compiled(self.event), context)  # noqa: SLF001 - its own


def _event(event: Any) -> HookEvent:
    try:
        return HookEvent(event)
    except ValueError:
        names = [one.value for one in HookEvent]
        raise ValueError(
            f"there is no event {shown(event)}{nearest(str(event), names)}; the events: {', '.join(names)}"
        ) from None


def _tell(hearers: tuple[Callback, ...], context: HookContext) -> None:
    failures: list[tuple[BaseException, Callback]] = []
    for hear in hearers:
        try:
            hear(context)
        except BaseException as error:  # it stops neither the run nor others, unless it is a user who does
            if is_interrupt(error):
                raise
            failures.append((error, hear))
    for failure, hear in failures:  # at the end: where warnings are errors, the first one is raised
        _complain(failure, context, hear)


def _complain(error: BaseException, context: HookContext, hear: Callback) -> None:
    if isinstance(hear, Listener):
        hear.complain(error)
        return
    name = getattr(hear, "__qualname__", None) or shown(hear)
    warnings.warn(
        f"callback {name} failed in {context.event}: {raised(error)}{place_of(error)}", RuntimeWarning, stacklevel=4
    )
