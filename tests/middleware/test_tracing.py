"""TracingMiddleware: spans of OpenTelemetry, with the SDK that exports them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry, TracingMiddleware

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")
export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def manifest(name: str) -> dict[str, str]:
    return {"name": name, "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}


class Telling:
    """Tells what it sees of the trace."""

    async def execute(self, args: Any, ctx: Any) -> Any:
        await asyncio.sleep(0)
        if "wrong" in args:
            raise LookupError("not here")
        return dict(ctx.metadata["trace_context"])


class Outer:
    def setup(self, ctx: Any) -> None:
        self.inner = ctx.registry.get_plugin("tool", "telling")

    async def execute(self, args: Any) -> Any:
        return await self.inner.aio.execute(args)


@pytest.fixture
def spans() -> Any:
    return export.InMemorySpanExporter()


@pytest.fixture
def registry(spans: Any) -> PluginRegistry:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    registry = PluginRegistry()
    registry.register(TracingMiddleware(provider), TracingMiddleware.manifest)
    registry.register(Telling, manifest("telling"))
    registry.register(Outer, manifest("outer"))
    return registry


async def test_a_call_is_a_span_and_its_headers_go_in(registry: PluginRegistry, spans: Any) -> None:
    async with registry.running():
        headers = await registry.get_plugin("tool", "telling").execute()
    (span,) = spans.get_finished_spans()
    assert span.name == "tool.execute"
    assert dict(span.attributes) == {
        "dagstack.kind": "tool",
        "dagstack.plugin": "telling",
        "dagstack.hook": "execute",
    }
    assert headers["traceparent"].split("-")[1:3] == [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]
    assert span.parent is None


async def test_a_caller_hands_its_trace_in_as_metadata(registry: PluginRegistry, spans: Any) -> None:
    async with registry.running():
        with registry.metadata(trace_context={"traceparent": PARENT}):
            headers = await registry.get_plugin("tool", "telling").execute()
            assert PARENT.split("-")[1] == headers["traceparent"].split("-")[1]
    (span,) = spans.get_finished_spans()
    assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]


async def test_calls_within_calls_and_at_once_are_children_of_their_own(registry: PluginRegistry, spans: Any) -> None:
    async with registry.running():
        await asyncio.gather(*(registry.get_plugin("tool", "outer").execute() for _ in range(5)))
    by_id = {span.context.span_id: span for span in spans.get_finished_spans()}
    inner = [span for span in by_id.values() if span.attributes["dagstack.plugin"] == "telling"]
    assert len(by_id) == 10
    assert len({span.parent.span_id for span in inner}) == 5
    assert {by_id[span.parent.span_id].attributes["dagstack.plugin"] for span in inner} == {"outer"}


async def test_an_error_is_recorded(registry: PluginRegistry, spans: Any) -> None:
    async with registry.running():
        with pytest.raises(LookupError):
            await registry.get_plugin("tool", "telling").execute(wrong=True)
    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
    assert span.events[0].attributes["exception.message"] == "not here"


@pytest.mark.parametrize("headers", [None, 5, {}, {"traceparent": "nonsense"}, {"traceparent": 7}])
async def test_a_trace_that_can_not_be_read_is_a_new_one(registry: PluginRegistry, spans: Any, headers: Any) -> None:
    async with registry.running():
        with registry.metadata(trace_context=headers):
            await registry.get_plugin("tool", "telling").execute()
    (span,) = spans.get_finished_spans()
    assert span.parent is None


def test_without_opentelemetry_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import dagstack_plugins\n"
        "try:\n    dagstack_plugins.TracingMiddleware()\n"
        "except ImportError as error:\n    print(error.__notes__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "dagstack-plugins[otel]" in done.stdout
