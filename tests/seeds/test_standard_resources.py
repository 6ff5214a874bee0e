"""Standard resources: protocols, the stub that the document prints, custom resources, and the lifecycle's order."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import pytest

import dagstack.plugin_system
from dagstack.plugin_system import (
    BlobStore,
    Clock,
    FrozenClock,
    HttpClient,
    HttpResponse,
    InMemoryBlobStore,
    MemoryBlobStore,
    PluginContext,
    PluginRegistry,
    ResourceRegistry,
    Rng,
    TempDir,
)

# The interfaces, as printed: names, parameters and defaults. Annotations are made valid in ours.
PRINTED: dict[type, str] = {
    Clock: """
        def now(self): ...
        def monotonic_ns(self): ...
    """,
    Rng: """
        def next_float(self): ...
        def next_int(self, low, high): ...
        def uuid4(self): ...
        def choice(self, items): ...
    """,
    HttpClient: """
        async def get(self, url, *, headers=None): ...
        async def post(self, url, *, json=None, headers=None): ...
        async def put(self, url, *, json=None, headers=None): ...
        async def delete(self, url, *, headers=None): ...
    """,
    HttpResponse: """
        def json(self): ...
        def text(self): ...
    """,
    BlobStore: """
        async def put(self, key, data, *, content_type=None): ...
        async def get(self, key): ...
        async def delete(self, key): ...
        async def list(self, prefix=""): ...
        async def exists(self, key): ...
    """,
    TempDir: """
        def create_file(self, name, *, suffix=""): ...
        def create_subdir(self, name): ...
    """,
}


@pytest.mark.parametrize("protocol", PRINTED, ids=lambda protocol: protocol.__name__)
def test_the_protocols_are_the_printed_ones(protocol: type) -> None:
    printed: dict[str, Any] = {}
    exec(textwrap.dedent(PRINTED[protocol]), printed)
    for name, expected in printed.items():
        if name.startswith("__"):
            continue
        ours = getattr(protocol, name)
        assert _shape(ours) == _shape(expected), name
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(expected), name


def _shape(function: Any) -> list[tuple[str, Any, Any]]:
    return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]


def test_data_members_are_the_printed_ones() -> None:
    assert {"status_code", "headers"} <= set(vars(HttpResponse))
    assert "path" in vars(TempDir)


@pytest.mark.parametrize("name", ["Clock", "Rng", "HttpClient", "BlobStore", "FrozenClock", "DeterministicRng"])
def test_what_the_document_says_is_exported_is(name: str) -> None:
    assert hasattr(dagstack.plugin_system, name)
    assert MemoryBlobStore is InMemoryBlobStore


STUB = """
    from dagstack.plugin_system import HttpClient # the Protocol


    class StubHttpClient:
        \"\"\"In-process programmable HTTP client for plugin tests.\"\"\"

        def __init__(self) -> None:
            self.calls: list[tuple[str, str]] = []

        async def get(self, url: str, *, headers: dict | None = None):
            self.calls.append(("GET", url))
            return {"status_code": 200, "body": "{}"}

        async def post(self, url: str, *, json=None, headers=None):
            self.calls.append(("POST", url))
            return {"status_code": 200, "body": "{}"}


    resources.register("http_client", StubHttpClient())
"""

MANIFEST = {
    "name": "fetcher",
    "kind": "tool",
    "runtime": "in_process",
    "core_version": ">=0.1",
    "resources": {"required": ["http_client"]},
}


class Fetcher:
    def setup(self, ctx: PluginContext) -> None:
        self.http = ctx.resources.http_client

    async def execute(self, args: Any) -> Any:
        return [await self.http.get(args["url"]), await self.http.post(args["url"], json=args)]


async def test_the_printed_stub_is_lent_though_it_lacks_two_methods(run_fragment: Any) -> None:
    resources = ResourceRegistry()
    await run_fragment(STUB, resources=resources)
    registry = PluginRegistry(resource_registry=resources)
    registry.register(Fetcher, MANIFEST)
    async with registry.running():
        found = await registry.get_plugin("tool", "fetcher").execute(url="https://a/")
    assert found == [{"status_code": 200, "body": "{}"}] * 2
    assert resources.get("http_client").calls == [("GET", "https://a/"), ("POST", "https://a/")]
    assert not isinstance(resources.get("http_client"), HttpClient)


CUSTOM = """
    resources.register("postgres", await create_pg_pool())
    resources.register("tenant_registry", TenantRegistryImpl(...))
    resources.register("rate_limiter", RateLimiter(...))
"""


async def test_custom_resources_are_registered_as_printed(run_fragment: Any) -> None:
    async def create_pg_pool() -> str:
        return "a pool"

    resources = ResourceRegistry()
    await run_fragment(
        CUSTOM,
        resources=resources,
        create_pg_pool=create_pg_pool,
        TenantRegistryImpl=lambda given: "tenants",
        RateLimiter=lambda given: "a limiter",
    )
    assert [resources.get(name) for name in ("postgres", "tenant_registry", "rate_limiter")] == [
        "a pool",
        "tenants",
        "a limiter",
    ]
    assert resources.names() == ["clock", "postgres", "rate_limiter", "rng", "tenant_registry", "tmpdir"]


async def test_the_lifecycle_has_the_printed_order() -> None:
    """The host closes its resources after every teardown, and each plugin still has them there."""
    log: list[str] = []

    class Pool:
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1
            log.append("close")

    class User:
        name = ""

        async def setup(self, ctx: PluginContext) -> None:
            self.pool = ctx.resources.postgres
            self.context = ctx
            log.append(f"setup {ctx.logger.name}")

        def execute(self, args: Any) -> bool:
            return self.pool.closed == 0

        async def teardown(self) -> None:
            assert self.pool.closed == 0
            assert self.context.resources.postgres is self.pool
            log.append(f"teardown {self.context.logger.name}")

    resources = ResourceRegistry()
    pool = Pool()
    resources.register("postgres", pool)
    resources.register("clock", FrozenClock())
    registry = PluginRegistry()
    common = {"kind": "tool", "runtime": "in_process", "core_version": ">=0.1", "resources": {"required": ["postgres"]}}
    registry.register(User, {"name": "a", **common})
    registry.register(User, {"name": "b", "depends_on": ["a"], **common})
    await registry.setup_all(PluginContext(resources=resources))
    assert registry.get_plugin("tool", "a").execute() is True
    await registry.teardown_all()
    await resources.aclose()
    await resources.aclose()
    assert log == [
        "setup plugin.tool.a",
        "setup plugin.tool.b",
        "teardown plugin.tool.b",
        "teardown plugin.tool.a",
        "close",
    ]
    assert pool.closed == 1
    registry.resource_registry.close()
