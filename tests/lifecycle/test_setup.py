"""setup_all: what starts, what fails, and that neither takes the host along."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from dagstack_plugins import PluginError, PluginRegistry, PluginRegistryError, PluginState, PluginUnavailable

READY, UNAVAILABLE, LEAKED = PluginState.READY, PluginState.UNAVAILABLE, PluginState.LEAKED


def fails(self: Any) -> None:
    raise RuntimeError("no licence")


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hanging plugins wait for; set at the end, so that no thread outlives its test by much."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
async def unheard() -> list[dict[str, Any]]:
    """What the event loop had to tell because nobody else listened."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    return told


# Forms of setup


async def test_setup_may_be_a_coroutine_function_a_function_or_missing(host: Any) -> None:
    async def setup_async(self: Any, ctx: Any) -> None:
        await asyncio.sleep(0)
        host.log.append(("async", ctx.logger.name, asyncio.get_running_loop() is home))

    def setup_plain(self: Any, ctx: Any) -> None:
        host.log.append(("plain", ctx.logger.name, threading.current_thread() is threading.main_thread()))

    home = asyncio.get_running_loop()
    host.add("a", setup=setup_async)
    host.add("b", setup=setup_plain)
    host.add("c", setup=lambda self: host.log.append(("bare", "", False)))
    host.add("d")
    await host.registry.setup_all()
    assert sorted(host.log) == [
        ("async", "plugin.part.a", True),
        ("bare", "", False),
        ("plain", "plugin.part.b", False),
    ]
    assert set(host.states().values()) == {READY}
    assert host.run() == ["a", "b", "c", "d"]


async def test_a_function_that_gives_something_to_await_is_awaited(host: Any) -> None:
    async def later() -> None:
        host.log.append(asyncio.get_running_loop())

    host.add("a", setup=lambda self: later())
    await host.registry.setup_all()
    assert host.log == [asyncio.get_running_loop()]


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
async def test_a_hundred_plugins_of_one_generation_start_in_parallel(host: Any, colour: str) -> None:
    plain, coroutine = threading.Barrier(100), asyncio.Barrier(100)

    def setup(self: Any) -> None:
        plain.wait(20)

    async def setup_async(self: Any) -> None:
        await coroutine.wait()

    for place in range(100):
        # Each waits for all the others: one after the other, none of them would ever be done.
        host.add(f"p{place}", setup=setup if colour == "plain" else setup_async, startup_timeout_sec=20)
    await host.registry.setup_all()
    assert set(host.states().values()) == {READY}


# Failures


class Exits(BaseException):
    pass


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
@pytest.mark.parametrize("error", [RuntimeError("torn"), StopIteration(), PluginRegistryError("x")], ids=repr)
async def test_a_setup_that_fails_makes_its_plugin_unavailable_and_the_others_go_on(
    host: Any, error: Exception, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    def setup(self: Any) -> None:
        raise error

    async def setup_async(self: Any) -> None:
        raise error

    host.add("a", setup=setup if colour == "plain" else setup_async, startup_timeout_sec=5)
    host.add("b")
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE, "b": READY}
    assert host.run() == ["b"]
    status = host.status("a")
    assert type(error).__name__ in status.reason
    # Python lets no StopIteration out of a coroutine: it comes as the cause of a RuntimeError.
    assert error in (status.error, status.error.__cause__)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "part/a" in record.getMessage()


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
@pytest.mark.parametrize("error", [SystemExit(3), Exits("bye"), asyncio.CancelledError()], ids=repr)
async def test_a_setup_that_exits_makes_its_plugin_unavailable_and_the_host_lives_on(
    host: Any, error: BaseException, colour: str
) -> None:
    def setup(self: Any) -> None:
        raise error

    async def setup_async(self: Any) -> None:
        raise error

    host.add("a", setup=setup if colour == "plain" else setup_async)
    host.add("b")
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE, "b": READY}
    status = host.status("a")
    assert isinstance(status.error, PluginError)
    assert status.error.error_type == type(error).__name__


async def test_a_plugin_that_failed_starts_when_asked_again(host: Any) -> None:
    broken = [True]

    def setup(self: Any) -> None:
        if broken:
            raise RuntimeError("no licence")

    host.add("a", setup=setup)
    host.track("b", depends_on=["a"])
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE, "b": UNAVAILABLE}
    broken.clear()
    await host.registry.setup_all()
    assert host.states() == {"a": READY, "b": READY}
    assert (host.status("a").reason, host.status("a").error) == ("", None)


async def test_configuration_that_breaks_its_schema_makes_the_plugin_unavailable(host: Any) -> None:
    from dagstack_plugins import PluginContext

    host.add("a", config_schema={"type": "object", "required": ["key"]}, setup=lambda self: host.log.append("a"))
    host.add("b")
    await host.registry.setup_all(PluginContext(config={"part": {"a": {"kye": 1}}}))
    assert host.states() == {"a": UNAVAILABLE, "b": READY}
    assert "config['part']['a']" in host.status("a").reason
    assert "key" in host.status("a").reason
    assert host.log == []


