"""A ready-made decorator: counts and times what plugins do with a resource."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Self

from dagstack_plugins.resources.around import around
from dagstack_plugins.times import CallTimes, TimesTable

if TYPE_CHECKING:
    from dagstack_plugins.resources.protocols import Borrower


class Metering:
    """Counts and times every method that plugins call on a resource, by plugin and method.

    A call that gives a coroutine lasts until that was awaited to its end; being cancelled is a failure.

    Examples:
        >>> from dagstack_plugins import PluginRegistry, ResourceRegistry
        >>> class Stamp:
        ...     def setup(self, ctx):
        ...         self.clock = ctx.resources.clock
        ...     def execute(self, args):
        ...         return {"at": self.clock.now().isoformat()}
        >>> resources, metering = ResourceRegistry(), Metering()
        >>> resources.decorate("clock", metering.of("clock"))
        >>> registry = PluginRegistry(resource_registry=resources)
        >>> _ = registry.register(Stamp, {
        ...     "name": "stamp", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1",
        ...     "resources": {"required": ["clock"]},
        ... })
        >>> with registry.running():
        ...     _ = registry.get_plugin("tool", "stamp").execute()
        >>> metering.as_dict()["tool"]["stamp"]["clock"]["now"]["calls"]
        1

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._times = TimesTable("dagstack_resource", "resources", "kind", "plugin", "resource", "method")

    def of(self, name: str) -> Callable[[Any, Borrower], Any]:
        """What ``ResourceRegistry.decorate`` takes.

        Args:
            name: what the resource is called in the figures.
        """

        def metered(resource: Any, manifest: Borrower) -> Any:
            return around(
                resource, lambda method, call: _timed(self._times.at(manifest.kind, manifest.name, name, method), call)
            )

        return metered

    def __repr__(self) -> str:
        return "<Metering; metering.of(name) decorates a resource>"

    def as_dict(self) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
        """The figures by kind, plugin, resource and method.

        Returns:
            ``calls``, ``failures``, ``seconds`` in all, ``slowest`` in seconds.
        """
        return self._times.as_dict()

    def prometheus(self) -> str:
        """The figures in Prometheus' text format (exposition format 0.0.4)."""
        return self._times.prometheus()


def _timed(times: CallTimes, method: Callable[..., Any]) -> Callable[..., Any]:
    async def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with _Timing(times):
            return await coroutine

    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await awaited(method(*args, **kwargs))

        return call_async

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _Timing(times) as timing:
            result = method(*args, **kwargs)
            if not inspect.iscoroutine(result):
                return result
            timing.times = None  # it only begins
        return awaited(result)

    return call


class _Timing:
    __slots__ = ("_started", "times")

    def __init__(self, times: CallTimes) -> None:
        self.times: CallTimes | None = times

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(self, error_type: object, *_: object) -> None:
        if self.times is not None:
            self.times.add(time.perf_counter() - self._started, failed=error_type is not None)
