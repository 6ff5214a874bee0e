"""Hooks that one plugin answers, chosen by the payload: a call holds that one, and none of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol

from dagstack_plugins.dispatch.base import Answer
from dagstack_plugins.dispatch.traffic import Lane, Moved, Traffic
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.plugin import Plugin


class Chosen(Protocol):
    """What was chosen: an ``Implementation``, or an ``Answer``."""

    @property
    def block(self) -> Callable[[Any], Any]:
        """Payload to result, blocking."""

    @property
    def wait(self) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        """Payload to a coroutine that gives the result."""

    @property
    def plugins(self) -> Collection[Plugin]:
        """Whose code it runs."""


def one_of(
    choose: Callable[[Any], Chosen], traffic: Traffic, plugins: Collection[Plugin], asked: Collection[Plugin] = ()
) -> Answer:
    """What answers a hook whose plugin is chosen at each call.

    Args:
        choose: gives a payload's; the same object for the same choice.
        traffic: the calls of the table that it chooses from.
        plugins: all that could be chosen.
        asked: those whose own code takes part in the choice.
    """
    held = _Held(choose, traffic, asked)

    def block(payload: Any) -> Any:
        return choose(payload).block(payload)

    async def wait(payload: Any) -> Any:
        return await choose(payload).wait(payload)

    return Answer(block, wait, plugins, (held.block, held.wait))


class _Held:
    """Calls that hold what they choose, and, while they choose, those that are asked."""

    def __init__(self, choose: Callable[[Any], Chosen], traffic: Traffic, asked: Collection[Plugin]) -> None:
        self._choose = choose
        self._traffic = traffic
        self._choosing = traffic.open(asked)
        self._lanes: dict[Chosen, Lane] = {}

    def block(self, payload: Any) -> Any:
        chosen = self._chosen(payload)
        lane = self._lane(chosen)
        try:
            lane.append(None)
            if not self._traffic.closed:
                return chosen.block(payload)
        finally:
            lane.pop()
        raise Moved(payload)

    async def wait(self, payload: Any) -> Any:
        chosen = self._chosen(payload)
        lane = self._lane(chosen)
        try:
            lane.append(None)
            if not self._traffic.closed:
                return await chosen.wait(payload)
        finally:
            lane.pop()
        raise Moved(payload)

    def _chosen(self, payload: Any) -> Chosen:
        try:
            self._choosing.append(None)
            if not self._traffic.closed:
                return self._choose(payload)
        except PluginRegistryError:
            if not self._traffic.closed:  # else it may be about a plugin that went just now
                raise
        finally:
            self._choosing.pop()
        raise Moved(payload)

    def _lane(self, chosen: Chosen) -> Lane:
        lane = self._lanes.get(chosen)
        return self._lanes.setdefault(chosen, self._traffic.open(chosen.plugins)) if lane is None else lane