async def test_a_required_resource_that_the_host_lacks_makes_the_plugin_unavailable(host: Any) -> None:
    host.add("a", resources={"required": ["clock", "http_client"], "optional": ["blob_store"]})
    host.add("b", resources={"optional": ["http_client"]})
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE, "b": READY}
    assert "'http_client'" in host.status("a").reason
    assert "register" in host.status("a").reason


# Timeouts


async def test_a_function_that_hangs_is_leaked_its_late_result_dropped_and_the_others_go_on(
    host: Any, released: threading.Event, unheard: list[Any]
) -> None:
    ended = threading.Event()

    def setup(self: Any, ctx: Any) -> None:
        host.context = ctx
        released.wait(30)
        ended.set()
        raise RuntimeError("too late for anyone to hear")

    host.add("a", setup=setup, startup_timeout_sec=0.05)
    host.add("b")
    host.track("c", depends_on=["a"])
    await host.registry.setup_all()
    assert host.states() == {"a": LEAKED, "b": READY, "c": UNAVAILABLE}
    assert host.run() == ["b"]
    assert "startup_timeout_sec = 0.05" in host.status("a").reason
    assert "may still run" in host.status("a").reason
    assert isinstance(host.status("a").error, TimeoutError)
    assert "part/a" in host.status("c").reason
    assert host.context.cancelled
    released.set()
    assert await asyncio.to_thread(ended.wait, 10)
    await asyncio.sleep(0)
    assert host.states()["a"] is LEAKED
    # What of it is still about must not be started a second time.
    await host.registry.setup_all()
    assert host.states()["a"] is LEAKED
    await host.registry.teardown_all()
    assert host.states()["a"] is LEAKED
    assert unheard == []


async def test_a_coroutine_that_overruns_is_cancelled_and_may_be_started_again(host: Any) -> None:
    waits = [True]

    async def setup(self: Any) -> None:
        try:
            if waits:
                await asyncio.Event().wait()
        finally:
            host.log.append("ended")

    host.add("a", setup=setup, startup_timeout_sec=0.05)
    host.add("b")
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE, "b": READY}
    assert "startup_timeout_sec = 0.05" in host.status("a").reason
    assert host.log == ["ended"]
    waits.clear()
    await host.registry.setup_all()
    assert host.states()["a"] is READY


async def test_a_coroutine_that_swallows_its_cancellation_is_leaked(
    host: Any, released: threading.Event, unheard: list[Any]
) -> None:
    let_go, ended = asyncio.Event(), asyncio.Event()

    async def setup(self: Any) -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        raise RuntimeError("too late for anyone to hear")

    host.add("a", setup=setup, startup_timeout_sec=0.05)
    host.add("b")
    await host.registry.setup_all()
    assert host.states() == {"a": LEAKED, "b": READY}
    let_go.set()
    await ended.wait()
    await asyncio.sleep(0)
    assert host.states()["a"] is LEAKED
    await host.registry.unregister("part", "a")
    gc.collect()  # a task tells that nobody heard its error when it goes
    assert unheard == []


async def test_what_a_cancelled_setup_raises_on_its_way_out_is_no_surprise_to_anyone(
    host: Any, unheard: list[Any]
) -> None:
    async def setup(self: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("could not clean up")

    host.add("a", setup=setup, startup_timeout_sec=0.05)
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE}
    await host.registry.unregister("part", "a")
    gc.collect()  # a task tells that nobody heard its error when it goes
    assert unheard == []


async def test_the_timeout_covers_what_a_function_gives_to_await(host: Any) -> None:
    host.add("a", setup=lambda self: asyncio.Event().wait(), startup_timeout_sec=0.1)
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE}


# Strict


@pytest.mark.parametrize("fault", ["setup", "dependency", "dependent", "resource"])
async def test_strict_tears_down_what_had_started_and_raises(host: Any, fault: str) -> None:
    host.track("first")
    host.track("second", depends_on=["first"])
    host.add(
        "faulty",
        depends_on={"dependency": ["nowhere"], "dependent": ["sick"]}.get(fault, []),
        resources={"required": ["gold"]} if fault == "resource" else {},
        setup=fails if fault == "setup" else lambda self: None,
    )
    if fault == "dependent":
        host.add("sick", setup=fails)
    with pytest.raises(ExceptionGroup) as caught:
        await host.registry.setup_all(strict=True)
    told = str([str(error) for error in caught.value.exceptions])
    assert {"setup": "no licence", "dependency": "nowhere", "dependent": "no licence", "resource": "gold"}[
        fault
    ] in told
    assert len(caught.value.exceptions) == (2 if fault == "dependent" else 1)
    assert host.log == ["start first", "start second", "stop second", "stop first"]
    assert host.states()["faulty"] is UNAVAILABLE
    assert host.states()["second"] is PluginState.STOPPED


