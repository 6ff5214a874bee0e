"""broadcast_collect and broadcast_notify: everyone who has the hook, and what becomes of failures."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from dagstack_plugins import (
    BroadcastErrors,
    Collected,
    DispatchMismatch,
    PayloadInvalid,
    PluginError,
    PluginState,
    TeardownErrors,
)


def fails(self: Any) -> None:
    raise RuntimeError("out of paper")


def says(name: str) -> Any:
    return lambda self: name


@pytest.fixture
def fast(new_host: Any) -> Any:
    return new_host({"ask": {"dispatch": "broadcast_collect"}})


@pytest.fixture
def best(new_host: Any) -> Any:
    return new_host({"ask": {"dispatch": "broadcast_collect", "error_policy": "best_effort"}})


@pytest.fixture
def notify(new_host: Any) -> Any:
    return new_host({"tell": {"dispatch": "broadcast_notify"}})


# Nobody


@pytest.mark.parametrize("colour", [None, True, False])
async def test_nobody_is_a_fine_answer(new_host: Any, colour: bool | None) -> None:
    hooks = {"ask": {"dispatch": "broadcast_collect"}, "tell": {"dispatch": "broadcast_notify"}}
    if colour is not None:
        hooks = {name: {**fields, "async": colour} for name, fields in hooks.items()}
    host = new_host(hooks)
    for prepared in ("no plugin", "not started", "failed"):
        if prepared == "not started":
            host.add("a", ask=says("a"), tell=says("a"), setup=fails)
        if prepared == "failed":
            await host.registry.setup_all()
        answers = [host.call("ask"), host.call("tell")]
        if colour:
            answers = [await answer for answer in answers]
        assert answers == [[], None]
        assert await host.registry.kind("greeter").aio.ask() == []
        assert await host.registry.kind("greeter").aio.tell() is None


async def test_only_those_that_have_the_hook_take_part(new_host: Any) -> None:
    host = new_host({"ask": {"dispatch": "broadcast_collect"}, "tell": {"dispatch": "broadcast_notify"}})
    host.add("a", ask=says("a"))
    host.add("b", tell=says("b"))
    async with host.registry.running():
        assert host.call("ask") == ["a"]
        assert host.call("tell") is None


async def test_a_required_capability_keeps_the_others_out(best: Any) -> None:
    best.add("a", ask=says("a"), capabilities=["pii", "eu"])
    best.add("b", ask=says("b"), capabilities=["eu"])
    async with best.registry.running() as registry:
        assert registry.kind("greeter", require={"pii"}).ask() == ["a"]
        assert registry.kind("greeter", require=["eu"]).ask() == ["a", "b"]
        assert registry.kind("greeter", require={"pii", "none"}).ask() == []
        assert registry.kind("greeter").ask() == ["a", "b"]


async def test_none_is_an_answer_like_any_other(fast: Any) -> None:
    fast.add("a", ask=says(None))  # type: ignore[arg-type]
    fast.add("b", ask=says("b"))
    async with fast.registry.running():
        assert fast.call("ask") == [None, "b"]


# fail_fast


async def test_fail_fast_raises_the_first_failure_and_asks_no_further(fast: Any) -> None:
    asked = []
    fast.add("a", ask=lambda self: asked.append("a"), priority=3)
    fast.add("b", ask=fails, priority=2)
    fast.add("c", ask=lambda self: asked.append("c"), priority=1)
    async with fast.registry.running():
        with pytest.raises(BroadcastErrors, match="out of paper") as caught:
            fast.call("ask")
    ((name, error),) = caught.value.errors
    assert (name, type(error)) == ("b", RuntimeError)
    assert caught.value.__cause__ is error
    assert (caught.value.kind, caught.value.hook, caught.value.plugin) == ("greeter", "ask", "b")
    assert asked == ["a"]


async def test_fail_fast_cancels_those_that_still_work_and_waits_for_them(fast: Any) -> None:
    ended = []

    async def slow(self: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    async def failing(self: Any) -> None:
        raise RuntimeError("out of paper")

    fast.add("slow", ask=slow, priority=1)
    fast.add("failing", ask=failing)
    async with fast.registry.running():
        with pytest.raises(BroadcastErrors) as caught:
            await fast.call("ask")
        assert [name for name, _ in caught.value.errors] == ["failing"]
        assert ended == ["slow"]
        assert fast.states()["slow"] is PluginState.READY


# best_effort


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_best_effort_gives_the_answers_and_the_failures_beside_them(best: Any, colour: str) -> None:
    async def fails_async(self: Any) -> None:
        fails(self)

    best.add("a", ask=says("a"), priority=3)
    best.add("b", ask=fails if colour == "sync" else fails_async, priority=2)
    best.add("c", ask=says("c"), priority=1)
    async with best.registry.running() as registry:
        answers = await registry.kind("greeter").aio.ask()
    assert isinstance(answers, Collected)
    assert answers == ["a", "c"]
    ((name, error),) = answers.errors
    assert (name, str(error)) == ("b", "out of paper")
    assert any("'b'" in note and "'ask'" in note for note in error.__notes__)


async def test_without_failures_there_are_no_errors(best: Any) -> None:
    best.add("a", ask=says("a"))
    async with best.registry.running():
        assert best.call("ask").errors == ()


async def test_an_exit_is_a_failure_like_any_other(best: Any) -> None:
    def exits(self: Any) -> None:
        raise SystemExit(1)

    best.add("a", ask=exits)
    best.add("b", ask=says("b"))
    async with best.registry.running():
        answers = best.call("ask")
    assert answers == ["b"]
    assert isinstance(answers.errors[0][1], PluginError)


async def test_an_answer_that_breaks_the_schema_is_a_failure(new_host: Any, text: Any) -> None:
    host = new_host({"ask": {"dispatch": "broadcast_collect", "error_policy": "best_effort", "output_schema": text}})
    host.add("a", ask=lambda self: {"text": 1})
    host.add("b", ask=lambda self: {"text": "b"})
    async with host.registry.running():
        answers = host.call("ask")
        assert answers == [{"text": "b"}]
        assert isinstance(answers.errors[0][1], PayloadInvalid)
        assert answers.errors[0][1].plugin == "a"
        assert host.states() == {"a": PluginState.DEGRADED, "b": PluginState.READY}


# Degraded


@pytest.mark.parametrize("policy", ["fail_fast", "best_effort"])
async def test_a_failing_plugin_is_degraded_until_it_next_succeeds(new_host: Any, policy: str) -> None:
    host = new_host({"ask": {"dispatch": "broadcast_collect", "error_policy": policy}})
    broken = [True]

    def ask(self: Any) -> str:
        if broken:
            raise RuntimeError("out of paper")
        return "a"

    host.add("a", ask=ask)
    async with host.registry.running() as registry:
        if policy == "fail_fast":
            with pytest.raises(BroadcastErrors):
                host.call("ask")
        else:
            host.call("ask")
        (status,) = registry.status()
        assert status.state is PluginState.DEGRADED
        assert "out of paper" in status.reason
        assert isinstance(status.error, RuntimeError)
        assert registry.unavailable_plugins() == []
        broken.clear()
        assert host.call("ask") == ["a"]
        (status,) = registry.status()
        assert (status.state, status.reason, status.error) == (PluginState.READY, "", None)


@pytest.mark.parametrize("hook", ["greet", "pass_on", "stop"])
async def test_success_in_any_hook_recovers(new_host: Any, hook: str) -> None:
    from dagstack_plugins import STOP_CHAIN

    host = new_host(
        {
            "ask": {"dispatch": "broadcast_collect", "error_policy": "best_effort"},
            "greet": {},
            "pass_on": {"dispatch": "chain"},
            "stop": {"dispatch": "chain"},
        }
    )
    host.add("a", ask=fails, greet=says("a"), pass_on=lambda self, x: x, stop=lambda self, x: STOP_CHAIN)
    async with host.registry.running():
        host.call("ask")
        assert host.states() == {"a": PluginState.DEGRADED}
        host.call(hook)
        assert host.states() == {"a": PluginState.READY}


async def test_a_degraded_plugin_takes_part_and_is_torn_down(best: Any) -> None:
    ended = []
    best.add("a", ask=fails, teardown=lambda self: ended.append("a"))
    async with best.registry.running():
        best.call("ask")
        assert [name for name, _ in best.call("ask").errors] == ["a"]
    assert ended == ["a"]
    assert best.states() == {"a": PluginState.STOPPED}


# notify


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_listener_that_fails_is_logged_with_plugin_and_hook_and_the_others_hear(
    notify: Any, caplog: pytest.LogCaptureFixture, colour: str
) -> None:
    heard = []

    async def fails_async(self: Any) -> None:
        fails(self)

    notify.add("a", tell=fails if colour == "sync" else fails_async, priority=1)
    notify.add("b", tell=lambda self: heard.append("b"))
    async with notify.registry.running() as registry:
        assert await registry.kind("greeter").aio.tell() is None
    assert heard == ["b"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "dagstack_plugins"
    assert "a" in record.getMessage()
    assert "tell" in record.getMessage()
    assert record.exc_info is not None
    assert "out of paper" in str(record.exc_info[1])


async def test_a_listener_that_exits_is_logged_too(notify: Any, caplog: pytest.LogCaptureFixture) -> None:
    def exits(self: Any) -> None:
        raise SystemExit("enough")

    notify.add("a", tell=exits)
    async with notify.registry.running():
        assert notify.call("tell") is None
    assert "tell" in caplog.text


async def test_the_callers_own_bad_payload_is_raised(new_host: Any, text: Any) -> None:
    host = new_host({name: {"dispatch": f"broadcast_{name}", "input_schema": text} for name in ("notify", "collect")})
    heard = []
    host.add("a", notify=lambda self, text: heard.append(text), collect=lambda self, text: heard.append(text))
    async with host.registry.running():
        for hook in ("notify", "collect"):
            with pytest.raises(PayloadInvalid) as caught:
                host.call(hook, text=1)
            assert (caught.value.side, caught.value.plugin, caught.value.path) == ("input", None, "$.text")
    assert heard == []


@pytest.mark.parametrize("hook", ["tell", "ask"])
async def test_async_listeners_run_concurrently(new_host: Any, hook: str) -> None:
    host = new_host({hook: {"dispatch": {"tell": "broadcast_notify", "ask": "broadcast_collect"}[hook]}})
    together = asyncio.Barrier(3)

    async def wait(self: Any) -> None:
        await together.wait()

    for name in "abc":
        host.add(name, **{hook: wait})
    async with host.registry.running():
        await asyncio.wait_for(host.call(hook), 10)


async def test_a_caller_that_gives_up_takes_the_listeners_along(notify: Any) -> None:
    started, ended = asyncio.Barrier(3), []

    async def wait(self: Any) -> None:
        try:
            await started.wait()
            await asyncio.Event().wait()
        finally:
            ended.append(self)

    notify.add("a", tell=wait)
    notify.add("b", tell=wait)
    async with notify.registry.running():
        caller = asyncio.ensure_future(notify.call("tell"))
        await started.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert len(ended) == 2


async def test_a_listener_that_cancels_itself_is_a_failed_listener_not_a_cancelled_caller(
    notify: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard = []

    async def cancels(self: Any) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    async def hears(self: Any) -> None:
        heard.append(True)

    notify.add("a", tell=cancels)
    async with notify.registry.running() as registry:
        assert await notify.call("tell") is None
        notify.add("b", tell=hears)
        await registry.setup_all()
        assert await notify.call("tell") is None
    assert heard == [True]
    assert "CancelledError" in caplog.text


# The loop rule


@pytest.mark.parametrize("hook", ["ask", "tell", "pass_on"])
async def test_a_blocking_call_on_the_plugins_loop_blames_the_caller_and_asks_nobody(
    new_host: Any, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = new_host(
        {
            "ask": {"dispatch": "broadcast_collect", "error_policy": "best_effort", "async": False},
            "tell": {"dispatch": "broadcast_notify", "async": False},
            "pass_on": {"dispatch": "chain", "async": False},
        }
    )
    asked = []

    def plain(self: Any, args: Any) -> Any:
        asked.append("plain")
        return args

    async def coroutine(self: Any, args: Any) -> Any:
        asked.append("coroutine")
        return args

    host.add("plain", ask=plain, tell=plain, pass_on=plain, priority=1)
    host.add("coroutine", ask=coroutine, tell=coroutine, pass_on=coroutine)
    async with host.registry.running():
        with pytest.raises(DispatchMismatch, match="aio"):
            host.call(hook)
        assert asked == []
        assert set(host.states().values()) == {PluginState.READY}
        await asyncio.to_thread(host.call, hook)
        assert asked == ["plain", "coroutine"]


@pytest.mark.parametrize("dispatch", ["broadcast_collect", "broadcast_notify"])
async def test_nobody_to_ask_is_told_where_nobody_was_started(
    new_host: Any, dispatch: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = new_host({"greet": {"dispatch": dispatch}})
    assert not host.call("greet", x=1)
    assert not caplog.records  # there is nobody
    host.add("a", greet=lambda self, payload: 1)
    assert not host.call("greet", x=1)
    assert not host.call("greet", x=1)
    (record,) = caplog.records
    assert record.getMessage().startswith("greeter.greet: nobody hears it: a: not started yet: `with registry.running")


async def test_a_failure_does_not_revive_a_plugin_that_was_stopped_meanwhile(new_host: Any) -> None:
    host = new_host({"greet": {"dispatch": "broadcast_collect", "error_policy": "best_effort", "async": True}})
    called, go_on = asyncio.Event(), asyncio.Event()

    async def greet(self: Any, payload: Any) -> Any:
        called.set()
        await go_on.wait()
        raise LookupError

    host.add("a", greet=greet, teardown_timeout_sec=0.01)
    await host.registry.setup_all()
    call = asyncio.create_task(host.call("greet"))
    await called.wait()
    with pytest.raises(TeardownErrors, match="a call was still running"):
        await host.registry.teardown_all()
    go_on.set()
    assert [name for name, _ in (await call).errors] == ["a"]
    assert host.states() == {"a": PluginState.LEAKED}
