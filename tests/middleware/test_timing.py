"""TimingMiddleware counts and times every call, wherever and however it is made."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry, TimingMiddleware


def manifest(name: str) -> dict[str, str]:
    return {"name": name, "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}


class Plain:
    def execute(self, args: Any) -> Any:
        if "wrong" in args:
            raise LookupError
        return args


class Slow:
    async def execute(self, args: Any) -> Any:
        await asyncio.sleep(args.get("seconds", 0))
        return args


class Outer:
    """Calls another plugin within its own call."""

    def setup(self, ctx: Any) -> None:
        self.inner = ctx.registry.get_plugin("tool", "plain")

    def execute(self, args: Any) -> Any:
        return self.inner.sync.execute(args)


@pytest.fixture
def timing() -> TimingMiddleware:
    return TimingMiddleware()


@pytest.fixture
def registry(timing: TimingMiddleware) -> PluginRegistry:
    registry = PluginRegistry()
    registry.register(timing, TimingMiddleware.manifest)
    for name, cls in (("plain", Plain), ("slow", Slow), ("outer", Outer)):
        registry.register(cls, manifest(name))
    return registry


def test_calls_and_failures_are_counted(registry: PluginRegistry, timing: TimingMiddleware) -> None:
    with registry.running():
        plain = registry.get_plugin("tool", "plain").sync
        for _ in range(3):
            plain.execute()
        with pytest.raises(LookupError):
            plain.execute(wrong=True)
    figures = timing.as_dict()
    assert list(figures) == ["tool"]
    times = figures["tool"]["plain"]["execute"]
    assert (times["calls"], times["failures"]) == (4, 1)
    assert 0 < times["slowest"] <= times["seconds"] <= 4 * times["slowest"]
    timing.reset()
    assert timing.as_dict() == {}


async def test_each_of_many_calls_at_once_has_its_own_time(registry: PluginRegistry, timing: TimingMiddleware) -> None:
    async with registry.running():
        slow = registry.get_plugin("tool", "slow").aio
        await asyncio.gather(*(slow.execute(seconds=0.02) for _ in range(10)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await slow.execute(seconds=5)
    times = timing.as_dict()["tool"]["slow"]["execute"]
    assert (times["calls"], times["failures"]) == (11, 1)
    assert times["seconds"] >= 10 * 0.02
    assert times["slowest"] < 5


def test_calls_within_calls_and_in_threads_are_told_apart(registry: PluginRegistry, timing: TimingMiddleware) -> None:
    with registry.running():
        outer = registry.get_plugin("tool", "outer").sync
        threads = [threading.Thread(target=outer.execute) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    figures = timing.as_dict()["tool"]
    assert {name: figures[name]["execute"]["calls"] for name in figures} == {"outer": 8, "plain": 8}
    assert figures["outer"]["execute"]["seconds"] >= figures["plain"]["execute"]["seconds"]


def test_prometheus_reads_it(registry: PluginRegistry, timing: TimingMiddleware) -> None:
    with registry.running():
        registry.get_plugin("tool", "plain").sync.execute()
    lines = timing.prometheus().splitlines()
    sample = re.compile(r'^[a-z_]+\{kind="tool",plugin="plain",hook="execute"(,le="[0-9.+Inf]+")?\} [0-9.e-]+$')
    assert [line for line in lines if not line.startswith("# ") and not sample.match(line)] == []
    assert 'dagstack_plugin_failures_total{kind="tool",plugin="plain",hook="execute"} 0' in lines
    buckets = [int(line.rpartition(" ")[2]) for line in lines if "_bucket" in line]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 1
    assert timing.prometheus().endswith("\n")


def test_without_calls_there_is_nothing_to_tell() -> None:
    timing = TimingMiddleware()
    assert timing.as_dict() == {}
    assert all(line.startswith("#") for line in timing.prometheus().splitlines())
