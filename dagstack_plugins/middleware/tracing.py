"""``TracingMiddleware``: a span of OpenTelemetry for each call of a plugin; needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dagstack_plugins.calls import bound_metadata
from dagstack_plugins.middleware.open_calls import OpenCalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

TRACE_CONTEXT: Final = "trace_context"
"""The key of ``ctx.metadata`` under which the W3C headers ``traceparent`` and ``tracestate`` travel."""


class TracingMiddleware:
    """Makes a span for each call of each plugin, and hands the trace on.

    The span's parent is the current one, or else what the caller bound as ``metadata["trace_context"]``, a dict of W3C
    Trace Context headers; inside the call, that key holds the span's own headers, for plugins that call further.

    Examples:
        >>> from dagstack_plugins import PluginRegistry
        >>> registry = PluginRegistry()
        >>> manifest = registry.register(TracingMiddleware(), TracingMiddleware.manifest)

    Args:
        tracer_provider: where spans go; by default OpenTelemetry's global one.

    Attributes:
        manifest: what it is registered with.

    Raises:
        ImportError: if OpenTelemetry is not installed.

    .. versionadded:: 0.1
    """

    manifest: ClassVar[Mapping[str, Any]] = {
        "name": "tracing",
        "kind": "horizontal_middleware",
        "runtime": "in_process",
        "core_version": ">=0.1",
        "priority": 1900,
    }

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import context, trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            error.add_note("TracingMiddleware needs OpenTelemetry: pip install 'dagstack-plugins[otel]'")
            raise
        self._context = context
        self._trace = trace
        self._headers = TraceContextTextMapPropagator()
        self._tracer = trace.get_tracer("dagstack_plugins", tracer_provider=tracer_provider)
        self._open: OpenCalls[tuple[Span, ExitStack]] = OpenCalls()

    def before(self, ctx: Any, kind: str, name: str, hook: str) -> None:
        """A call begins."""
        attributes = {"dagstack.kind": kind, "dagstack.plugin": name, "dagstack.hook": hook}
        span = self._tracer.start_span(f"{kind}.{hook}", context=self._parent(ctx.metadata), attributes=attributes)
        stack = ExitStack()
        stack.enter_context(self._current(span))
        self._open.push((span, stack))

    def after(self) -> None:
        """It has succeeded."""
        self._end(None)

    def on_error(self, error: BaseException) -> None:
        """It has failed."""
        self._end(error)

    def _parent(self, metadata: Mapping[str, Any]) -> Context | None:
        if self._trace.get_current_span().get_span_context().is_valid:
            return None  # the current one
        given: Any = metadata.get(TRACE_CONTEXT)
        # Whoever called may have bound anything there; what is no header begins a trace of its own.
        headers = (
            {name: value for name, value in given.items() if isinstance(value, str)}
            if isinstance(given, Mapping)
            else {}
        )
        return self._headers.extract(headers)

    @contextmanager
    def _current(self, span: Span) -> Iterator[None]:
        headers: dict[str, str] = {}
        inside = self._trace.set_span_in_context(span)
        self._headers.inject(headers, inside)
        token = self._context.attach(inside)
        try:
            with bound_metadata({TRACE_CONTEXT: headers}):
                yield
        finally:
            self._context.detach(token)

    def _end(self, error: BaseException | None) -> None:
        opened = self._open.pop()
        if opened is None:
            return
        span, stack = opened
        stack.close()
        if error is not None:
            span.record_exception(error)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, type(error).__name__))
        span.end()
