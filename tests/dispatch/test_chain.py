"""chain: each plugin works on what the one before returned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import STOP_CHAIN, KindUnknown, PayloadInvalid, PluginState, PluginUnavailable

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@pytest.fixture
def host(new_host: Any) -> Any:
    return new_host({"step": {"dispatch": "chain", "input_schema": NUMBER, "output_schema": NUMBER}})


def adds(amount: int) -> Any:
    return lambda self, n: {"n": n + amount}


async def test_each_works_on_what_the_one_before_returned_and_the_last_value_comes_back(host: Any) -> None:
    host.add("double", step=lambda self, n: {"n": n * 2}, priority=2)
    host.add("increment", step=adds(1), priority=1)
    async with host.registry.running() as registry:
        result = host.call("step", n=5)
    assert result == {"n": 11}
    assert isinstance(result, registry.types("greeter").StepOutput)


async def test_without_plugins_the_kind_is_unknown_and_without_usable_ones_unavailable(host: Any) -> None:
    with pytest.raises(KindUnknown):
        host.call("step", n=1)
    host.add("a", step=adds(1))
    with pytest.raises(PluginUnavailable) as caught:
        host.call("step", n=1)
    assert caught.value.reasons.keys() == {"a"}


async def test_plugins_without_the_hook_are_left_out(new_host: Any) -> None:
    host = new_host({"step": {"dispatch": "chain", "required": False, "input_schema": NUMBER}, "other": {}})
    host.add("a", other=lambda self: None, priority=1)
    async with host.registry.running() as registry:
        with pytest.raises(PluginUnavailable):
            host.call("step", n=1)
        host.add("b", step=adds(1), other=lambda self: None)
        await registry.setup_all()
        assert host.call("step", n=1) == {"n": 2}


async def test_a_bare_stop_lets_the_value_before_it_stand(host: Any) -> None:
    host.add("a", step=adds(1), priority=3)
    host.add("b", step=lambda self, n: STOP_CHAIN, priority=2)
    host.add("c", step=adds(100), priority=1)
    async with host.registry.running():
        assert host.call("step", n=1) == {"n": 2}


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_stop_of_the_first_lets_the_callers_value_stand_as_a_result(host: Any, colour: str) -> None:
    async def stop(self: Any, n: int) -> Any:
        return STOP_CHAIN

    host.add("a", step=stop if colour == "async" else lambda self, n: STOP_CHAIN, priority=1)
    host.add("b", step=adds(100))
    async with host.registry.running() as registry:
        result = await registry.kind("greeter").aio.step(n=1)
    assert result == {"n": 1}
    assert isinstance(result, registry.types("greeter").StepOutput)


async def test_a_stop_with_a_value_ends_the_chain_with_that(host: Any) -> None:
    host.add("a", step=lambda self, n: STOP_CHAIN.with_value({"n": 7}), priority=1)
    host.add("b", step=adds(100))
    async with host.registry.running() as registry:
        result = host.call("step", n=1)
    assert result == {"n": 7}
    assert isinstance(result, registry.types("greeter").StepOutput)
    assert not STOP_CHAIN.has_value


async def test_the_value_of_a_stop_is_checked(host: Any) -> None:
    host.add("a", step=lambda self, n: STOP_CHAIN.with_value({"n": "seven"}))
    async with host.registry.running():
        with pytest.raises(PayloadInvalid) as caught:
            host.call("step", n=1)
    assert (caught.value.side, caught.value.plugin, caught.value.path) == ("output", "a", "$.n")


async def test_a_stop_with_none_is_no_bare_stop(new_host: Any) -> None:
    host = new_host({"step": {"dispatch": "chain"}})
    host.add("a", step=lambda self, args: STOP_CHAIN.with_value(None))
    async with host.registry.running():
        assert host.call("step", n=1) is None


async def test_one_plugin_called_by_name_may_stop_too(host: Any) -> None:
    host.add("a", step=lambda self, n: STOP_CHAIN)
    host.add("b", step=lambda self, n: STOP_CHAIN.with_value({"n": 7}))
    host.add("c", step=adds(1), priority=1)
    async with host.registry.running() as registry:
        assert registry.get_plugin("greeter", "a").step(n=1) == {"n": 1}
        assert registry.get_plugin("greeter", "b").step(n=1) == {"n": 7}
        assert registry.get_plugin("greeter").step(n=1) == {"n": 2}


async def test_raising_ends_it_with_the_error(host: Any) -> None:
    error, asked = RuntimeError("torn"), []

    def tears(self: Any, n: int) -> None:
        raise error

    host.add("a", step=tears, priority=1)
    host.add("b", step=lambda self, n: asked.append(n))
    async with host.registry.running():
        with pytest.raises(RuntimeError) as caught:
            host.call("step", n=1)
        assert host.states()["a"] is PluginState.READY
    assert caught.value is error
    assert any("'a'" in note and "'step'" in note for note in error.__notes__)
    assert asked == []


async def test_each_output_is_checked_as_the_next_input(new_host: Any) -> None:
    host = new_host({"step": {"dispatch": "chain", "input_schema": NUMBER}})
    host.add("a", step=lambda self, n: {"n": str(n)}, priority=1)
    host.add("b", step=adds(1))
    async with host.registry.running():
        with pytest.raises(PayloadInvalid, match="passed on") as caught:
            host.call("step", n=1)
    assert (caught.value.side, caught.value.plugin, caught.value.path) == ("input", "a", "$.n")


@pytest.mark.parametrize("schema", [NUMBER, None], ids=["schema", "any object"])
async def test_none_from_a_step_is_never_passed_over(new_host: Any, schema: Any) -> None:
    asked: list[Any] = []
    host = new_host({"step": {"dispatch": "chain", **({"input_schema": schema} if schema else {})}})
    host.add("a", step=lambda self, args: None, priority=1)
    host.add("b", step=lambda self, args: asked.append(args))
    async with host.registry.running():
        with pytest.raises(PayloadInvalid, match="'a'"):
            host.call("step", n=1)
    assert asked == []


async def test_with_nothing_checked_none_is_passed_on(new_host: Any) -> None:
    host = new_host({"step": {"dispatch": "chain"}}, validate="off")
    host.add("a", step=lambda self, args: None, priority=1)
    host.add("b", step=lambda self, args: ["got", args])
    async with host.registry.running():
        assert host.call("step", n=1) == ["got", None]


async def test_defaults_are_filled_in_between(new_host: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 40}}}
    host = new_host({"step": {"dispatch": "chain", "input_schema": schema}})
    host.add("a", step=lambda self, args: {}, priority=1)
    host.add("b", step=adds(2))
    async with host.registry.running():
        assert host.call("step") == {"n": 42}


async def test_plain_and_coroutine_functions_make_one_chain(host: Any) -> None:
    async def doubles(self: Any, n: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"n": n * 2}

    host.add("a", step=adds(1), priority=2)
    host.add("b", step=doubles, priority=1)
    host.add("c", step=adds(1))
    async with host.registry.running():
        assert await host.call("step", n=1) == {"n": 5}
        assert await asyncio.to_thread(host.registry.kind("greeter").sync.step, n=1) == {"n": 5}


# The law: a chain is functools.reduce with a stop.

Step = Callable[[int], Any]
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "multiply", "stop", "stop with", "raise", "break"]),
        st.integers(-3, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


class Raised(Exception):
    pass


class Stopped(Exception):
    pass


def method(what: str, amount: int, *, is_async: bool) -> Any:
    def step(self: Any, n: int) -> Any:
        if what == "raise":
            raise Raised
        return {
            "add": {"n": n + amount},
            "multiply": {"n": n * amount},
            "stop": STOP_CHAIN,
            "stop with": STOP_CHAIN.with_value({"n": amount}),
            "break": {"n": None},
        }[what]

    async def step_async(self: Any, n: int) -> Any:
        return step(self, n)

    return step_async if is_async else step


def reduced(plan: list[tuple[str, int, bool]], start: int) -> Any:
    def apply(value: int, one: tuple[str, int, bool]) -> int:
        what, amount, _ = one
        if what in ("stop", "stop with"):
            raise Stopped(value if what == "stop" else amount)
        if what == "raise":
            raise Raised
        if what == "break":
            raise PayloadInvalid("n")
        return value + amount if what == "add" else value * amount

    try:
        return reduce(apply, plan, start)
    except Stopped as stop:
        return stop.args[0]
    except (Raised, PayloadInvalid) as error:
        return type(error)


@settings(max_examples=150)
@given(plan=steps, start=st.integers(-5, 5))
def test_a_chain_is_a_reduction_with_a_stop(new_host: Any, plan: list[tuple[str, int, bool]], start: int) -> None:
    host = new_host({"step": {"dispatch": "chain", "input_schema": NUMBER, "output_schema": NUMBER}})
    for place, (what, amount, is_async) in enumerate(plan):
        host.add(f"p{place}", step=method(what, amount, is_async=is_async), priority=len(plan) - place)

    async def run() -> Any:
        await host.registry.setup_all()
        try:
            return (await host.registry.kind("greeter").aio.step(n=start))["n"]
        except (Raised, PayloadInvalid) as error:
            return type(error)

    assert asyncio.run(run()) == reduced(plan, start)


async def test_what_the_first_changes_before_it_stops_the_chain_is_not_what_stands(host: Any) -> None:
    def changes_and_stops(self: Any, payload: Any) -> Any:
        payload.n = 99
        return STOP_CHAIN

    host.add("first", step=changes_and_stops)
    async with host.registry.running():
        assert host.call("step", n=1) == {"n": 1}


async def test_an_error_that_generators_use_themselves_arrives_as_it_is(host: Any) -> None:
    def stops(self: Any, n: int) -> Any:
        raise StopIteration("mine")

    host.add("a", step=stops)
    async with host.registry.running():
        with pytest.raises(StopIteration, match="mine") as caught:
            host.call("step", n=1)
    assert "'a'" in caught.value.__notes__[0]
