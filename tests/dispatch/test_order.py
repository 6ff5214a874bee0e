"""The one order: bands, then priority downwards, then name."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import STOP_CHAIN

TOLD = {"type": "object", "properties": {"told": {}}, "required": ["told"]}
BANDS = ["tryfirst", "", "trylast"]

plugins = st.lists(
    st.tuples(st.sampled_from(BANDS), st.integers(0, 3), st.sampled_from(["a", "b", "b-2", "b_1", "c", "z9"])),
    max_size=6,
    unique_by=lambda one: one[2],
)


def says(name: str) -> Any:
    return lambda self, payload: name


def notes(heard: list[str], name: str) -> Any:
    return lambda self, payload: heard.append(name)


def adds_its_name(name: str) -> Any:
    return lambda self, told: {"told": [*told, name]}


@settings(max_examples=100)
@given(plugins=plugins)
def test_the_law_of_order(new_host: Any, plugins: list[tuple[str, int, str]]) -> None:
    host = new_host(
        {
            "collect": {"dispatch": "broadcast_collect"},
            "notify": {"dispatch": "broadcast_notify"},
            "pass_on": {"dispatch": "chain", "input_schema": TOLD},
            "first": {"dispatch": "capability", "match": {"language": "supports_languages"}},
        }
    )
    heard: list[str] = []
    for band, priority, name in plugins:
        host.add(
            name,
            collect=says(name),
            notify=notes(heard, name),
            pass_on=adds_its_name(name),
            first=says(name),
            priority=priority,
            supports_languages=["en"],
            **({band: True} if band else {}),
        )
    asyncio.run(host.registry.setup_all())

    law = [name for _, _, name in sorted(plugins, key=lambda one: (BANDS.index(one[0]), -one[1], one[2]))]
    assert host.call("collect") == law
    host.call("notify")
    assert heard == law
    assert [manifest.name for manifest in host.registry.list_manifests()] == law
    if law:
        assert host.call("pass_on", told=[])["told"] == law
        assert host.call("first", language="en") == law[0]


async def test_plugins_that_join_later_take_their_place(new_host: Any) -> None:
    host = new_host({"collect": {"dispatch": "broadcast_collect"}})
    host.add("m", collect=lambda self: "m", priority=5)
    async with host.registry.running() as registry:
        proxy = registry.kind("greeter")
        assert proxy.collect() == ["m"]
        host.add("z", collect=lambda self: "z", priority=9)
        host.add("a", collect=lambda self: "a")
        assert proxy.collect() == ["m"]
        await registry.setup_all()
        assert proxy.collect() == ["z", "m", "a"]
        await registry.unregister("greeter", "m")
        assert proxy.collect() == ["z", "a"]


async def test_a_stop_ends_the_order_of_a_chain(new_host: Any) -> None:
    host = new_host({"pass_on": {"dispatch": "chain"}})
    asked: list[str] = []

    def step(name: str) -> Any:
        def pass_on(self: Any, payload: Any) -> Any:
            asked.append(name)
            return STOP_CHAIN if name == "b" else payload

        return pass_on

    for priority, name in enumerate("abc"):
        host.add(name, pass_on=step(name), priority=priority)
    async with host.registry.running():
        host.call("pass_on", x=1)
    assert asked == ["c", "b"]
