"""How long others have said nothing, in time in which we would have heard it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

_INTERVAL: Final = 1.0
"""Seconds between two looks, unless something hinders us."""


class Silence:
    """Listens to others, at intervals, by a clock that nobody can set.

    Who was stopped for a while, or could not read what others wrote, has no right to judge them by that while: they may
    have been hindered as well. So each interval counts for as long as it should take, at most.

    Examples:
        >>> moments = iter([0.0, 0.5, 1.0, 100.0])
        >>> silence = Silence(lambda: next(moments))
        >>> silence.heard({"a": 1}), silence.heard({"a": 1, "b": 1}), silence.heard({"a": 2, "b": 1})
        ({'a': 0.0}, {'a': 0.5, 'b': 0.0}, {'a': 0.0, 'b': 0.5})
        >>> silence.heard({"b": 1})
        {'b': 1.5}

    Args:
        clock: seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked: float | None = None
        self._known: dict[str, tuple[int, float]] = {}

    def heard(self, counts: Mapping[str, int], interval: float = _INTERVAL) -> dict[str, float]:
        """Look once more.

        Args:
            counts: for each that there is, what changes as long as it is heard.
            interval: seconds since the last look, as far as they count.

        Returns:
            For each, the seconds of its silence.
        """
        now = self._clock()
        passed = 0.0 if self._looked is None else min(interval, now - self._looked)
        self._looked = now
        self._known = {
            name: (count, self._known[name][1] + passed)
            if name in self._known and self._known[name][0] == count
            else (count, 0.0)
            for name, count in counts.items()
        }
        return {name: silent for name, (_, silent) in self._known.items()}
