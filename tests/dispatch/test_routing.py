"""A routing policy chooses the active plugin at each call."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import (
    AmbiguousPlugin,
    KindUnknown,
    PayloadInvalid,
    PluginUnavailable,
    RoutingRequest,
)


def answering(name: str) -> Any:
    return lambda self, payload: name


@pytest.fixture
def host(new_host: Any, text: Any) -> Any:
    host = new_host({"greet": {"input_schema": text}, "hear": {"dispatch": "broadcast_collect"}})
    for name, priority in (("a", 2), ("b", 1), ("c", 0)):
        host.add(
            name, greet=answering(name), hear=answering(name), priority=priority, capabilities=["pii"] * (name != "b")
        )
    return host


def by_tenant(request: RoutingRequest) -> str | None:
    return request.metadata.get("plugin")


async def test_it_decides_by_kind_hook_payload_and_metadata(host: Any) -> None:
    asked: list[RoutingRequest] = []

    def policy(request: RoutingRequest) -> str | None:
        asked.append(request)
        return "b" if request.payload.text == "hello" else None

    host.registry.set_routing_policy("greeter", policy)
    async with host.registry.running():
        with host.registry.metadata(tenant="acme"):
            assert host.call("greet", text="hello") == "b"
        assert host.registry.get_plugin("greeter").greet(text="other") == "a"
    (first, second) = asked
    assert (first.kind, first.hook, dict(first.metadata)) == ("greeter", "greet", {"tenant": "acme"})
    assert type(first.payload) is host.registry.types("greeter").GreetInput
    assert dict(second.metadata) == {}


async def test_it_comes_before_every_other_choice(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTACK_ACTIVE_GREETER", "a")
    host.registry.set_active("greeter", "b")
    host.registry.set_routing_policy("greeter", by_tenant)
    async with host.registry.running() as registry:
        with registry.metadata(plugin="c"):
            assert host.call("greet", text="x") == "c"
        assert host.call("greet", text="x") == "b"
        registry.set_active("greeter", None)
        assert host.call("greet", text="x") == "a"
        registry.set_routing_policy("greeter", None)
        with registry.metadata(plugin="c"):
            assert host.call("greet", text="x") == "a"


async def test_it_is_asked_for_whoever_is_active_and_no_one_else(host: Any) -> None:
    def never(request: RoutingRequest) -> str:
        raise AssertionError(request)

    host.registry.set_routing_policy("greeter", never)
    async with host.registry.running() as registry:
        assert registry.get_plugin("greeter", "c").greet(text="x") == "c"
        assert registry.kind("greeter").hear() == ["a", "b", "c"]
        with pytest.raises(AssertionError):
            registry.get_plugin("greeter").hear()
        with pytest.raises(PayloadInvalid):
            host.call("greet", text=7)  # nobody is chosen for what is not valid


async def test_a_tie_is_none_where_a_policy_decides(new_host: Any) -> None:
    host = new_host({"greet": {}})
    host.add("a", greet=answering("a"))
    host.add("b", greet=answering("b"))
    host.registry.set_routing_policy("greeter", by_tenant)
    async with host.registry.running() as registry:
        with registry.metadata(plugin="b"):
            assert host.call("greet") == "b"
        with pytest.raises(AmbiguousPlugin):
            host.call("greet")


@pytest.mark.parametrize(
    ("name", "told"),
    [("d", "no plugin 'd', which the routing policy names"), ("c", "'c' of kind 'greeter', which the")],
)
async def test_a_name_that_can_not_be_called_is_never_replaced(host: Any, name: str, told: str) -> None:
    host.registry.set_routing_policy("greeter", lambda request: name)
    async with host.registry.running() as registry:
        await registry.unregister("greeter", "c")
        host.add("c", greet=answering("late"))  # not started
        with pytest.raises(PluginUnavailable, match=told):
            host.call("greet", text="x")


async def test_it_chooses_among_those_that_the_caller_requires(host: Any) -> None:
    host.registry.set_routing_policy("greeter", by_tenant)
    async with host.registry.running() as registry:
        trusted = registry.kind("greeter", require={"pii"})
        with registry.metadata(plugin="c"):
            assert trusted.greet(text="x") == "c"
        with registry.metadata(plugin="b"), pytest.raises(PluginUnavailable, match="lacks"):
            trusted.greet(text="x")


async def policy_that_waits(request: RoutingRequest) -> str:
    return "a"


@pytest.mark.parametrize("policy", ["a", 5, policy_that_waits])
def test_a_policy_is_a_plain_function(host: Any, policy: Any) -> None:
    with pytest.raises(TypeError, match="plain function"):
        host.registry.set_routing_policy("greeter", policy)
    with pytest.raises(KindUnknown):
        host.registry.set_routing_policy("greter", by_tenant)


@pytest.mark.parametrize("answer", [5, ["a"], {"name": "a"}, True])
async def test_what_is_no_name_is_told(host: Any, answer: Any) -> None:
    host.registry.set_routing_policy("greeter", lambda request: answer)
    async with host.registry.running():
        with pytest.raises(TypeError, match="the routing policy of kind 'greeter' returned"):
            host.call("greet", text="x")


async def test_a_lambda_that_gives_a_coroutine_is_told(host: Any) -> None:
    host.registry.set_routing_policy("greeter", lambda request: policy_that_waits(request))
    async with host.registry.running():
        with pytest.raises(TypeError, match="plain function"):
            host.call("greet", text="x")
    gc.collect()


async def test_its_errors_are_the_hosts_own(host: Any) -> None:
    def policy(request: RoutingRequest) -> str:
        raise LookupError("no such tenant")

    host.registry.set_routing_policy("greeter", policy)
    async with host.registry.running():
        with pytest.raises(LookupError, match="no such tenant") as caught:
            host.call("greet", text="x")
        assert not hasattr(caught.value, "__notes__")


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=20))
def test_calls_at_once_go_each_to_its_own(new_host: Any, names: list[str]) -> None:
    async def main() -> None:
        host = new_host({"greet": {"async": True}})

        def waiting(name: str) -> Any:
            async def greet(self: Any, payload: Any) -> str:
                await asyncio.sleep(0)
                return name

            return greet

        for name in ("a", "b", "c"):
            host.add(name, greet=waiting(name))
        host.registry.set_routing_policy("greeter", by_tenant)

        async def ask(name: str) -> Any:
            with host.registry.metadata(plugin=name):
                return await host.call("greet")

        async with host.registry.running():
            assert await asyncio.gather(*map(ask, names)) == names

    asyncio.run(main())
