"""registry.running(), in both forms, and a machine that does to a registry whatever a host may do."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dagstack_plugins import (
    DependencyCycle,
    DispatchMismatch,
    PluginContext,
    PluginRegistryError,
    PluginState,
    PluginUnavailable,
    TeardownErrors,
)
from dagstack_plugins.lifecycle.running import Running

READY, REGISTERED, STOPPED, UNAVAILABLE = (
    PluginState.READY,
    PluginState.REGISTERED,
    PluginState.STOPPED,
    PluginState.UNAVAILABLE,
)


def threads_end(before: int) -> bool:
    """Whether all threads beyond those of before end; one that has delivered its result may take another moment."""
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    return threading.active_count() <= before  # one of another test may have ended too


async def whereabouts(self: Any) -> Any:
    return asyncio.get_running_loop(), threading.current_thread()


async def test_async_with_makes_the_running_loop_the_plugins_home(host: Any) -> None:
    host.track("a", run=whereabouts)
    async with host.registry.running() as registry:
        assert registry is host.registry
        assert await registry.kind("part").run() == [(asyncio.get_running_loop(), threading.current_thread())]
    assert host.log == ["start a", "stop a"]
    assert host.states() == {"a": STOPPED}


def test_with_brings_a_loop_in_a_thread_of_its_own(host: Any) -> None:
    host.track("a", run=whereabouts)
    before = threading.active_count()
    with host.registry.running() as registry:
        assert registry is host.registry
        ((loop, thread),) = registry.kind("part").sync.run()
        assert thread is not threading.current_thread()
        assert thread.daemon
        assert loop.is_running()
        assert asyncio.run(registry.kind("part").run()) == [(loop, thread)]
    assert host.log == ["start a", "stop a"]
    assert loop.is_closed()
    assert threads_end(before)


def test_both_forms_take_a_context_and_may_follow_each_other(host: Any) -> None:
    host.add("a", run=lambda self, ctx: ctx.config["n"])

    async def run() -> None:
        async with host.registry.running(PluginContext(config={"part": {"a": {"n": 2}}})):
            assert host.run() == [2]

    with host.registry.running(PluginContext(config={"part": {"a": {"n": 1}}})):
        assert host.run() == [1]
    asyncio.run(run())
    with host.registry.running():
        assert host.run() == [2]


async def test_with_inside_a_running_loop_is_an_error_that_says_so(host: Any) -> None:
    host.track("a")
    with pytest.raises(DispatchMismatch, match="async with"), host.registry.running():
        pass
    assert host.log == []
    assert host.states() == {"a": REGISTERED}


def test_an_error_in_the_block_passes_and_plugins_are_torn_down(host: Any) -> None:
    host.track("a")
    with pytest.raises(ZeroDivisionError), host.registry.running():
        raise ZeroDivisionError

    async def run() -> None:
        async with host.registry.running():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
    assert host.log == ["start a", "stop a"] * 2


def test_failures_of_teardown_are_told_at_the_end_of_the_block(host: Any) -> None:
    def teardown(self: Any) -> None:
        raise RuntimeError("stuck")

    host.add("a", teardown=teardown)
    host.track("b")
    before = threading.active_count()
    with pytest.raises(TeardownErrors, match="stuck"), host.registry.running():
        assert host.run() == ["a", "b"]
    assert host.log == ["start b", "stop b"]
    assert threads_end(before)


def enter(host: Any) -> None:
    with host.registry.running():
        raise AssertionError("must not be reached")


def enter_async(host: Any) -> None:
    async def run() -> None:
        async with host.registry.running():
            raise AssertionError("must not be reached")

    asyncio.run(run())


@pytest.mark.parametrize("form", [enter, enter_async])
def test_what_can_not_start_leaves_nothing_behind(host: Any, form: Any) -> None:
    host.track("a", depends_on=["b"])
    host.track("b", depends_on=["a"])
    host.track("c")
    before = threading.active_count()
    with pytest.raises(DependencyCycle):
        form(host)
    assert set(host.states().values()) == {REGISTERED}
    assert threads_end(before)


async def test_a_host_cancelled_while_plugins_start_tears_down_what_started(host: Any) -> None:
    started = asyncio.Event()

    async def setup(self: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    host.track("a")
    host.add("b", depends_on=["a"], setup=setup)

    async def run() -> None:
        async with host.registry.running():
            raise AssertionError("must not be reached")

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert host.log == ["start a", "stop a"]


def test_a_plugin_that_interrupts_or_exits_on_the_background_loop_does_not_end_it(host: Any) -> None:
    raised: list[BaseException] = []

    async def run(self: Any) -> str:
        if raised:
            raise raised.pop()
        return "alive"

    host.add("a", run=run)
    host.add("b", setup=run)
    raised.append(KeyboardInterrupt())
    with host.registry.running() as registry:
        assert host.states() == {"a": READY, "b": UNAVAILABLE}
        for error in (SystemExit(1), KeyboardInterrupt()):
            raised.append(error)
            with pytest.raises(Exception, match=type(error).__name__):
                registry.get_plugin("part", "a").sync.run()
            assert registry.get_plugin("part", "a").sync.run() == "alive"


def test_tasks_that_plugins_leave_behind_end_with_the_background_loop(host: Any) -> None:
    async def setup(self: Any) -> None:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                host.log.append("ended")

        self.task = asyncio.create_task(forever())

    host.add("a", setup=setup)
    with host.registry.running():
        pass
    assert host.log == ["ended"]
    gc.collect()


def test_a_call_before_and_after_the_block_says_why_it_can_not_be_made(host: Any) -> None:
    host.add("a", run=whereabouts)
    proxy = host.registry.get_plugin("part", "a")
    with pytest.raises(PluginUnavailable, match="setup_all"):
        proxy.sync.run()
    with host.registry.running():
        proxy.sync.run()
    with pytest.raises(PluginUnavailable, match="stopped"):
        proxy.sync.run()


# Whatever a host may do

NAMES = ("a", "b", "c", "d")


class HostMachine(RuleBasedStateMachine):
    """Registers, removes, starts, stops and chooses at random; a plain model says who must answer.

    The model knows of each plugin its priority, what it needs, whether its setup works, and its state.
    """

    def __init__(self, new_host: Any) -> None:
        super().__init__()
        self.host = new_host()
        self.registry = self.host.registry
        self.loop = asyncio.Runner()
        self.model: dict[str, dict[str, Any]] = {}
        self.running: list[str] = []

    def teardown(self) -> None:
        self.loop.run(self.registry.teardown_all())
        self.loop.close()

    @rule(
        name=st.sampled_from(NAMES),
        priority=st.integers(0, 2),
        needs=st.sets(st.sampled_from(NAMES), max_size=2),
        works=st.booleans(),
        is_async=st.booleans(),
    )
    def register(self, name: str, priority: int, needs: set[str], works: bool, is_async: bool) -> None:
        if name in self.model:
            return
        needs = {needed for needed in needs if needed < name}  # no circles: those are told of elsewhere
        known = self.model[name] = {"priority": priority, "needs": needs, "works": works, "state": REGISTERED}

        def setup(plugin: Any) -> None:
            if not known["works"]:
                raise RuntimeError("no licence")
            self.running.append(name)

        async def setup_async(plugin: Any) -> None:
            setup(plugin)

        self.host.add(
            name,
            setup=setup_async if is_async else setup,
            teardown=lambda plugin: self.running.remove(name),
            priority=priority,
            depends_on=sorted(needs),
        )

    @rule(name=st.sampled_from(NAMES))
    def unregister(self, name: str) -> None:
        if name in self.model:
            self.loop.run(self.registry.unregister("part", name))
            del self.model[name]

    @rule(name=st.sampled_from(NAMES))
    def mend(self, name: str) -> None:
        if name in self.model:
            self.model[name]["works"] = True

    @rule()
    def setup_all(self) -> None:
        self.loop.run(self.registry.setup_all())
        for name in sorted(self.model):  # what a plugin needs comes before it in the alphabet
            known = self.model[name]
            if known["state"] is not READY:
                met = all(needed in self.model and self.model[needed]["state"] is READY for needed in known["needs"])
                known["state"] = READY if known["works"] and met else UNAVAILABLE

    @rule()
    def teardown_all(self) -> None:
        self.loop.run(self.registry.teardown_all())
        for known in self.model.values():
            if known["state"] is READY:
                known["state"] = STOPPED

    @rule()
    def move_to_another_loop(self) -> None:
        self.loop.close()
        self.loop = asyncio.Runner()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def set_active(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.registry.set_active("part", name)
        if self.model[name]["state"] is READY:
            assert self.registry.get_plugin("part").run() == name
        else:
            with pytest.raises(PluginUnavailable):
                self.registry.get_plugin("part").run()
        self.registry.set_active("part", None)

    @invariant()
    def states_are_as_the_model_says(self) -> None:
        assert self.host.states() == {name: known["state"] for name, known in self.model.items()}

    @invariant()
    def exactly_the_ready_ones_answer_in_order(self) -> None:
        ready = [name for name, known in self.model.items() if known["state"] is READY]
        assert self.host.run() == sorted(ready, key=lambda name: (-self.model[name]["priority"], name))

    @invariant()
    def each_that_was_set_up_is_torn_down_once(self) -> None:
        assert sorted(self.running) == sorted(name for name, known in self.model.items() if known["state"] is READY)


def test_whatever_a_host_does_the_model_says_who_answers(new_host: Any) -> None:
    run_state_machine_as_test(
        lambda: HostMachine(new_host), settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )


def test_plugins_can_not_end_the_background_loop(host: Any) -> None:
    async def setup(self: Any) -> None:
        asyncio.get_running_loop().stop()
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        self.background = asyncio.ensure_future(leave())
        self.background.add_done_callback(asyncio.Future.exception)

    async def leave() -> None:
        raise SystemExit(4)

    torn_down = []
    host.add("one", setup=setup, run=whereabouts, teardown=lambda self: torn_down.append(True))
    with host.registry.running() as registry:
        registry.kind("part").sync.run()
        registry.kind("part").sync.run()
    assert torn_down


async def test_blocks_may_overlap_and_the_last_one_tears_down(host: Any) -> None:
    host.track("a")
    async with host.registry.running():
        async with host.registry.running():
            host.track("b")
        assert host.run() == ["a"]
        async with host.registry.running():
            assert host.run() == ["a", "b"]
        assert host.run() == ["a", "b"]
    assert host.states() == {"a": STOPPED, "b": STOPPED}


@pytest.mark.parametrize("refuse", ["circle", "sync", "cancelled"])
async def test_a_start_that_fails_tears_down_nothing_of_others(host: Any, refuse: str) -> None:
    async def never(self: Any) -> None:
        await asyncio.Event().wait()

    async def start_another() -> None:
        async with host.registry.running():
            raise AssertionError("must not be reached")

    host.track("a")
    await host.registry.setup_all()
    if refuse == "circle":
        host.add("b", depends_on=["c"])
        host.add("c", depends_on=["b"])
        with pytest.raises(DependencyCycle):
            await start_another()
    elif refuse == "sync":
        with pytest.raises(PluginRegistryError, match="another event loop"):
            await asyncio.to_thread(host.registry.running().__enter__)
    else:
        host.add("b", setup=never)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await start_another()
    assert host.run() == ["a"]
    await host.registry.teardown_all()
    assert host.log == ["start a", "stop a"]


@pytest.mark.parametrize("when", ["setup", "teardown"])
@pytest.mark.parametrize("what", ["setup_all", "teardown_all", "unregister"])
async def test_a_plugin_that_would_wait_for_itself_is_told_at_once(host: Any, when: str, what: str) -> None:
    told: list[str] = []

    async def ask(self: Any, ctx: Any = None) -> None:
        args = ("part", "a") if what == "unregister" else ()
        with pytest.raises(PluginRegistryError, match="wait for itself") as caught:
            await getattr(host.registry, what)(*args)
        told.append(str(caught.value))

    host.add("a", **{when: ask})
    async with host.registry.running():
        assert host.run() == ["a"]
    assert len(told) == 1


async def test_a_task_that_a_setup_began_may_start_plugins_later(host: Any) -> None:
    began = asyncio.Event()

    async def later() -> None:
        await began.wait()
        host.track("b")
        await host.registry.setup_all()

    def setup(self: Any) -> None:
        pass

    async def setup_async(self: Any) -> None:
        host.task = asyncio.ensure_future(later())

    host.add("a", setup=setup_async)
    async with host.registry.running():
        began.set()
        await host.task
        assert host.run() == ["a", "b"]


async def test_one_that_is_removed_does_not_start_again(host: Any) -> None:
    """A round that waits for its turn sees that the plugin is gone."""

    async def teardown(self: Any) -> None:
        host.waiting = asyncio.ensure_future(host.registry.setup_all())
        await asyncio.sleep(0.01)

    host.track("a")
    host.track("b", teardown=teardown)
    async with host.registry.running():
        host.log.clear()
        context = contextvars.Context()  # as if somebody else had asked for the other round
        await asyncio.create_task(host.registry.unregister("part", "b"), context=context)
        await asyncio.gather(host.waiting, return_exceptions=True)
        assert host.log == []
        assert set(host.states()) == {"a"}


async def test_closing_a_plugins_resources_has_a_timeout(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Stuck:
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    host.registry.resource_registry.register("stuck", factory=Stuck, scope="plugin")
    host.add(
        "a", setup=lambda self, ctx: ctx.resources.stuck, resources={"required": ["stuck"]}, teardown_timeout_sec=0.05
    )
    async with host.registry.running():
        pass
    assert host.states() == {"a": STOPPED}
    assert "resources of plugin part/a could not be closed" in caplog.text
    host.registry.resource_registry.close()


async def test_a_block_that_opens_while_another_closes_keeps_its_plugins(host: Any) -> None:
    async def setup(self: Any) -> None:
        await asyncio.sleep(0.02)
        raise RuntimeError("slow, and fails: it is tried again at each start")

    async def user(number: int) -> None:
        await asyncio.sleep(number * 0.03)
        async with host.registry.running():
            for _ in range(5):
                await asyncio.sleep(0.004)
                assert host.run() == ["a"]

    host.track("a")
    host.add("slow", setup=setup)
    await asyncio.gather(*map(user, range(6)))
    assert host.states() == {"a": STOPPED, "slow": UNAVAILABLE}


async def test_what_a_cancelled_start_left_to_end_does_not_reach_into_the_next(host: Any) -> None:
    starting, hangs = asyncio.Event(), [True]

    async def setup(self: Any) -> None:
        starting.set()
        if hangs:
            await asyncio.Event().wait()

    async def setup_that_cleans_up(self: Any) -> None:
        try:
            await setup(self)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            raise

    host.add("a", setup=setup)
    host.add("b", setup=setup_that_cleans_up)
    task = asyncio.create_task(host.registry.setup_all())
    await starting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hangs.clear()
    await host.registry.setup_all()
    await asyncio.sleep(0.1)
    assert host.states() == {"a": READY, "b": READY}
    await host.registry.teardown_all()


async def test_a_cancelled_exit_still_stops_the_others(host: Any) -> None:
    stopping = asyncio.Event()

    async def teardown(self: Any) -> None:
        stopping.set()
        await asyncio.Event().wait()

    async def use() -> None:
        async with host.registry.running():
            pass

    host.track("a")
    host.add("b", depends_on=["a"], teardown=teardown)
    using = asyncio.create_task(use())
    await stopping.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert host.states() == {"a": STOPPED, "b": STOPPED}
    assert host.log == ["start a", "stop a"]


def test_one_block_is_entered_once_at_a_time(host: Any) -> None:
    host.track("a")
    block = host.registry.running()
    with block:
        with pytest.raises(PluginRegistryError, match="open already"):
            block.__enter__()
        assert host.run() == ["a"]
    with block:
        assert host.run() == ["a"]
    assert host.log == ["start a", "stop a"] * 2


def test_an_open_block_keeps_its_loop_though_nothing_runs_yet(host: Any) -> None:
    with host.registry.running():
        with pytest.raises(PluginRegistryError, match="another event loop"), host.registry.running():
            raise AssertionError("must not be reached")
        host.track("a", run=whereabouts)
        asyncio.run_coroutine_threadsafe(host.registry.setup_all(), host.registry._home.loop).result()
        assert len(host.registry.kind("part").sync.run()) == 1


def test_of_two_loops_one_gets_the_plugins(new_host: Any) -> None:
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            host = new_host()
            host.track("a")
            ready = threading.Barrier(2)

            async def start(host: Any = host, ready: Any = ready) -> None:
                ready.wait()
                with contextlib.suppress(PluginRegistryError):
                    await host.registry.setup_all()
                await asyncio.to_thread(ready.wait)  # the loop that got them stays until the other has asked

            threads = [threading.Thread(target=lambda start=start: asyncio.run(start())) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert host.log == ["start a"]
    finally:
        sys.setswitchinterval(switch)


def test_plugins_whose_loop_ended_start_again_on_the_next_if_they_need_one(host: Any) -> None:
    host.track("a", run=whereabouts)
    host.add("plain", setup=lambda self: host.log.append("start plain"))

    async def again() -> None:
        await host.registry.setup_all()
        assert (asyncio.get_running_loop(), threading.current_thread()) in await host.registry.kind("part").aio.run()
        await host.registry.teardown_all()

    asyncio.run(host.registry.setup_all())
    asyncio.run(again())
    assert sorted(host.log[:2]) == ["start a", "start plain"]
    assert host.log[2:] == ["stop a", "start a", "stop a"]


def test_a_user_who_interrupts_the_start_waits_for_what_is_torn_down(host: Any) -> None:
    starting = threading.Event()

    async def setup(self: Any) -> None:
        starting.set()
        await asyncio.Event().wait()

    def interrupt() -> None:
        starting.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    async def teardown(self: Any) -> None:
        await asyncio.sleep(0.1)
        host.log.append("stop a")

    host.track("a", teardown=teardown)
    host.add("b", depends_on=["a"], setup=setup)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        host.registry.running().__enter__()
    assert host.log == ["start a", "stop a"]
    assert host.states() == {"a": STOPPED, "b": UNAVAILABLE}


async def test_a_block_whose_exit_is_cancelled_while_it_waits_is_left_all_the_same(host: Any) -> None:
    starting, go_on = asyncio.Event(), asyncio.Event()

    async def setup(self: Any) -> None:
        starting.set()
        await go_on.wait()

    host.track("a")
    block = host.registry.running()
    await block.__aenter__()
    host.add("slow", setup=setup)
    other = asyncio.create_task(host.registry.setup_all())
    await starting.wait()
    leaving = asyncio.create_task(block.__aexit__(None, None, None))
    await asyncio.sleep(0.01)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    go_on.set()
    await other
    await asyncio.sleep(0.02)
    assert host.states() == {"a": STOPPED, "slow": STOPPED}


async def test_plugins_left_behind_are_remembered_though_the_next_start_fails(host: Any) -> None:
    host.track("a", run=whereabouts)
    await asyncio.to_thread(lambda: asyncio.run(host.registry.setup_all()))
    host.add("b", depends_on=["c"])
    host.add("c", depends_on=["b"])
    with pytest.raises(DependencyCycle):
        await host.registry.setup_all()
    await host.registry.unregister("part", "b")
    await host.registry.setup_all()
    assert host.log == ["start a", "stop a", "start a"]
    await host.registry.teardown_all()


def test_an_interrupt_at_the_moment_when_all_has_started_stops_it_again() -> None:
    seen: list[str] = []
    starting = threading.Event()

    async def start() -> None:
        starting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        seen.append("started")

    async def stop() -> None:
        seen.append("stopped")

    def interrupt() -> None:
        starting.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        Running(None, start, stop).__enter__()
    assert seen == ["started", "stopped"]
