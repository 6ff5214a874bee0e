"""``TimingMiddleware``: counts and times the calls of every plugin."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from dagstack_plugins.middleware.open_calls import OpenCalls
from dagstack_plugins.times import TimesTable


class TimingMiddleware:
    """Counts and times the calls of every plugin; registered like any other, with the manifest that it brings.

    It goes round all other middleware, so that calls are told as callers see them: what another one refuses is a
    failure of the call, and the time that the others take counts.

    Examples:
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
        self._times = TimesTable("dagstack_plugin", "plugins", "kind", "plugin", "hook")
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
        if started is not None:
            self._times.at(kind, name, hook).add(time.perf_counter() - started, failed=failed)

    def reset(self) -> None:
        """Begin anew."""
        self._times.clear()

    def as_dict(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """The figures by kind, plugin and hook: ``calls``, ``failures``, ``seconds`` in all, ``slowest`` in seconds."""
        return self._times.as_dict()

    def prometheus(self) -> str:
        """The figures in Prometheus' text format (exposition format 0.0.4)."""
        return self._times.prometheus()
