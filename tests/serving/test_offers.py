"""What is offered: made once, and never stale."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry
from dagstack_plugins.serving.offers import Offers, UnknownTool
from tests.waiting import until

MANIFEST = {"name": "one", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}


class One:
    def get_schema(self) -> Any:
        return {"type": "object", "required": ["city"]}

    def execute(self, args: Any) -> Any:
        return args


def test_tools_are_made_once_and_again_when_their_plugin_is_another() -> None:
    registry = PluginRegistry()
    registry.register(One, MANIFEST)
    offers = Offers(registry)
    with registry.running():
        before = offers.now()
        assert before["tool.one.execute"].tool.input_schema["required"] == ["city"]
        assert offers.now() == before
        (plugin,) = registry.slot("tool").plugins
        plugin.own_inputs = {}  # as when a server comes back that lists another schema
        assert offers.now() != before
        assert "required" not in offers.now()["tool.one.execute"].tool.input_schema


def test_what_is_not_ready_is_not_found() -> None:
    registry = PluginRegistry()
    registry.register(One, MANIFEST)
    offers = Offers(registry)
    assert set(offers.all()) == {"tool.one.execute", "tool.one.get_schema"}
    with registry.running():
        assert offers.find("tool.one.execute") is offers.now()["tool.one.execute"]
        with pytest.raises(UnknownTool, match=r"there is no tool 'tool.one.exekute' \(did you mean"):
            offers.find("tool.one.exekute")
    with pytest.raises(UnknownTool):
        offers.find("tool.one.execute")


def test_plugins_that_are_gone_are_forgotten() -> None:
    registry = PluginRegistry()
    offers = Offers(registry)
    gone: list[weakref.ref[Any]] = []
    with registry.running():
        for _ in range(3):
            registry.register(One(), MANIFEST)
            asyncio.run_coroutine_threadsafe(registry.setup_all(), registry._home.loop).result(10)  # type: ignore[arg-type]
            gone.append(weakref.ref(offers.now()["tool.one.execute"].plugin))
            asyncio.run_coroutine_threadsafe(registry.unregister("tool", "one"), registry._home.loop).result(10)  # type: ignore[arg-type]
            offers.now()
        # The loop's thread may still be about to let go of what it gave us.
        until(lambda: gc.collect() is not None and not any(one() for one in gone))
