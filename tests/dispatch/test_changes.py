"""Plugins come, go and change places while they are called: calls meet the old table or the new one."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dagstack_plugins import PluginContext, PluginState, PluginUnavailable, SingletonDispatcher, TeardownErrors

HOOKS = {
    "single": {"dispatch": "singleton"},
    "collect": {"dispatch": "broadcast_collect"},
    "notify": {"dispatch": "broadcast_notify"},
    "pass_on": {"dispatch": "chain"},
    "fit": {"dispatch": "capability"},
}
PAYLOAD = {"language": "python"}


class Slow:
    """A plugin whose hooks wait until they are let go, and which notes what happened to it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.context: PluginContext

    def setup(self, ctx: PluginContext) -> None:
        self.context = ctx

    def teardown(self) -> None:
        self.events.append(f"teardown with {self.context.in_flight} in flight")

    def answer(self, payload: Any) -> Any:
        self.entered.set()
        assert self.go_on.wait(10)
        self.events.append("answered")
        return PAYLOAD

    single = collect = notify = pass_on = fit = answer


def by_kind(hook: str) -> Callable[[Any], Any]:
    return lambda registry: getattr(registry.kind("part"), hook)


CALLS: dict[str, Callable[[Any], Any]] = {hook: by_kind(hook) for hook in HOOKS} | {
    "active": lambda registry: registry.get_plugin("part").single,
    "by name": lambda registry: registry.get_plugin("part", "slow").single,
    "chain by name": lambda registry: registry.get_plugin("part", "slow").pass_on,
    "by policy": lambda registry: (
        registry.set_routing_policy("part", lambda _: "slow") or registry.get_plugin("part").single
    ),
}


@pytest.fixture
def slow() -> Iterator[Slow]:
    plugin = Slow()
    yield plugin
    plugin.go_on.set()


@pytest.mark.parametrize("way", CALLS)
def test_teardown_waits_for_calls_under_way_and_refuses_new_ones(new_host: Any, slow: Slow, way: str) -> None:
    host = new_host(HOOKS, "part")
    host.registry.register(slow, _manifest("slow", supports_languages=["python"]))
    with ThreadPoolExecutor() as threads:
        with host.registry.running():
            call = CALLS[way](host.registry)
            answer = threads.submit(call, PAYLOAD)
            assert slow.entered.wait(10)
            assert slow.context.in_flight == 1
            stopping = threads.submit(asyncio.run, host.registry.teardown_all())
            _until(lambda: host.states()["slow"] is PluginState.STOPPED)
            with pytest.raises(PluginUnavailable, match="stopped"):
                host.registry.get_plugin("part", "slow").single(PAYLOAD)
            assert slow.context.cancelled, "it is told to hurry"
            slow.go_on.set()
            stopping.result(10)
        answer.result(10)
    assert slow.events == ["answered", "teardown with 0 in flight"]


async def test_a_coroutine_that_was_not_awaited_yet_is_not_under_way(new_host: Any) -> None:
    host = new_host({"single": {"dispatch": "singleton"}}, "part")
    seen = []

    async def single(self: Any, payload: Any) -> str:
        return "answered"

    host.add("one", single=single, teardown=lambda self: seen.append("teardown"))
    await host.registry.setup_all()
    first, second = host.call("single"), host.call("single")
    await host.registry.teardown_all()
    assert seen == ["teardown"]
    with pytest.raises(PluginUnavailable):
        await first
    await host.registry.setup_all()
    assert await second == "answered", "it asks the plugins that there are when it is awaited"


