"""``TimingMiddleware``: counts and times the calls of every plugin."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from dagstack_plugins.middleware.open_calls import OpenCalls

_BUCKETS: Final = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
"""Seconds up to which a call counts in a bucket of the histogram; the last one, for all, has no limit."""


class CallTimes:
    """The calls of one hook of one plugin.

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


class TimingMiddleware:
    """Counts and times the calls of every plugin; registered like any other, with the manifest that it brings.

    It goes round all other middleware, so that calls are told as callers see them: what another one refuses is a
    failure of the call, and the time that the others take counts.

    Example:
        >>> from dagstack_plugins import PluginRegistry
        >>> class Echo:
        ...     def execute(self, args):
        ...         return args
        >>> timing = TimingMiddleware()
        >>> registry = PluginRegistry()
        >>> _ = registry.register(timing, TimingMiddleware.manifest)
        >>> manifest = {"name": "echo", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
        >>> _ = registry.register(Echo, manifest)
        >>> with registry.running():
        ...     _ = registry.get_plugin("tool", "echo").execute(n=1)
        >>> timing.as_dict()["tool"]["echo"]["execute"]["calls"]
        1

    Attributes:
        manifest: what it is registered with; ``{**TimingMiddleware.manifest, "chain_wrap": {"kinds": ["tool"]}}`` times
            the calls of one kind only.

    .. versionadded:: 0.1
    """

    manifest: ClassVar[Mapping[str, Any]] = {
        "name": "timing",
        "kind": "horizontal_middleware",
        "runtime": "in_process",
        "core_version": ">=0.1",
        "priority": 2000,  # around all others, whose time counts too
    }

    def __init__(self) -> None:
        self._times: dict[tuple[str, str, str], CallTimes] = {}
        self._open: OpenCalls[float] = OpenCalls()

    def before(self) -> None:
        """A call begins."""
        self._open.push(time.perf_counter())

    def after(self, kind: str, name: str, hook: str) -> None:
        """It has succeeded."""
        self._add(kind, name, hook, failed=False)

    def on_error(self, kind: str, name: str, hook: str) -> None:
        """It has failed."""
        self._add(kind, name, hook, failed=True)

    def _add(self, kind: str, name: str, hook: str, *, failed: bool) -> None:
        started = self._open.pop()
        if started is None:
            return
        times = self._times.get((kind, name, hook))
        if times is None:
            times = self._times.setdefault((kind, name, hook), CallTimes())
        times.add(time.perf_counter() - started, failed=failed)

    def reset(self) -> None:
        """Begin anew."""
        self._times.clear()

    def as_dict(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """The figures by kind, plugin and hook: ``calls``, ``failures``, ``seconds`` in all, ``slowest`` in seconds."""
        found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        for (kind, plugin, hook), times in sorted(self._times.items()):
            found.setdefault(kind, {}).setdefault(plugin, {})[hook] = times.as_dict()
        return found

    def prometheus(self) -> str:
        """The figures in Prometheus' text format (exposition format 0.0.4)."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        times = sorted(self._times.items())
        yield "# HELP dagstack_plugin_failures_total Calls of plugins that failed."
        yield "# TYPE dagstack_plugin_failures_total counter"
        for key, one in times:
            yield f"dagstack_plugin_failures_total{_labels(*key)} {one.as_dict()['failures']}"
        yield "# HELP dagstack_plugin_call_duration_seconds How long calls of plugins took."
        yield "# TYPE dagstack_plugin_call_duration_seconds histogram"
        for key, one in times:
            counts, seconds = one.histogram()
            for limit, count in zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True):
                yield f"dagstack_plugin_call_duration_seconds_bucket{_labels(*key, le=limit)} {count}"
            yield f"dagstack_plugin_call_duration_seconds_sum{_labels(*key)} {seconds}"
            yield f"dagstack_plugin_call_duration_seconds_count{_labels(*key)} {counts[-1]}"


def _labels(kind: str, plugin: str, hook: str, **more: str) -> str:
    labels = {"kind": kind, "plugin": plugin, "hook": hook, **more}
    # Names of kinds, plugins and hooks have no letter that would have to be escaped.
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
