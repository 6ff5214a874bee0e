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
        self._lanes: list[tuple[Lane, frozenset[Plugin]]] = []

    def open(self, plugins: Iterable[Plugin]) -> Lane:
        """A lane for calls that may reach all of ``plugins``."""
        lane: Lane = deque()
        self._lanes.append((lane, frozenset(plugins)))
        return lane

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return any(lane for lane, _ in self._lanes)

    def reaching(self, plugin: Plugin) -> int:
        """How many calls may still reach a plugin."""
        return sum(len(lane) for lane, plugins in self._lanes if lane and plugin in plugins)


class Moved(Exception):
    """Plugins changed after a call had entered; it is made again.

    Args:
        payload: the payload, which the caller's arguments were made into.
    """

    def __init__(self, payload: Any) -> None:
        super().__init__()
        self.payload = payload
