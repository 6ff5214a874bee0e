"""singleton: who is active, and what the caller hears when nobody is."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import (
    STOP_CHAIN,
    AmbiguousPlugin,
    KindUnknown,
    PayloadInvalid,
    PluginError,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
)

VARIABLE = "DAGSTACK_ACTIVE_GREETER"


def says(name: str) -> Any:
    """A hook that answers with the plugin's name."""
    return lambda self: name


def fails(self: Any) -> None:
    raise RuntimeError("no licence")


@pytest.fixture
def host(new_host: Any) -> Any:
    return new_host({"greet": {}})


# Nobody


def test_a_kind_without_a_hookspec_is_unknown_and_says_what_makes_it_known() -> None:
    for ask in (PluginRegistry.kind, PluginRegistry.get_plugin, PluginRegistry.types):
        with pytest.raises(KindUnknown, match="add_hookspecs") as caught:
            ask(PluginRegistry(), "nonsense")
        assert caught.value.kind == "nonsense"


def test_a_near_kind_is_suggested() -> None:
    with pytest.raises(KindUnknown, match="did you mean 'tool'"):
        PluginRegistry().kind("tol")


def test_an_unknown_kind_tells_which_folders_wait_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "early"
    folder.mkdir()
    (folder / "dagstack.toml").write_text(
        '[plugin]\nname = "early"\nkind = "late_kind"\ncore_version = ">=0.1"\nruntime = "in_process"\n'
    )
    registry = PluginRegistry()
    registry.discover(tmp_path)
    with pytest.raises(KindUnknown) as caught:
        registry.kind("late_kind")
    assert str(folder) in str(caught.value)


def test_a_kind_without_any_plugin_is_unknown_when_it_is_called(host: Any) -> None:
    with pytest.raises(KindUnknown, match="discover") as caught:
        host.call("greet")
    assert (caught.value.kind, caught.value.hook) == ("greeter", "greet")
    with pytest.raises(KindUnknown):
        host.registry.get_plugin("greeter")


def test_a_kind_without_any_plugin_tells_where_plugins_were_looked_for(host: Any, tmp_path: Path) -> None:
    host.registry.discover(tmp_path)
    with pytest.raises(KindUnknown) as caught:
        host.call("greet")
    assert str(tmp_path) in str(caught.value)


def test_a_kind_without_any_plugin_is_unknown_whatever_the_environment_names(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "a")
    with pytest.raises(KindUnknown):
        host.call("greet")


def test_before_setup_nothing_can_be_called_and_the_reason_says_so(host: Any) -> None:
    host.add("a", greet=says("a"))
    with pytest.raises(PluginUnavailable, match="setup_all") as caught:
        host.call("greet")
    assert caught.value.reasons.keys() == {"a"}
    assert (caught.value.kind, caught.value.hook) == ("greeter", "greet")


async def test_after_teardown_nothing_can_be_called_and_the_reason_says_so(host: Any) -> None:
    host.add("a", greet=says("a"))
    proxy = host.registry.kind("greeter")
    async with host.registry.running():
        assert proxy.greet() == "a"
    with pytest.raises(PluginUnavailable, match="stopped"):
        proxy.greet()


async def test_unavailable_lists_each_plugin_with_its_reason(host: Any) -> None:
    host.add("a", greet=says("a"), setup=fails, priority=1)
    host.add("b", greet=says("b"), depends_on=["nowhere"])
    await host.registry.setup_all()
    with pytest.raises(PluginUnavailable) as caught:
        host.call("greet")
    assert list(caught.value.reasons) == ["a", "b"]
    assert "no licence" in caught.value.reasons["a"]
    assert "nowhere" in caught.value.reasons["b"]
    assert all(reason in str(caught.value) for reason in caught.value.reasons.values())


async def test_an_unknown_name_is_unavailable_and_lists_the_names_there_are(host: Any) -> None:
    host.add("stripe", greet=says("stripe"), priority=1)
    host.add("internal", greet=says("internal"))
    async with host.registry.running():
        for ask in (host.registry.get_plugin, host.registry.set_active):
            with pytest.raises(PluginUnavailable, match="did you mean 'stripe'") as caught:
                ask("greeter", "strip")
            assert caught.value.reasons == {"stripe": "ready", "internal": "ready"}
            assert caught.value.plugin == "strip"


# Who is active


async def test_the_first_in_order_answers(host: Any) -> None:
    host.add("low", greet=says("low"), priority=1)
    host.add("high", greet=says("high"), priority=2)
    async with host.registry.running():
        assert host.call("greet") == "high"