@pytest.mark.parametrize("colour", ["coroutine", "function"])
async def test_async_calls_are_waited_for(new_host: Any, colour: str) -> None:
    host = new_host({"single": {"dispatch": "singleton", "async": True}}, "part")
    events, go_on, entered = [], asyncio.Event(), asyncio.Event()

    async def single(self: Any, ctx: PluginContext, payload: Any) -> str:
        entered.set()
        await go_on.wait()
        events.append(f"answered, {ctx.in_flight} in flight")
        return "done"

    def in_thread(self: Any, payload: Any) -> str:
        entered_loop.call_soon_threadsafe(entered.set)
        return asyncio.run_coroutine_threadsafe(_wait(go_on), entered_loop).result(10) or "done"

    entered_loop = asyncio.get_running_loop()
    more = {} if colour == "coroutine" else {"execution_model": "thread_cpu_bound"}
    host.add(
        "one",
        single=single if colour == "coroutine" else in_thread,
        teardown=lambda self: events.append("teardown"),
        **more,
    )
    await host.registry.setup_all()
    call = asyncio.create_task(host.call("single"))
    await entered.wait()
    stopping = asyncio.create_task(host.registry.teardown_all())
    await asyncio.sleep(0.05)
    assert events == []
    go_on.set()
    await stopping
    assert await call == "done"
    assert events[-1] == "teardown"


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def test_middleware_is_not_torn_down_under_the_calls_that_it_wraps(new_host: Any, slow: Slow) -> None:
    host = new_host(HOOKS, "part")
    host.registry.register(slow, _manifest("slow"))
    seen = []

    class Around:
        def before(self, ctx: Any, kind: str, name: str, hook: str, args: Any) -> None:
            self.ctx = ctx

        def after(self, ctx: Any, kind: str, name: str, hook: str, result: Any) -> None:
            seen.append(f"after, {ctx.in_flight} in flight")

        def teardown(self) -> None:
            seen.append("teardown")

    host.registry.register(Around(), _manifest("around", kind="horizontal_middleware", priority=1000))
    with ThreadPoolExecutor() as threads, host.registry.running():
        answer = threads.submit(host.call, "single", PAYLOAD)
        assert slow.entered.wait(10)
        removing = threads.submit(asyncio.run, host.registry.unregister("horizontal_middleware", "around"))
        _until(lambda: "around" not in host.states() or host.states()["around"] is PluginState.STOPPED)
        slow.go_on.set()
        removing.result(10)
        answer.result(10)
    assert seen == ["after, 1 in flight", "teardown"]


def test_a_call_that_does_not_end_is_told_of_and_leaves_the_plugin_leaked(new_host: Any, slow: Slow) -> None:
    host = new_host(HOOKS, "part")
    host.registry.register(slow, _manifest("slow", teardown_timeout_sec=0.05))
    with ThreadPoolExecutor() as threads:
        running = host.registry.running()
        running.__enter__()
        answer = threads.submit(host.call, "single", PAYLOAD)
        assert slow.entered.wait(10)
        with pytest.raises(TeardownErrors, match=r"a call was still running after teardown_timeout_sec = 0\.05"):
            running.__exit__(None, None, None)
        (status,) = host.registry.status()
        assert status.state is PluginState.LEAKED
        assert slow.events == ["teardown with 1 in flight"]
        slow.go_on.set()
        assert answer.result(10) == PAYLOAD, "its caller gets the answer all the same"


async def test_a_teardown_that_is_given_up_while_calls_run_tears_down_all_the_same(new_host: Any) -> None:
    host = new_host({"single": {"dispatch": "singleton", "async": True}}, "part")
    events, go_on = [], asyncio.Event()

    async def single(self: Any, payload: Any) -> str:
        await go_on.wait()
        events.append("answered")
        return "done"

    async def teardown(self: Any) -> None:
        events.append("teardown")

    host.add("one", single=single, teardown=teardown)
    await host.registry.setup_all()
    call = asyncio.create_task(host.call("single"))
    await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(host.registry.teardown_all(), 0.05)
    assert events == ["teardown"]
    assert host.states() == {"one": PluginState.LEAKED}
    go_on.set()
    assert await call == "done"


def test_dispatchers_made_for_each_call_leave_nothing_behind(new_host: Any) -> None:
    host = new_host({"single": {"dispatch": "singleton"}}, "part")
    host.add("one", single=lambda self, payload: "one")
    with host.registry.running():
        for _ in range(3):
            assert SingletonDispatcher(host.registry, "part", "single")(PAYLOAD) == "one"
        traffic = host.registry.slot("part").table().traffic
        assert len(traffic._lanes) == 1


def test_a_teardown_that_fails_under_a_running_call_tells_of_both(new_host: Any, slow: Slow) -> None:
    host = new_host(HOOKS, "part")

    def teardown() -> None:
        raise LookupError("no such thing")

    slow.teardown = teardown  # type: ignore[method-assign]
    host.registry.register(slow, _manifest("slow", teardown_timeout_sec=0.05))
    with ThreadPoolExecutor() as threads:
        running = host.registry.running()
        running.__enter__()
        answer = threads.submit(host.call, "single", PAYLOAD)
        assert slow.entered.wait(10)
        with pytest.raises(TeardownErrors, match="no such thing"):
            running.__exit__(None, None, None)
        (status,) = host.registry.status()
        assert status.state is PluginState.LEAKED
        assert "a call was still running" in status.reason
        slow.go_on.set()
        answer.result(10)