async def test_strict_leaves_running_what_ran_before(host: Any) -> None:
    host.track("old")
    await host.registry.setup_all()
    host.track("new")
    host.add("faulty", setup=fails)
    with pytest.raises(ExceptionGroup):
        await host.registry.setup_all(strict=True)
    assert host.log == ["start old", "start new", "stop new"]
    assert host.run() == ["old"]


async def test_strict_tells_the_failure_even_if_tearing_down_fails_too(host: Any) -> None:
    def breaks(self: Any) -> None:
        raise ValueError("stuck")

    host.add("a", teardown=breaks)
    host.add("b", setup=fails)
    with pytest.raises(ExceptionGroup) as caught:
        await host.registry.setup_all(strict=True)
    assert [type(error) for error in caught.value.exceptions] == [RuntimeError]
    assert any("stuck" in note for note in caught.value.__notes__)


async def test_strict_raises_nothing_where_nothing_fails(host: Any) -> None:
    host.track("a")
    await host.registry.setup_all(strict=True)
    assert host.states() == {"a": READY}


# Again


async def test_setup_all_starts_only_what_is_not_ready_yet(host: Any) -> None:
    host.track("a")
    await host.registry.setup_all()
    since = host.status("a").since
    host.track("b")
    assert host.states() == {"a": READY, "b": PluginState.REGISTERED}
    await host.registry.setup_all()
    assert host.log == ["start a", "start b"]
    assert host.status("a").since == since
    await host.registry.teardown_all()
    await host.registry.teardown_all()
    assert host.log[2:] == ["stop a", "stop b"] or host.log[2:] == ["stop b", "stop a"]
    await host.registry.setup_all()
    assert sorted(host.log[4:]) == ["start a", "start b"]
    assert host.run() == ["a", "b"]


async def test_a_degraded_plugin_is_not_started_again(host: Any) -> None:
    from dagstack_plugins import BroadcastErrors

    host.track("a", run=fails)
    await host.registry.setup_all()
    with pytest.raises(BroadcastErrors):
        host.run()
    await host.registry.setup_all()
    assert host.log == ["start a"]
    assert host.states() == {"a": PluginState.DEGRADED}


async def test_rounds_at_the_same_time_start_everything_once(host: Any) -> None:
    for name in "abc":
        host.track(name)
    await asyncio.gather(*(host.registry.setup_all() for _ in range(5)))
    assert sorted(host.log) == ["start a", "start b", "start c"]


async def test_a_plugin_that_is_started_again_gets_a_new_context(host: Any) -> None:
    contexts = []
    host.add("a", setup=lambda self, ctx: contexts.append(ctx), run=lambda self, ctx: contexts[-1] is ctx)
    for _ in range(2):
        await host.registry.setup_all()
        assert host.run() == [True]
        await host.registry.teardown_all()
    first, second = contexts
    assert first is not second
    assert first.cancelled


# Another loop


def test_setup_all_again_from_another_loop_moves_the_plugins_there(host: Any) -> None:
    async def where(self: Any) -> Any:
        return asyncio.get_running_loop()

    host.track("a", run=where)

    async def round_trip() -> None:
        await host.registry.setup_all()
        assert await host.registry.kind("part").run() == [asyncio.get_running_loop()]
        await host.registry.teardown_all()

    for _ in range(2):
        asyncio.run(round_trip())
    assert host.log == ["start a", "stop a"] * 2


async def test_setup_all_on_another_loop_while_plugins_run_on_theirs_is_an_error(host: Any) -> None:
    host.track("a")
    async with host.registry.running() as registry:
        host.track("b")
        with pytest.raises(PluginRegistryError, match="loop"):
            await asyncio.to_thread(lambda: asyncio.run(registry.setup_all()))
        assert host.states() == {"a": READY, "b": PluginState.REGISTERED}


async def test_setup_all_on_another_loop_while_plugins_start_on_theirs_is_an_error(host: Any) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def setup(self: Any) -> None:
        host.log.append("start a")
        started.set()
        await go_on.wait()

    host.add("a", setup=setup)
    round_here = asyncio.create_task(host.registry.setup_all())
    await started.wait()
    with pytest.raises(PluginRegistryError, match="loop"):
        await asyncio.to_thread(lambda: asyncio.run(host.registry.setup_all()))
    go_on.set()
    await round_here
    assert host.log == ["start a"]
    assert host.states() == {"a": READY}


# A host that gives up


