"""The resource ``clock``: the system's time, and one that stands still for tests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from dagstack_plugins.wording import shown


class SystemClock:
    """The system's own time.

    .. versionadded:: 0.1
    """

    def now(self) -> datetime:
        """The current time, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """The system's monotonic counter, in nanoseconds."""
        return time.monotonic_ns()

    def __repr__(self) -> str:
        return "SystemClock()"


class FrozenClock:
    """A clock that stands still until it is told to move.

    Examples:
        >>> from datetime import UTC, datetime
        >>> clock = FrozenClock(now=datetime(2024, 2, 29, tzinfo=UTC))
        >>> clock.advance(seconds=1.5)
        >>> clock.now().isoformat(), clock.monotonic_ns()
        ('2024-02-29T00:00:01.500000+00:00', 1500000000)

    Args:
        now: where it stands, aware; told in UTC, whatever zone it came in.

    Raises:
        TypeError: ``now`` is no ``datetime``.
        ValueError: ``now`` has no time zone.

    .. versionadded:: 0.1
    """

    def __init__(self, now: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> None:
        if not isinstance(now, datetime):
            raise TypeError(f"FrozenClock needs a datetime, got {type(now).__name__}: {shown(now)}")
        if now.utcoffset() is None:
            aware = now.replace(tzinfo=UTC)
            raise ValueError(f"FrozenClock needs a time with a zone, got {now!r}: write FrozenClock(now={aware!r})")
        # Adding seconds to a local time would go wrong where daylight saving starts or ends.
        self._start = now.astimezone(UTC)
        self._elapsed_ns = 0  # the only thing that moves, so both readings always agree
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time at which the clock stands, aware and in UTC."""
        return self._at(self._elapsed_ns)

    def monotonic_ns(self) -> int:
        """Nanoseconds by which the clock was moved since it was made."""
        return self._elapsed_ns

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: how far, to the nanosecond; not negative.

        Raises:
            TypeError: ``seconds`` is no number.
            ValueError: ``seconds`` is negative or not finite.
            OverflowError: the time would pass the year 9999; the clock stays where it is.
        """
        if not isinstance(seconds, int | float):
            raise TypeError(f"advance() takes seconds as a number, got {type(seconds).__name__}: {shown(seconds)}")
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"a clock only goes forward: advance(seconds={seconds!r}) wants a finite number >= 0")
        with self._lock:
            elapsed_ns = self._elapsed_ns + round(seconds * 1_000_000_000)
            self._at(elapsed_ns)
            self._elapsed_ns = elapsed_ns

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy stands where this one does, and is moved by itself from then on.
        return FrozenClock, (self._start,), self._elapsed_ns

    def __setstate__(self, elapsed_ns: int) -> None:
        self._elapsed_ns = elapsed_ns

    def _at(self, elapsed_ns: int) -> datetime:
        return self._start + timedelta(microseconds=elapsed_ns // 1000)

    def __repr__(self) -> str:
        return f"FrozenClock(now={self.now()!r})"
