"""teardown_all: every plugin is tried, and failures are told at the end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dagstack_plugins import (
    PluginContext,
    PluginError,
    PluginState,
    PluginUnavailable,
    ResourceRegistry,
    TeardownErrors,
)

STOPPED, LEAKED = PluginState.STOPPED, PluginState.LEAKED


async def test_teardown_may_be_a_coroutine_function_a_function_or_missing(host: Any) -> None:
    async def teardown_async(self: Any) -> None:
        host.log.append("async")

    host.add("a", teardown=teardown_async)
    host.add("b", teardown=lambda self: host.log.append("plain"))
    host.add("c", teardown=lambda self, ctx: host.log.append(ctx.logger.name))
    host.add("d")
    await host.registry.setup_all()
    await host.registry.teardown_all()
    assert sorted(host.log) == ["async", "plain", "plugin.part.c"]
    assert set(host.states().values()) == {STOPPED}
    assert host.run() == []


async def test_what_never_started_is_not_torn_down(host: Any) -> None:
    def fails(self: Any) -> None:
        raise RuntimeError("no licence")

    host.track("never")
    await host.registry.teardown_all()
    host.track("failed", setup=fails)
    await host.registry.setup_all()
    await host.registry.teardown_all()
    await host.registry.teardown_all()
    assert host.log == ["start never", "stop never"]
    assert host.states() == {"never": STOPPED, "failed": PluginState.UNAVAILABLE}


async def test_plugins_take_no_calls_once_their_teardown_began(host: Any) -> None:
    heard = []
    host.add("a", teardown=lambda self: heard.append(host.run()))
    await host.registry.setup_all()
    assert host.run() == ["a"]
    await host.registry.teardown_all()
    assert heard == [[]]


async def test_the_context_says_cancelled_before_teardown_is_called(host: Any) -> None:
    seen = []
    host.add(
        "a",
        setup=lambda self, ctx: seen.append(ctx.cancelled),
        teardown=lambda self, ctx: seen.append(ctx.cancelled),
    )
    await host.registry.setup_all()
    await host.registry.teardown_all()
    assert seen == [False, True]


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
async def test_failures_are_collected_and_every_plugin_is_tried(host: Any, colour: str) -> None:
    error = RuntimeError("stuck")

    def teardown(self: Any) -> None:
        raise error

    async def teardown_async(self: Any) -> None:
        raise error

    host.track("a")
    host.add("b", depends_on=["a"], teardown=teardown if colour == "plain" else teardown_async)
    host.track("c", depends_on=["b"])
    await host.registry.setup_all()
    with pytest.raises(TeardownErrors, match="stuck") as caught:
        await host.registry.teardown_all()
    assert caught.value.errors == (("part/b", error),)
    assert "part/b" in str(caught.value)
    assert host.log[2:] == ["stop c", "stop a"]
    assert set(host.states().values()) == {STOPPED}
    assert host.status("b").error is error
    assert "stuck" in host.status("b").reason
    await host.registry.teardown_all()


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), asyncio.CancelledError()], ids=repr)
async def test_a_teardown_that_exits_is_a_failure_and_the_host_lives_on(host: Any, error: BaseException) -> None:
    def teardown(self: Any) -> None:
        raise error

    async def teardown_async(self: Any) -> None:
        raise error

    host.add("a", teardown=teardown, teardown_timeout_sec=5)
    host.add("b", teardown=teardown_async)
    host.track("c")
    await host.registry.setup_all()
    with pytest.raises(TeardownErrors) as caught:
        await host.registry.teardown_all()
    assert sorted(label for label, _ in caught.value.errors) == ["part/a", "part/b"]
    assert all(isinstance(one, Exception) for _, one in caught.value.errors)
    if isinstance(error, SystemExit):
        assert all(isinstance(one, PluginError) for _, one in caught.value.errors)
    assert host.log == ["start c", "stop c"]


async def test_a_coroutine_that_overruns_is_cancelled_and_leaked(host: Any) -> None:
    async def teardown(self: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            host.log.append("cancelled")

    host.add("a", teardown=teardown, teardown_timeout_sec=0.05)
    host.track("b")
    await host.registry.setup_all()
    with pytest.raises(TeardownErrors, match=r"teardown_timeout_sec = 0.05") as caught:
        await host.registry.teardown_all()
    ((label, error),) = caught.value.errors
    assert label == "part/a"
    assert isinstance(error, TimeoutError)
    assert host.log == ["start b", "stop b", "cancelled"]
    assert host.states() == {"a": LEAKED, "b": STOPPED}


async def test_a_function_that_hangs_is_leaked_and_not_started_again(host: Any) -> None:
    released = threading.Event()
    host.track("a", teardown=lambda self: released.wait(30), teardown_timeout_sec=0.05)
    host.track("b")
    await host.registry.setup_all()
    try:
        with pytest.raises(TeardownErrors):
            await host.registry.teardown_all()
        assert host.states() == {"a": LEAKED, "b": STOPPED}
        await host.registry.setup_all()
        assert host.states() == {"a": LEAKED, "b": PluginState.READY}
        assert host.log.count("start a") == 1
        with pytest.raises(PluginUnavailable, match="leaked"):
            host.registry.get_plugin("part", "a").run()
    finally:
        released.set()


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
async def test_returning_false_marks_requires_restart(host: Any, colour: str) -> None:
    async def refuses(self: Any) -> bool:
        return False

    host.track("a", teardown=refuses if colour == "coroutine" else lambda self: False)
    host.track("b", teardown=lambda self: None)
    host.track("c", teardown=lambda self: 0)
    await host.registry.setup_all()
    await host.registry.teardown_all()
    assert host.states() == {"a": PluginState.REQUIRES_RESTART, "b": STOPPED, "c": STOPPED}
    await host.registry.setup_all()
    assert host.log.count("start a") == 1
    assert host.states()["a"] is PluginState.REQUIRES_RESTART
    with pytest.raises(PluginUnavailable, match="requires_restart"):
        host.registry.get_plugin("part", "a").run()


async def test_what_depends_on_one_that_requires_a_restart_does_not_start_again(host: Any) -> None:
    host.track("a", teardown=lambda self: False)
    host.track("b", depends_on=["a"])
    await host.registry.setup_all()
    await host.registry.teardown_all()
    await host.registry.setup_all()
    assert host.states() == {"a": PluginState.REQUIRES_RESTART, "b": PluginState.UNAVAILABLE}


async def test_a_generation_is_torn_down_in_parallel(host: Any) -> None:
    together = threading.Barrier(20)

    def teardown(self: Any) -> None:
        together.wait(10)

    for place in range(20):
        host.add(f"p{place}", teardown=teardown)
    await host.registry.setup_all()
    await host.registry.teardown_all()
    assert set(host.states().values()) == {STOPPED}


async def test_teardown_all_from_another_loop_and_thread_runs_on_the_plugins_own(host: Any) -> None:
    async def teardown(self: Any) -> None:
        host.log.append(asyncio.get_running_loop())

    host.add("a", teardown=teardown)
    await host.registry.setup_all()
    await asyncio.to_thread(lambda: asyncio.run(host.registry.teardown_all()))
    assert host.log == [asyncio.get_running_loop()]


def test_teardown_all_after_the_plugins_loop_ended_runs_on_the_callers(host: Any) -> None:
    host.track("a")
    asyncio.run(host.registry.setup_all())
    asyncio.run(host.registry.teardown_all())
    assert host.log == ["start a", "stop a"]
    assert host.states() == {"a": STOPPED}


async def test_a_cancelled_teardown_all_leaves_nothing_running(host: Any) -> None:
    started = asyncio.Event()

    async def teardown(self: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    host.track("a")
    host.track("b", depends_on=["a"], teardown=teardown)
    await host.registry.setup_all()
    task = asyncio.create_task(host.registry.teardown_all())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The one that was waited for is given up, the others have their turn.
    assert host.states() == {"a": STOPPED, "b": STOPPED}
    assert host.log == ["start a", "start b", "stop a"]
    await host.registry.teardown_all()
    assert host.log == ["start a", "start b", "stop a"]
    await host.registry.setup_all()
    assert set(host.states().values()) == {PluginState.READY}


# What was lent


async def test_what_was_lent_to_one_plugin_goes_after_its_teardown(host: Any) -> None:
    def setup(self: Any, ctx: Any) -> None:
        self.folder = ctx.resources.tmpdir.path
        (self.folder / "file").write_text("x")

    def teardown(self: Any) -> None:
        host.log.append((self.folder, (self.folder / "file").exists()))

    for name in ("stops", "fails"):
        host.add(name, setup=setup, teardown=teardown, resources={"required": ["tmpdir"]})
    await host.registry.setup_all()
    await host.registry.teardown_all()
    assert [existed for _, existed in host.log] == [True, True]
    assert not any(folder.exists() for folder, _ in host.log)


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
async def test_what_was_lent_goes_too_when_setup_or_teardown_fails(host: Any, colour: str) -> None:
    def fails(self: Any, ctx: Any) -> None:
        host.log.append(ctx.resources.tmpdir.path)
        raise RuntimeError("torn")

    async def fails_async(self: Any, ctx: Any) -> None:
        fails(self, ctx)

    method = fails if colour == "plain" else fails_async
    host.add("a", setup=method, resources={"required": ["tmpdir"]})
    host.add("b", teardown=method, resources={"required": ["tmpdir"]})
    await host.registry.setup_all()
    with pytest.raises(TeardownErrors):
        await host.registry.teardown_all()
    assert len(host.log) == 2
    assert not any(folder.exists() for folder in host.log)


async def test_the_hosts_own_resources_stay_open(host: Any) -> None:
    class Pool:
        closed = False

        def close(self) -> None:
            self.closed = True

    pool, resources = Pool(), ResourceRegistry()
    resources.register("pool", pool)
    host.add("a", setup=lambda self, ctx: ctx.resources.get("pool"), resources={"required": ["pool"]})
    await host.registry.setup_all(PluginContext(resources=resources))
    await host.registry.teardown_all()
    assert not pool.closed
    await resources.aclose()
    assert pool.closed


# unregister


async def test_unregister_tears_down_and_removes(host: Any) -> None:
    host.track("a")
    host.track("b")
    await host.registry.setup_all()
    await host.registry.unregister("part", "a")
    assert host.log[2:] == ["stop a"]
    assert host.run() == ["b"]
    assert host.states().keys() == {"b"}
    await host.registry.unregister("part", "b")
    with pytest.raises(PluginUnavailable, match="'a'"):
        await host.registry.unregister("part", "a")
    assert host.registry.status() == []


async def test_unregister_of_what_fails_in_its_teardown_removes_it_all_the_same(host: Any) -> None:
    def teardown(self: Any) -> None:
        raise RuntimeError("stuck")

    host.add("a", teardown=teardown)
    await host.registry.setup_all()
    with pytest.raises(TeardownErrors, match="stuck"):
        await host.registry.unregister("part", "a")
    assert host.registry.status() == []


async def test_unregister_of_what_does_not_run_tears_nothing_down(host: Any) -> None:
    host.track("a")
    await host.registry.unregister("part", "a")
    assert host.log == []
    assert host.registry.status() == []


async def test_a_name_is_free_again_after_unregister(host: Any) -> None:
    host.add("a", run=lambda self: "old")
    await host.registry.setup_all()
    await host.registry.unregister("part", "a")
    host.add("a", run=lambda self: "new")
    await host.registry.setup_all()
    assert host.run() == ["new"]
