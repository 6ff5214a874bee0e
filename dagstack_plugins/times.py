"""How often something was called, how often it failed, and how long it took; for dashboards and for Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final

_BUCKETS: Final = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
"""Seconds up to which a call counts in a bucket of the histogram; the last one, for all, has no limit."""


class CallTimes:
    """The calls of one thing.

    Attributes:
        calls: how many there were, failures included.
        failures: how many raised, or were cancelled.
        seconds: how long they took together.
        slowest: how long the slowest took, in seconds.
    """

    __slots__ = ("_buckets", "_lock", "calls", "failures", "seconds", "slowest")

    def __init__(self) -> None:
        self.calls = self.failures = 0
        self.seconds = self.slowest = 0.0
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._lock = threading.Lock()

    def add(self, seconds: float, *, failed: bool) -> None:
        """Count one call."""
        with self._lock:
            self.calls += 1
            self.failures += failed
            self.seconds += seconds
            self.slowest = max(self.slowest, seconds)
            self._buckets[bisect_left(_BUCKETS, seconds)] += 1

    def as_dict(self) -> dict[str, float]:
        """The figures, of one moment."""
        with self._lock:
            return {
                "calls": self.calls,
                "failures": self.failures,
                "seconds": self.seconds,
                "slowest": self.slowest,
            }

    def histogram(self) -> tuple[Sequence[int], float]:
        """For each bucket, how many calls took no longer; and how long they took together."""
        with self._lock:
            counts, below = [], 0
            for count in self._buckets:
                below += count
                counts.append(below)
            return counts, self.seconds


class TimesTable:
    """The calls of many things, each named by several words.

    Args:
        metric: what the metrics' names begin with.
        what: whose calls they are, for people.
        labels: what each of the words is called.
    """

    def __init__(self, metric: str, what: str, *labels: str) -> None:
        self._metric = metric
        self._what = what
        self._labels = labels
        self._times: dict[tuple[str, ...], CallTimes] = {}

    def at(self, *words: str) -> CallTimes:
        """The calls of one thing."""
        times = self._times.get(words)
        return self._times.setdefault(words, CallTimes()) if times is None else times

    def clear(self) -> None:
        """Begin anew."""
        self._times.clear()

    def as_dict(self) -> dict[str, Any]:
        """The figures, word within word."""
        found: dict[str, Any] = {}
        for words, times in sorted(self._times.items()):
            place = found
            for word in words:
                place = place.setdefault(word, {})
            place |= times.as_dict()
        return found

    def prometheus(self) -> str:
        """The figures in Prometheus' text format (exposition format 0.0.4)."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        times = sorted(self._times.items())
        yield f"# HELP {self._metric}_failures_total Calls of {self._what} that failed."
        yield f"# TYPE {self._metric}_failures_total counter"
        for words, one in times:
            yield f"{self._metric}_failures_total{self._labelled(words)} {one.as_dict()['failures']}"
        yield f"# HELP {self._metric}_call_duration_seconds How long calls of {self._what} took."
        yield f"# TYPE {self._metric}_call_duration_seconds histogram"
        for words, one in times:
            counts, seconds = one.histogram()
            for limit, count in zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True):
                yield f"{self._metric}_call_duration_seconds_bucket{self._labelled(words, le=limit)} {count}"
            yield f"{self._metric}_call_duration_seconds_sum{self._labelled(words)} {seconds}"
            yield f"{self._metric}_call_duration_seconds_count{self._labelled(words)} {counts[-1]}"

    def _labelled(self, words: Sequence[str], **more: str) -> str:
        labels = dict(zip(self._labels, words, strict=True)) | more
        return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
