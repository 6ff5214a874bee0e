"""What callers hold: proxies, dispatchers, and what they say of hooks that a kind doesn't have."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dagstack_plugins import (
    BroadcastCollectDispatcher,
    BroadcastNotifyDispatcher,
    CapabilityDispatcher,
    ChainDispatcher,
    DispatchMismatch,
    HookUnknown,
    KindUnknown,
    PayloadInvalid,
    PluginRegistry,
    PluginUnavailable,
    SingletonDispatcher,
)

HOOKS = {
    "greet": {},
    "ask": {"dispatch": "broadcast_collect"},
    "tell": {"dispatch": "broadcast_notify"},
    "pass_on": {"dispatch": "chain"},
    "index": {"dispatch": "capability"},
}
DISPATCHERS = {
    "greet": SingletonDispatcher,
    "ask": BroadcastCollectDispatcher,
    "tell": BroadcastNotifyDispatcher,
    "pass_on": ChainDispatcher,
    "index": CapabilityDispatcher,
}


def says(value: Any) -> Any:
    return lambda self, payload: value


@pytest.fixture
def host(new_host: Any) -> Any:
    """Two plugins, the first of which is active; for ``index`` neither lists anything but ``b`` is the fallback."""
    made = new_host(HOOKS)
    for priority, name in enumerate("ba"):
        answers = dict.fromkeys(HOOKS, says(name)) | {"pass_on": says({"by": name})}
        made.add(name, **answers, priority=priority, fallback=name == "b")
    return made


async def test_a_proxy_of_the_kind_answers_each_hook_by_its_dispatch_class(host: Any) -> None:
    async with host.registry.running() as registry:
        proxy = registry.kind("greeter")
        assert proxy.greet() == "a"
        assert proxy.ask() == ["a", "b"]
        assert proxy.tell() is None
        assert proxy.pass_on(x=1) == {"by": "b"}
        assert proxy.index() == "b"


async def test_a_proxy_of_one_plugin_calls_that_one_whatever_the_class(host: Any) -> None:
    async with host.registry.running() as registry:
        for name in "ab":
            proxy = registry.get_plugin("greeter", name)
            assert [proxy.greet(), proxy.ask(), proxy.tell(), proxy.index()] == [name] * 4
            assert proxy.pass_on(x=1) == {"by": name}


async def test_a_proxy_of_the_active_plugin_calls_that_one_whatever_the_class(host: Any) -> None:
    async with host.registry.running() as registry:
        proxy = registry.get_plugin("greeter")
        for name in "aba":
            registry.set_active("greeter", name)
            assert [proxy.greet(), proxy.ask(), proxy.tell(), proxy.index()] == [name] * 4


async def test_one_plugin_that_can_not_be_called_says_why_and_comes_back(host: Any) -> None:
    proxy = host.registry.get_plugin("greeter", "b")
    with pytest.raises(PluginUnavailable, match="setup_all") as caught:
        proxy.greet()
    assert (caught.value.plugin, caught.value.hook) == ("b", "greet")
    async with host.registry.running() as registry:
        assert proxy.greet() == "b"
        await registry.unregister("greeter", "b")
        with pytest.raises(PluginUnavailable) as caught:
            proxy.greet()
        assert caught.value.reasons.keys() == {"a"}
        host.add("b", **(dict.fromkeys(HOOKS, says("new")) | {"pass_on": says({})}))
        await registry.setup_all()
        assert proxy.greet() == "new"


async def test_one_plugin_need_not_have_an_optional_hook(new_host: Any) -> None:
    host = new_host({"greet": {}, "wave": {"required": False}})
    host.add("a", greet=says("a"))
    async with host.registry.running() as registry:
        with pytest.raises(PluginUnavailable, match="it implements: greet") as caught:
            registry.get_plugin("greeter", "a").wave()
    assert (caught.value.plugin, caught.value.hook) == ("a", "wave")


# Hooks that there are not


def test_an_unknown_hook_is_an_attribute_error_that_suggests_the_nearest(host: Any) -> None:
    for proxy in (
        host.registry.kind("greeter"),
        host.registry.get_plugin("greeter"),
        host.registry.get_plugin("greeter", "a"),
        host.registry.kind("greeter").aio,
        host.registry.kind("greeter").sync,
    ):
        with pytest.raises(HookUnknown, match="did you mean 'greet'") as caught:
            proxy.gret  # noqa: B018
        assert isinstance(caught.value, AttributeError)
        assert isinstance(caught.value, DispatchMismatch)
        assert (caught.value.kind, caught.value.hook) == ("greeter", "gret")
        assert all(hook in str(caught.value) for hook in HOOKS)
        assert not hasattr(proxy, "nothing_like_it")
        assert not hasattr(proxy, "_private")


def test_a_proxy_shows_its_hooks(host: Any) -> None:
    proxy = host.registry.kind("greeter")
    assert set(dir(proxy)) == {*HOOKS, "aio", "sync"}
    for one, told in (
        (proxy, "greeter"),
        (proxy.aio, "aio"),
        (host.registry.get_plugin("greeter", "a"), "'a'"),
        (host.registry.get_plugin("greeter"), "active"),
    ):
        assert told in repr(one)
        assert "greet, ask" in repr(one)
    assert "greeter.greet" in repr(proxy.greet)


def test_a_proxy_can_be_copied(host: Any) -> None:
    proxy = host.registry.kind("greeter")
    assert repr(copy.copy(proxy)) == repr(proxy)


def test_forms_of_forms(host: Any) -> None:
    proxy = host.registry.kind("greeter")
    assert repr(proxy.aio.sync.greet) == repr(proxy.sync.greet)


# Dispatchers


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_dispatcher_is_called_like_the_hook_it_was_made_for(host: Any, hook: str) -> None:
    async with host.registry.running() as registry:
        dispatcher = DISPATCHERS[hook](registry, "greeter", hook)
        assert dispatcher() == getattr(registry.kind("greeter"), hook)()
        assert type(getattr(registry.kind("greeter"), hook)) is DISPATCHERS[hook]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("other", HOOKS)
def test_a_dispatcher_for_a_hook_of_another_class_is_a_mismatch(host: Any, hook: str, other: str) -> None:
    if hook == other:
        return
    with pytest.raises(DispatchMismatch, match=f"registry.kind\\('greeter'\\).{hook}") as caught:
        DISPATCHERS[other](host.registry, "greeter", hook)
    assert not isinstance(caught.value, HookUnknown)
    assert (caught.value.kind, caught.value.hook) == ("greeter", hook)


@pytest.mark.parametrize("dispatcher", DISPATCHERS.values())
def test_a_dispatcher_wants_a_kind_and_a_hook_that_exist(host: Any, dispatcher: Any) -> None:
    with pytest.raises(HookUnknown):
        dispatcher(host.registry, "greeter", "gret")
    with pytest.raises(KindUnknown):
        dispatcher(PluginRegistry(), "greeter", "greet")


async def test_a_dispatcher_follows_what_changes(new_host: Any) -> None:
    host = new_host(HOOKS)
    collect = BroadcastCollectDispatcher(host.registry, "greeter", "ask")
    first = SingletonDispatcher(host.registry, "greeter", "greet")
    assert collect() == []
    with pytest.raises(KindUnknown):
        first()
    host.add("a", **(dict.fromkeys(HOOKS, says("a")) | {"pass_on": says({})}))
    with pytest.raises(PluginUnavailable):
        first()
    async with host.registry.running() as registry:
        assert (collect(), first()) == (["a"], "a")
        await registry.unregister("greeter", "a")
        assert collect() == []
        with pytest.raises(KindUnknown):
            first()


# Arguments


async def test_any_property_can_be_given_by_keyword(new_host: Any) -> None:
    host = new_host({"greet": {}})
    host.add("a", greet=lambda self, payload: payload)
    async with host.registry.running() as registry:
        given = {"self": 1, "args": 2, "kwargs": 3, "payload": 4, "call": 5, "ctx": 6}
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            assert proxy.greet(**given) == given
            assert await proxy.aio.greet(**given) == given


async def test_a_bad_payload_is_told_before_anybody_is_asked(new_host: Any, text: Any) -> None:
    host = new_host({name: {**fields, "input_schema": text} for name, fields in HOOKS.items()})
    asked: list[Any] = []
    host.add("a", **{name: lambda self, payload: asked.append(payload) for name in HOOKS}, fallback=True)
    async with host.registry.running() as registry:
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            for hook in HOOKS:
                with pytest.raises(PayloadInvalid) as caught:
                    getattr(proxy, hook)(text=1)
                assert (caught.value.kind, caught.value.hook) == ("greeter", hook)
                assert (caught.value.side, caught.value.plugin, caught.value.path) == ("input", None, "$.text")
    assert asked == []