async def test_a_band_decides_before_priority(host: Any) -> None:
    host.add("a", greet=says("a"), priority=100)
    host.add("b", greet=says("b"), tryfirst=True)
    async with host.registry.running():
        assert host.call("greet") == "b"


async def test_the_next_one_answers_when_the_first_could_not_start(host: Any) -> None:
    host.add("low", greet=says("low"), priority=1)
    host.add("high", greet=says("high"), priority=2, setup=fails)
    async with host.registry.running():
        assert host.call("greet") == "low"


async def test_set_active_comes_before_the_environment_and_that_before_order(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for priority, name in enumerate("abc"):
        host.add(name, greet=says(name), priority=priority)
    monkeypatch.setenv(VARIABLE, "b")
    async with host.registry.running() as registry:
        assert host.call("greet") == "b"
        registry.set_active("greeter", "a")
        assert host.call("greet") == "a"
        registry.set_active("greeter", None)
        assert host.call("greet") == "b"
        monkeypatch.delenv(VARIABLE)
        assert host.call("greet") == "c"


@pytest.mark.parametrize("read", ["setup_all", "get_plugin", "kind"])
async def test_the_environment_is_read_then_and_not_in_a_call(
    host: Any, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    host.add("a", greet=says("a"), priority=1)
    host.add("b", greet=says("b"))
    async with host.registry.running() as registry:
        held = registry.get_plugin("greeter")
        monkeypatch.setenv(VARIABLE, "b")
        assert held.greet() == "a"
        if read == "setup_all":
            await registry.setup_all()
        else:
            getattr(registry, read)("greeter")
        assert held.greet() == "b"


async def test_an_empty_variable_chooses_nobody(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("a", greet=says("a"))
    monkeypatch.setenv(VARIABLE, "")
    async with host.registry.running():
        assert host.call("greet") == "a"


@pytest.mark.parametrize(
    "hook", [{}, {"selection": "named"}, {"dispatch": "chain"}, {"dispatch": "capability"}], ids=str
)
async def test_an_unknown_name_in_the_variable_stops_setup_all_before_anything_starts(
    new_host: Any, monkeypatch: pytest.MonkeyPatch, hook: dict[str, str]
) -> None:
    host = new_host({"greet": hook})
    host.add("a", greet=says("a"))
    monkeypatch.setenv(VARIABLE, "nobody")
    with pytest.raises(PluginUnavailable, match=VARIABLE) as caught:
        await host.registry.setup_all()
    assert "a" in caught.value.reasons
    assert host.states() == {"a": PluginState.REGISTERED}


async def test_an_unknown_name_in_the_variable_is_unavailable_at_get_plugin(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add("a", greet=says("a"))
    async with host.registry.running() as registry:
        monkeypatch.setenv(VARIABLE, "nobody")
        with pytest.raises(PluginUnavailable, match=VARIABLE):
            registry.get_plugin("greeter")


async def test_a_choice_that_cannot_be_called_is_never_replaced(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("a", greet=says("a"), priority=1)
    host.add("b", greet=says("b"), setup=fails)
    monkeypatch.setenv(VARIABLE, "b")
    async with host.registry.running():
        with pytest.raises(PluginUnavailable, match="no licence") as caught:
            host.call("greet")
    assert caught.value.plugin == "b"


async def test_a_choice_that_was_unregistered_is_never_replaced(host: Any) -> None:
    host.add("a", greet=says("a"), priority=1)
    host.add("b", greet=says("b"))
    async with host.registry.running() as registry:
        registry.set_active("greeter", "b")
        await registry.unregister("greeter", "b")
        with pytest.raises(PluginUnavailable, match="set_active"):
            host.call("greet")


async def test_the_active_one_must_have_the_capabilities_that_a_caller_requires(host: Any) -> None:
    host.add("a", greet=says("a"), priority=1)
    host.add("b", greet=says("b"), capabilities=["pii"])
    async with host.registry.running() as registry:
        proxy = registry.kind("greeter", require={"pii"})
        assert proxy.greet() == "b"
        registry.set_active("greeter", "a")
        with pytest.raises(PluginUnavailable, match="pii") as caught:
            proxy.greet()
        assert caught.value.reasons.keys() == {"a", "b"}
        registry.set_active("greeter", None)
        with pytest.raises(PluginUnavailable, match="gdpr") as caught:
            registry.kind("greeter", require={"pii", "gdpr"}).greet()
        assert caught.value.reasons.keys() == {"a", "b"}


async def test_get_plugin_without_a_name_follows_the_active_one(host: Any) -> None:
    host.add("a", greet=says("a"), priority=1)
    host.add("b", greet=says("b"))
    async with host.registry.running() as registry:
        proxy = registry.get_plugin("greeter")
        assert proxy.greet() == "a"
        registry.set_active("greeter", "b")
        assert proxy.greet() == "b"
        await registry.unregister("greeter", "b")
        registry.set_active("greeter", None)
        assert proxy.greet() == "a"


async def test_the_active_one_need_not_have_an_optional_hook(new_host: Any) -> None:
    host = new_host({"greet": {}, "wave": {"required": False}})
    host.add("a", greet=says("a"), priority=1)
    host.add("b", greet=says("b"), wave=says("b"))
    async with host.registry.running():
        with pytest.raises(PluginUnavailable, match="does not implement hook 'wave'") as caught:
            host.call("wave")
    assert caught.value.plugin == "a"


# Ties


async def test_a_tie_at_the_top_is_told_at_setup_and_nothing_starts(host: Any) -> None:
    for name in ("b", "a", "c"):
        host.add(name, greet=says(name), priority=5)
    host.add("low", greet=says("low"))
    with pytest.raises(AmbiguousPlugin, match=VARIABLE) as caught:
        await host.registry.setup_all()
    assert caught.value.candidates == ("a", "b", "c")
    assert caught.value.kind == "greeter"
    assert all(name in str(caught.value) for name in "abc")
    assert set(host.states().values()) == {PluginState.REGISTERED}


async def test_a_tie_below_the_top_is_none(host: Any) -> None:
    host.add("top", greet=says("top"), priority=9)
    host.add("a", greet=says("a"))
    host.add("b", greet=says("b"))
    async with host.registry.running():
        assert host.call("greet") == "top"


@pytest.mark.parametrize("how", ["variable", "set_active", "band"])
async def test_what_decides_a_tie(host: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    host.add("a", greet=says("a"))
    host.add("b", greet=says("b"), tryfirst=how == "band")
    if how == "variable":
        monkeypatch.setenv(VARIABLE, "b")
    if how == "set_active":
        host.registry.set_active("greeter", "b")
    async with host.registry.running():
        assert host.call("greet") == "b"


async def test_a_tie_that_comes_up_later_is_told_at_the_call(host: Any) -> None:
    host.add("top", greet=says("top"), priority=9)
    host.add("a", greet=says("a"))
    host.add("b", greet=says("b"))
    async with host.registry.running() as registry:
        proxy = registry.get_plugin("greeter")
        await registry.unregister("greeter", "top")
        with pytest.raises(AmbiguousPlugin, match=VARIABLE) as caught:
            proxy.greet()
        assert caught.value.candidates == ("a", "b")
        registry.set_active("greeter", "b")
        assert proxy.greet() == "b"


async def test_a_tie_of_plugins_of_which_one_can_not_start_is_told_all_the_same(host: Any) -> None:
    host.add("a", greet=says("a"))
    host.add("b", greet=says("b"), setup=fails)
    with pytest.raises(AmbiguousPlugin):
        await host.registry.setup_all()


@pytest.mark.parametrize(
    "hook",
    [{"selection": "named"}, *({"dispatch": name} for name in ("broadcast_collect", "chain", "capability"))],
    ids=str,
)
async def test_only_kinds_with_an_active_plugin_know_ties(new_host: Any, hook: dict[str, str]) -> None:
    host = new_host({"greet": hook})
    host.add("a", greet=says("a"))
    host.add("b", greet=says("b"))
    await host.registry.setup_all()
    assert set(host.states().values()) == {PluginState.READY}


# Named kinds


async def test_of_a_named_kind_the_only_plugin_answers_and_several_are_ambiguous(new_host: Any) -> None:
    host = new_host({"greet": {"selection": "named"}})
    host.add("a", greet=says("a"), priority=9)
    async with host.registry.running() as registry:
        assert host.call("greet") == registry.get_plugin("greeter").greet() == "a"
        host.add("b", greet=says("b"))
        await registry.setup_all()
        with pytest.raises(AmbiguousPlugin, match="get_plugin") as caught:
            host.call("greet")
        assert caught.value.candidates == ("a", "b")
        assert registry.get_plugin("greeter", "b").greet() == "b"


# What plugins raise


class Broken(Exception):
    pass


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_an_error_of_a_plugin_reaches_the_caller_as_it_is_with_a_note(host: Any, colour: str) -> None:
    error = Broken("teapot")

    def greet(self: Any) -> None:
        raise error

    async def greet_async(self: Any) -> None:
        raise error

    host.add("a", greet=greet if colour == "sync" else greet_async)
    async with host.registry.running() as registry:
        for _ in range(2):
            with pytest.raises(Broken) as caught:
                await registry.kind("greeter").aio.greet()
            assert caught.value is error
            (note,) = error.__notes__
            assert "'a'" in note
            assert "'greet'" in note


async def test_an_error_that_takes_no_note_reaches_the_caller_all_the_same(host: Any) -> None:
    @dataclasses.dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    def greet(self: Any) -> None:
        raise Frozen(7)

    host.add("a", greet=greet)
    async with host.registry.running():
        with pytest.raises(Frozen):
            host.call("greet")


class Exits(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit(3), Exits("bye")], ids=repr)
@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_plugin_that_exits_fails_its_call_and_the_host_lives_on(
    host: Any, error: BaseException, colour: str
) -> None:
    exiting = [True]

    def greet(self: Any) -> str:
        if exiting:
            raise error
        return "back"

    async def greet_async(self: Any) -> str:
        return greet(self)

    host.add("a", greet=greet if colour == "sync" else greet_async)
    async with host.registry.running() as registry:
        with pytest.raises(PluginError, match="greet") as caught:
            await registry.kind("greeter").aio.greet()
        assert caught.value.error_type == type(error).__name__
        assert (caught.value.kind, caught.value.plugin, caught.value.hook) == ("greeter", "a", "greet")
        assert caught.value.__cause__ is error
        exiting.clear()
        assert await registry.kind("greeter").aio.greet() == "back"


async def test_the_interrupt_of_a_user_passes(host: Any) -> None:
    def greet(self: Any) -> None:
        raise KeyboardInterrupt

    host.add("a", greet=greet)
    async with host.registry.running():
        with pytest.raises(KeyboardInterrupt):
            host.call("greet")


async def test_what_a_singleton_returns_is_its_result_even_where_it_means_more_in_a_chain(
    new_host: Any, text: Any
) -> None:
    host = new_host({"greet": {"output_schema": text}})
    host.add("a", greet=lambda self: STOP_CHAIN)
    async with host.registry.running():
        with pytest.raises(PayloadInvalid) as caught:
            host.call("greet")
    assert (caught.value.side, caught.value.plugin) == ("output", "a")


async def test_none_is_a_result(host: Any) -> None:
    host.add("a", greet=says(None), priority=1)  # type: ignore[arg-type]
    host.add("b", greet=says("b"))
    async with host.registry.running():
        assert host.call("greet") is None


# The law of selection

candidates = st.lists(
    st.tuples(st.sampled_from(["tryfirst", "", "trylast"]), st.integers(0, 2), st.sampled_from("abcd"), st.booleans()),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one[2],
)
choice = st.none() | st.sampled_from("abcd")


def expected(
    plugins: list[tuple[str, int, str, bool]], set_active: str | None, variable: str | None
) -> tuple[type[Exception] | None, str | type[Exception]]:
    """What ``setup_all`` raises, and who answers after it, or what a call raises."""

    def rank(one: tuple[str, int, str, bool]) -> tuple[int, int]:
        return ["tryfirst", "", "trylast"].index(one[0]), -one[1]

    chosen = set_active or variable
    usable = {one[2]: one[3] for one in plugins}
    if chosen is not None:
        if chosen not in usable:
            return PluginUnavailable, PluginUnavailable
        return None, chosen if usable[chosen] else PluginUnavailable
    ranks = sorted(map(rank, plugins))
    if ranks[1:] and ranks[0] == ranks[1]:
        return AmbiguousPlugin, PluginUnavailable
    able = sorted((rank(one), one[2]) for one in plugins if one[3])
    if not able:
        return None, PluginUnavailable
    return None, AmbiguousPlugin if able[1:] and able[0][0] == able[1][0] else able[0][1]


@settings(max_examples=150)
@given(plugins=candidates, set_active=choice, variable=choice)
def test_the_law_of_selection(
    new_host: Any, plugins: list[tuple[str, int, str, bool]], set_active: str | None, variable: str | None
) -> None:
    host = new_host({"greet": {}})
    names = {one[2] for one in plugins}
    set_active = set_active if set_active in names else None
    for band, priority, name, starts in plugins:
        fields = {band: True} if band else {}
        host.add(name, greet=says(name), setup=(lambda self: None) if starts else fails, priority=priority, **fields)
    if set_active:
        host.registry.set_active("greeter", set_active)
    at_setup, answer = expected(plugins, set_active, variable)

    async def run() -> None:
        with pytest.raises(at_setup) if at_setup else contextlib.nullcontext():
            await host.registry.setup_all()
        if isinstance(answer, str):
            assert host.call("greet") == answer
        else:
            with pytest.raises(answer):
                host.call("greet")

    with pytest.MonkeyPatch.context() as patch:
        if variable:
            patch.setenv(VARIABLE, variable)
        asyncio.run(run())
