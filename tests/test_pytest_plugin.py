"""The fixtures for authors of plugins, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
from dagstack_plugins import PluginContext, PluginRegistry, ResourceUndeclared


class Stamp:
    async def setup(self, ctx):
        self.ctx = ctx

    async def execute(self, args):
        r = self.ctx.resources
        answer = await r.http_client.get("https://api.example/")
        await r.blob_store.put("a", answer.text().encode())
        r.tmpdir.create_file("b")
        return [r.clock.now().year, r.rng.next_int(1, 1000), self.ctx.config]


def test_a_plugin_alone(plugin_context, stub_http, memory_blobs, frozen_clock, deterministic_rng):
    import asyncio

    stub_http.on("GET", "https://api.example/", text="page")
    frozen_clock.advance(seconds=366 * 86400)
    plugin_context.config = {"language": "fr"}
    expected = type(deterministic_rng)(seed=0).next_int(1, 1000)

    async def main():
        plugin = Stamp()
        await plugin.setup(plugin_context)
        assert await plugin.execute({}) == [2001, expected, {"language": "fr"}]
        assert await memory_blobs.get("a") == b"page"

    asyncio.run(main())
    assert [call.url for call in stub_http.calls] == ["https://api.example/"]
    assert isinstance(plugin_context, PluginContext)
    assert isinstance(plugin_context.registry, PluginRegistry)
    with pytest.raises(ResourceUndeclared):
        plugin_context.resources.pool


class TestMore:
    @pytest.fixture
    def plugin_resources(self, plugin_resources):
        plugin_resources.register("pool", "a pool")
        return plugin_resources

    def test_a_resource_of_the_authors_own(self, plugin_context):
        assert plugin_context.resources.pool == "a pool"
        assert list(plugin_context.resources) == ["blob_store", "clock", "http_client", "pool", "rng", "tmpdir"]


def test_in_a_registry(plugin_resources, stub_http, deterministic_rng):
    stub_http.on("GET", "*", text="")
    registry = PluginRegistry(resource_registry=plugin_resources)
    names = ["http_client", "blob_store", "tmpdir", "clock", "rng"]
    registry.register(Stamp, {"name": "stamp", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1",
                              "resources": {"required": names}})
    with registry.running():
        found = registry.get_plugin("tool", "stamp").sync.execute()
    assert found == [2000, type(deterministic_rng)(seed=0).next_int(1, 1000), {}]


def test_swallowed(stub_http):
    import asyncio

    async def main():
        try:
            await stub_http.get("https://nobody/")
        except Exception:
            pass

    asyncio.run(main())
"""


def test_the_fixtures_are_there_without_any_import(tmp_path: Path) -> None:
    (tmp_path / "test_stamp.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider", tmp_path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "4 passed, 1 error" in done.stdout, done.stdout
    assert "ERROR test_stamp.py::test_swallowed - AssertionError: unexpected request: GET" in done.stdout


def test_it_costs_every_other_pytest_next_to_nothing() -> None:
    program = (
        "import sys; import pytest; before = set(sys.modules)\n"
        "import dagstack_plugins.pytest_plugin\n"
        "print(*(name for name in set(sys.modules) - before if not name.startswith('dagstack_plugins')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"attrs", "pluggy._manager", "jsonschema_rs", "yaml", "httpx2", "obstore"}.isdisjoint(done.stdout.split())
    assert len(done.stdout.split()) < 10
