"""Calls under way, counted by the plugins that they may still reach: nobody is torn down under a call.

A call enters a lane, then looks whether the traffic was closed meanwhile; who changes plugins closes the traffic, then
counts. Whichever comes first, a call was counted or knows that it must look at the new table: none is lost between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from dagstack_plugins.plugin import Plugin

Lane = deque[None]
"""One entry for each call under way: a deque takes and gives them at once, in any thread."""


class Traffic:
    """The calls that were compiled from one table.

    Attributes:
        closed: whether there is a newer table; who finds that on entering leaves, and takes that one.
    """

    __slots__ = ("_lanes", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._lanes: dict[frozenset[Plugin], Lane] = {}

    def open(self, plugins: Iterable[Plugin]) -> Lane:
        """The lane of calls that may reach all of ``plugins``; the same for the same ones."""
        return self._lanes.setdefault(frozenset(plugins), deque())

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return any(tuple(self._lanes.values()))

    def reaching(self, plugin: Plugin) -> int:
        """How many calls may still reach a plugin."""
        # Copied at once: calls open lanes in other threads.
        return sum(len(lane) for plugins, lane in tuple(self._lanes.items()) if lane and plugin in plugins)


class Moved(Exception):
    """Plugins changed after a call had entered; it is made again.

    Args:
        payload: the payload, which the caller's arguments were made into.
    """

    def __init__(self, payload: Any) -> None:
        super().__init__()
        self.payload = payload