def test_others_are_not_waited_for(new_host: Any, slow: Slow) -> None:
    host = new_host(HOOKS, "part")
    host.registry.register(slow, _manifest("slow", supports_languages=["python"]))
    host.add("other", fit=lambda self, payload: "other", supports_languages=["ruby"], **_all("other"))
    host.registry.set_active("part", "slow")
    with ThreadPoolExecutor() as threads, host.registry.running():
        answer = threads.submit(host.call, "fit", PAYLOAD)
        assert slow.entered.wait(10)
        host.registry.set_routing_policy("part", lambda _: "slow")
        second = threads.submit(host.call, "single", PAYLOAD)
        _until(lambda: slow.context.in_flight == 2)
        asyncio.run(host.registry.unregister("part", "other"))
        assert not answer.done()
        assert not second.done()
        slow.go_on.set()
        answer.result(10)
        second.result(10)


def test_a_plugin_whose_matches_is_asked_is_not_torn_down_meanwhile(new_host: Any) -> None:
    host = new_host({"fit": {"dispatch": "capability"}}, "part")
    asked, go_on, events = threading.Event(), threading.Event(), []

    def matches(self: Any, payload: Any) -> bool:
        asked.set()
        assert go_on.wait(10)
        events.append("matched")
        return False

    host.add(
        "picky",
        priority=1,
        matches=matches,
        fit=lambda self, payload: "picky",
        teardown=lambda self: events.append("teardown"),
        supports_languages=["python"],
    )
    host.add("other", fit=lambda self, payload: "other", supports_languages=["python"])
    with ThreadPoolExecutor() as threads, host.registry.running():
        answer = threads.submit(host.call, "fit", PAYLOAD)
        assert asked.wait(10)
        removing = threads.submit(asyncio.run, host.registry.unregister("part", "picky"))
        _until(lambda: host.states()["picky"] is PluginState.STOPPED)
        go_on.set()
        removing.result(10)
        assert answer.result(10) == "other"
    assert events == ["matched", "teardown"]


@pytest.mark.parametrize("form", ["sync", "aio"])
@pytest.mark.parametrize("payload", [{"language": "python"}, {"language": "python", "more": [1, None]}])
def test_a_plugin_that_goes_while_it_is_chosen_is_chosen_again(new_host: Any, form: str, payload: Any) -> None:
    host = new_host(HOOKS, "part")
    chosen: list[str] = []

    def remove(name: str) -> None:
        if name in host.states():
            asyncio.run(host.registry.unregister("part", name))

    def policy(request: Any) -> str:
        chosen.append("first" if "first" in host.states() else "second")
        assert request.payload == payload
        threads.submit(remove, "first").result(10)
        return chosen[-1]

    def matches(self: Any, payload: Any) -> bool:
        threads.submit(remove, "second").result(10)
        return False

    def call(hook: str) -> Any:
        if form == "sync":
            return getattr(host.registry.kind("part").sync, hook)(payload)
        return asyncio.run(getattr(host.registry.kind("part").aio, hook)(payload))

    for name in ("first", "second", "third"):
        host.add(name, supports_languages=["python"], **dict.fromkeys(HOOKS, _tells(name)))
    host.add("picky", priority=1, matches=matches, supports_languages=["python"], **dict.fromkeys(HOOKS, _tells("")))
    host.registry.set_routing_policy("part", policy)
    with ThreadPoolExecutor() as threads, host.registry.running():
        assert call("single") == f"second: {payload}"
        assert chosen == ["first", "second"]
        host.registry.set_routing_policy("part", None)
        host.registry.set_active("part", "third")
        assert call("fit") == f"third: {payload}"


