"""What each plugin is given: its own configuration, logger, resources, progress and checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from dagstack_plugins import (
    FrozenClock,
    ListProgress,
    MemoryCheckpoints,
    PluginContext,
    PluginState,
    ResourceRegistry,
    ResourceUndeclared,
)


@pytest.fixture
def contexts(host: Any) -> dict[str, Any]:
    """The context of each plugin that ``keep`` registered."""
    kept: dict[str, Any] = {}

    def keep(name: str, **given: Any) -> None:
        kind = given.get("kind", "part")
        host.add(name, setup=lambda self, ctx: kept.__setitem__(f"{kind}/{name}", ctx), **given)

    host.keep = keep
    return kept


# config


async def test_each_plugin_gets_its_own_section(host: Any, contexts: dict[str, Any]) -> None:
    host.keep("a")
    host.keep("b")
    host.keep("a", kind="gear")
    config = {"part": {"a": {"x": 1}, "unknown": {}}, "gear": {"a": {"x": 2}, "b": {"x": 3}}}
    await host.registry.setup_all(PluginContext(config=config))
    assert {label: dict(ctx.config) for label, ctx in contexts.items()} == {
        "part/a": {"x": 1},
        "part/b": {},
        "gear/a": {"x": 2},
    }


@pytest.mark.parametrize("where", ["manifest", "class"])
async def test_a_section_is_checked_against_the_schema_and_defaults_are_filled_in(
    host: Any, contexts: dict[str, Any], where: str
) -> None:
    schema = {
        "type": "object",
        "properties": {"url": {"type": "string", "format": "uri"}, "retries": {"type": "integer", "default": 3}},
        "required": ["url"],
        "additionalProperties": False,
    }

    class Plugin:
        if where == "class":
            config_schema = schema

        def setup(self, ctx: Any) -> None:
            contexts[ctx.logger.name] = ctx

        def run(self) -> None: ...

    for name in ("good", "bad", "missing"):
        manifest = {"name": name, "kind": "part", "core_version": ">=0.1", "runtime": "in_process"}
        host.registry.register(Plugin, manifest | ({"config_schema": schema} if where == "manifest" else {}))
    given = {"good": {"url": "https://example.org"}, "bad": {"url": "nowhere at all", "retries": "many", "x": 1}}
    await host.registry.setup_all(PluginContext(config={"part": given}))
    assert host.states() == {
        "good": PluginState.READY,
        "bad": PluginState.UNAVAILABLE,
        "missing": PluginState.UNAVAILABLE,
    }
    (ctx,) = contexts.values()
    assert ctx.config == {"url": "https://example.org", "retries": 3}
    assert given["good"] == {"url": "https://example.org"}
    told = host.status("bad").reason
    assert all(word in told for word in ("config['part']['bad'].url", "config['part']['bad'].retries", "'x'"))
    assert "'url'" in host.status("missing").reason


async def test_what_a_misspelt_key_was_likely_meant_to_be_is_told(host: Any) -> None:
    properties = {"url": {"type": "string"}, "limit": {"type": "integer"}}
    schema = {"type": "object", "required": ["url"], "additionalProperties": False, "properties": properties}
    host.add("a", config_schema=schema)
    await host.registry.setup_all(PluginContext(config={"part": {"a": {"urls": "x"}}}))
    assert "unknown: 'urls' (did you mean 'url'?)" in host.status("a").reason


@pytest.mark.parametrize(
    "config", [{"part": 7}, {"part": ["a"]}, {"part": {"a": "text"}}, {"part": {"a": [1]}}], ids=repr
)
async def test_a_section_that_is_no_mapping_is_told_with_its_place(host: Any, config: Any) -> None:
    host.add("a")
    host.add("b", kind="gear")
    await host.registry.setup_all(PluginContext(config=config))
    assert host.states() == {"a": PluginState.UNAVAILABLE, "b": PluginState.READY}
    assert "config['part']" in host.status("a").reason


@pytest.mark.parametrize("config", [None, {}, {"part": None}, {"part": {"a": None}}], ids=repr)
async def test_no_section_is_an_empty_one(host: Any, contexts: dict[str, Any], config: Any) -> None:
    host.keep("a")
    await host.registry.setup_all(PluginContext(config=config))
    assert dict(contexts["part/a"].config) == {}


async def test_without_a_context_plugins_get_an_empty_one(host: Any, contexts: dict[str, Any]) -> None:
    host.keep("a")
    await host.registry.setup_all()
    assert dict(contexts["part/a"].config) == {}
    contexts["part/a"].progress.update(50)
    assert contexts["part/a"].checkpoint.save("k", 1) == 1


async def test_the_context_given_last_stays(host: Any, contexts: dict[str, Any]) -> None:
    host.keep("a")
    await host.registry.setup_all(PluginContext(config={"part": {"a": {"n": 1}, "b": {"n": 2}}}))
    host.keep("b")
    await host.registry.setup_all()
    assert contexts["part/b"].config == {"n": 2}


# logger, registry


async def test_logger_and_registry(host: Any, contexts: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    host.keep("a")
    await host.registry.setup_all()
    ctx = contexts["part/a"]
    assert ctx.registry is host.registry
    with caplog.at_level(logging.INFO):
        ctx.logger.info("hello")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("plugin.part.a", "hello")]


async def test_failures_are_told_to_the_hosts_logger(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fails(self: Any) -> None:
        raise RuntimeError("no licence")

    host.add("a", setup=fails)
    await host.registry.setup_all(PluginContext(logger=logging.getLogger("myapp.plugins")))
    assert [record.name for record in caplog.records] == ["myapp.plugins"]


# resources


async def test_resources_are_those_that_each_plugin_declared(host: Any, contexts: dict[str, Any]) -> None:
    clock, resources = FrozenClock(), ResourceRegistry()
    resources.register("clock", clock)
    host.keep("a", resources={"required": ["clock"], "optional": ["http_client"]})
    host.keep("b", resources={"required": ["tmpdir"]})
    host.keep("c", resources={"required": ["tmpdir"]})
    async with host.registry.running(PluginContext(resources=resources)) as registry:
        lent = contexts["part/a"].resources
        assert lent.clock is lent.get("clock") is clock
        assert lent.http_client is None
        with pytest.raises(ResourceUndeclared, match="rng"):
            lent.rng  # noqa: B018
        with pytest.raises(ResourceUndeclared):
            contexts["part/b"].resources.get("clock")
        assert contexts["part/b"].resources.tmpdir.path != contexts["part/c"].resources.tmpdir.path
        assert registry.resource_registry is contexts["part/a"].registry.resource_registry is resources
    await resources.aclose()


async def test_resources_of_a_context_replace_the_registrys_from_then_on(new_host: Any) -> None:
    first, second = ResourceRegistry(), ResourceRegistry()
    host = new_host(resource_registry=first)
    assert host.registry.resource_registry is first
    await host.registry.setup_all()
    assert host.registry.resource_registry is first
    await host.registry.setup_all(PluginContext(resources=second))
    await host.registry.setup_all(PluginContext())
    assert host.registry.resource_registry is second


# metadata


async def test_metadata_is_read_only_and_merged_from_the_outside_in(host: Any) -> None:
    seen: list[Mapping[str, Any]] = []
    host.add("a", run=lambda self, ctx: seen.append(ctx.metadata))
    async with host.registry.running() as registry:
        host.run()
        with registry.metadata(tenant="acme", trace={"id": [1]}) as bound:
            assert bound == {"tenant": "acme", "trace": {"id": [1]}}
            with registry.metadata(tenant="other"):
                host.run()
            host.run()
        host.run()
    assert seen == [
        {},
        {"tenant": "other", "trace": {"id": [1]}},
        {"tenant": "acme", "trace": {"id": [1]}},
        {},
    ]
    with pytest.raises(TypeError):
        seen[1]["tenant"] = "mine"  # type: ignore[index]


def test_metadata_is_json(host: Any) -> None:
    with pytest.raises(TypeError, match="trace"):
        host.registry.metadata(tenant="acme", trace=object())


# progress, checkpoint, cancelled


async def test_progress_goes_to_the_hosts_sink_under_the_plugins_name(host: Any, contexts: dict[str, Any]) -> None:
    heard = ListProgress()
    host.keep("a")
    host.keep("b", kind="gear")
    await host.registry.setup_all(PluginContext(progress_sink=heard))
    contexts["part/a"].progress.update(40, "page 2 of 5", {"page": 2})
    contexts["gear/b"].progress.event("page_done", {"page": 3})
    told = [(one.kind, one.plugin, one.type, one.percent, one.message, one.payload) for one in heard.events]
    assert told == [
        ("part", "a", "progress", 40.0, "page 2 of 5", {"page": 2}),
        ("gear", "b", "page_done", None, "", {"page": 3}),
    ]


async def test_checkpoints_are_each_plugins_own_and_outlive_a_restart(host: Any, contexts: dict[str, Any]) -> None:
    store = MemoryCheckpoints()
    host.keep("a")
    host.keep("a", kind="gear")
    host.keep("b")
    await host.registry.setup_all(PluginContext(checkpoint_store=store))
    assert contexts["part/a"].checkpoint.save("page", {"n": 1}) == 1
    assert contexts["part/a"].checkpoint.save("page", {"n": 2}) == 2
    assert contexts["gear/a"].checkpoint.save("page", "other") == 1
    assert contexts["part/b"].checkpoint.list("") == []
    first = contexts["part/a"]
    await host.registry.teardown_all()
    await host.registry.setup_all()
    assert contexts["part/a"] is not first
    assert contexts["part/a"].checkpoint.load("page") == ({"n": 2}, 2)
    assert contexts["gear/a"].checkpoint.load("page") == ("other", 1)


async def test_cancelled_is_each_plugins_own(host: Any, contexts: dict[str, Any]) -> None:
    host.keep("a")
    host.keep("b")
    await host.registry.setup_all()
    assert not contexts["part/a"].cancelled
    await host.registry.unregister("part", "a")
    assert contexts["part/a"].cancelled
    assert not contexts["part/b"].cancelled


def test_a_context_can_be_handed_to_a_plugins_class_directly() -> None:
    heard = ListProgress()
    ctx = PluginContext(config={"n": 1}, progress_sink=heard)
    assert ctx.config == {"n": 1}
    assert not ctx.cancelled
    ctx.progress.update(1)
    ctx.cancel()
    assert ctx.cancelled
    assert ctx.metadata == {}
    assert ctx.checkpoint.save("k", [1]) == 1
    assert len(heard.events) == 1


async def test_sections_that_no_plugin_reads_are_told(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    host.add("english")
    host.add("german")
    config = {
        "english": {"x": 1},
        "partt": {"english": {}},
        "part": {"english": {}, "germn": {"x": 1}, "absent": {}},
        "other": {"absent": {}},
    }
    await host.registry.setup_all(PluginContext(config=config))
    assert [record.getMessage() for record in caplog.records] == [
        "config['english'] is the name of a plugin; write config['part']['english']",
        "config['partt'] belongs to no plugin: there is none of that kind (did you mean 'part'?)",
        "config['part']['germn'] belongs to no plugin (did you mean 'german'?)",
    ]


async def test_a_configuration_alone_is_no_context(host: Any) -> None:
    with pytest.raises(TypeError, match=r"PluginContext\(config=…\)"):
        await host.registry.setup_all({"part": {"a": {}}})