async def test_a_cancelled_setup_all_takes_back_what_it_began_and_can_be_repeated(host: Any) -> None:
    started, waits = asyncio.Event(), [True]

    async def setup(self: Any, ctx: Any) -> None:
        host.context = ctx
        started.set()
        try:
            if waits:
                await asyncio.Event().wait()
        finally:
            host.log.append("ended slow")

    host.track("fast")
    host.add("slow", setup=setup, depends_on=["fast"])
    host.track("late", depends_on=["slow"])
    task = asyncio.create_task(host.registry.setup_all())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert host.log == ["start fast", "ended slow", "stop fast"]
    assert host.context.cancelled
    assert host.states() == {
        "fast": PluginState.STOPPED,
        "slow": UNAVAILABLE,
        "late": PluginState.REGISTERED,
    }
    waits.clear()
    host.log.clear()
    await host.registry.setup_all()
    assert set(host.states().values()) == {READY}
    assert host.log == ["start fast", "ended slow", "start late"]


async def test_a_cancelled_setup_all_leaves_a_thread_leaked_and_does_not_start_it_twice(
    host: Any, released: threading.Event
) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def setup(self: Any) -> None:
        host.log.append("start a")
        loop.call_soon_threadsafe(started.set)
        released.wait(30)

    host.add("a", setup=setup)
    task = asyncio.create_task(host.registry.setup_all())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await host.registry.setup_all()
    assert host.log == ["start a"]
    assert host.states() == {"a": LEAKED}


# status()


async def test_status_tells_how_each_plugin_is(host: Any, tmp_path: Any) -> None:
    before = datetime.now(UTC)
    folder = tmp_path / "unreadable"
    folder.mkdir()
    (folder / "dagstack.toml").write_text("[plugin")
    host.registry.discover(tmp_path)
    host.add("bad", setup=fails)
    host.add("good", kind="gear")
    (refused, good, bad) = host.registry.status()
    assert (refused.kind, refused.name, refused.state) == (None, None, UNAVAILABLE)
    assert str(folder) in refused.location
    assert refused.error is not None
    assert (bad.state, bad.reason, bad.error, bad.setup_seconds) == (PluginState.REGISTERED, "", None, None)
    await host.registry.setup_all()
    (_, good, bad) = host.registry.status()
    assert (bad.kind, bad.name, bad.state, bad.runtime) == ("part", "bad", UNAVAILABLE, "in_process")
    assert "no licence" in bad.reason
    assert isinstance(bad.error, RuntimeError)
    assert (good.kind, good.name, good.state, good.reason, good.error) == ("gear", "good", READY, "", None)
    assert "Plugin_good" in good.location
    assert before <= good.since <= datetime.now(UTC)
    assert good.setup_seconds is not None
    assert 0 <= good.setup_seconds < 30
    assert host.registry.unavailable_plugins() == [refused, bad]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        good.state = UNAVAILABLE
    assert good.state == "ready"


async def test_a_setup_that_fails_says_how_long_it_took_too(host: Any) -> None:
    host.add("a", setup=fails)
    await host.registry.setup_all()
    assert host.status("a").setup_seconds is not None


async def test_an_unavailable_dependency_is_told_as_such(host: Any) -> None:
    host.add("a", setup=fails)
    host.add("b", depends_on=["a"])
    await host.registry.setup_all()
    error = host.status("b").error
    assert isinstance(error, PluginUnavailable)
    assert error.reasons.keys() == {"part/a"}


async def test_a_setup_that_exits_when_it_is_looked_up_takes_nobody_along() -> None:
    class Turncoat:
        looked = 0

        def execute(self, args: Any) -> Any:
            return args

        def __getattr__(self, name: str) -> Any:
            if name != "setup":
                raise AttributeError(name)
            self.looked += 1
            if self.looked > 1:
                sys.exit(1)
            return lambda: None

    registry = PluginRegistry()
    registry.register(Turncoat, {"name": "one", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"})
    await registry.setup_all()
    (status,) = registry.status()
    assert status.state is PluginState.UNAVAILABLE
    assert "SystemExit" in status.reason


async def test_the_reason_of_a_failure_names_the_line(host: Any) -> None:
    host.add("a", setup=fails)
    await host.registry.setup_all()
    line = fails.__code__.co_firstlineno + 1
    assert host.status("a").reason == f"setup failed ({__file__}, line {line}): RuntimeError: no licence"


async def test_plugins_without_a_setup_are_ready_before_others_are_set_up(host: Any) -> None:
    seen = []

    async def setup(plugin: Any, ctx: Any) -> None:
        seen.append(host.states()["plain"])
        plugin.setup = None  # it is asked for once

    host.add("a", setup=setup)
    host.add("plain")
    await host.registry.setup_all()
    assert seen == ["ready"]
    assert host.states() == {"a": "ready", "plain": "ready"}
    await host.registry.teardown_all()