class Storm:
    """Plugins that know whether they were started, callers that check what they get, and somebody who changes all.

    Attributes:
        history: the plugins of each table, noted just before it may be seen.
    """

    def __init__(self, host: Any) -> None:
        self.host = host
        self.home = threading.current_thread()
        self.history: list[frozenset[str]] = [frozenset({"base"})]

    def add(self, name: str, **fields: Any) -> None:
        alive = []

        def setup(plugin: Any) -> None:
            alive.append(True)

        async def teardown(plugin: Any) -> None:
            alive.clear()

        def answer(plugin: Any, payload: Any) -> str:
            assert alive, f"{name} is called before its setup or after its teardown"
            if threading.current_thread() is not self.home:  # where plugins are changed, which should go on
                time.sleep(random.random() / 1_000)
            assert alive, f"{name} was torn down under a call"
            return name

        def pass_on(plugin: Any, payload: Any) -> Any:
            return {**payload, "seen": [*payload.get("seen", ()), answer(plugin, payload)]}

        hooks = dict.fromkeys(("single", "collect", "notify", "fit"), answer)
        self.host.add(name, setup=setup, teardown=teardown, pass_on=pass_on, fallback=name == "base", **hooks, **fields)

    def call_in_thread(self) -> None:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            time.sleep(random.random() / 20)
            began = self.began()
            kind, active = self.host.registry.kind("part"), self.host.registry.get_plugin("part")
            ones = [active.single(PAYLOAD), kind.single(PAYLOAD), kind.fit(PAYLOAD)]
            assert kind.notify(PAYLOAD) is None
            self.check(began, ones, [kind.collect(PAYLOAD), kind.pass_on(PAYLOAD)["seen"]])

    async def call_in_task(self) -> None:
        for _ in range(2):
            await asyncio.sleep(2 * random.random())
            began = self.began()
            kind, active = self.host.registry.kind("part").aio, self.host.registry.get_plugin("part").aio
            ones = [await active.single(PAYLOAD), await kind.single(PAYLOAD), await kind.fit(PAYLOAD)]
            assert await kind.notify(PAYLOAD) is None
            self.check(began, ones, [await kind.collect(PAYLOAD), (await kind.pass_on(PAYLOAD))["seen"]])

    def began(self) -> int:
        """The place of the oldest table that a call may meet from now on; the last may not be seen yet."""
        return max(0, len(self.history) - 2)

    def check(self, began: int, ones: list[str], everyone: list[list[str]]) -> None:
        possible = self.history[began:]
        assert all(any(one in those for those in possible) for one in ones), (ones, possible)
        for found in everyone:
            assert frozenset(found) in possible, (found, possible)
            assert len(found) == len(set(found))

    async def change(self, calls: Sequence[asyncio.Future[None]]) -> int:
        """Add, choose, degrade and remove plugins, and some that never start, until all calls were made."""
        registry, number = self.host.registry, 0
        while not all(call.done() for call in calls):
            name, number = f"extra{number}", number + 1
            self.add(name, priority=random.choice([1, 99]), supports_languages=["python"])
            self.history.append(frozenset({"base", name}))
            self.host.add(f"broken{number}", priority=2, setup=_fails, **dict.fromkeys(HOOKS, _tells("broken")))
            await registry.setup_all()
            await registry.unregister("part", f"broken{number}")
            registry.slot("part").accepted(name).degrade("told to", LookupError())
            registry.set_active("part", random.choice([name, "base"]))
            await asyncio.sleep(0.001)
            registry.set_active("part", random.choice(["base", None]))
            self.history.append(frozenset({"base"}))
            # One that the host chose would be missed; it is let go first.
            await registry.unregister("part", name)
        return number


async def test_threads_and_tasks_see_one_table_or_the_other(new_host: Any) -> None:
    storm = Storm(new_host(HOOKS, "part"))
    storm.add("base", priority=50)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(32) as threads:
        async with storm.host.registry.running():
            calls = [loop.run_in_executor(threads, storm.call_in_thread) for _ in range(32)]
            calls += [asyncio.ensure_future(storm.call_in_task()) for _ in range(1_000)]
            changes = await storm.change(calls)
            await asyncio.gather(*calls)
    assert changes > 10
    assert storm.host.states() == {"base": PluginState.STOPPED}


def _manifest(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "kind": "part", "core_version": ">=0.1", "runtime": "in_process", **fields}


def _fails(plugin: Any) -> None:
    raise LookupError


def _tells(name: str) -> Any:
    return lambda self, payload: f"{name}: {payload}"


def _all(value: str) -> dict[str, Any]:
    return dict.fromkeys(("single", "collect", "notify", "pass_on"), lambda self, payload: value)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)
