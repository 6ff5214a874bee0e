"""A hook has one colour, and plugins live on one loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import itertools
import logging
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from dagstack_plugins import DispatchMismatch, KindUnknown, PayloadInvalid, PluginUnavailable

CLASSES = ["singleton", "broadcast_collect", "broadcast_notify", "chain", "capability"]
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def plain(self: Any, payload: Any) -> Any:
    return payload


async def coroutine(self: Any, payload: Any) -> Any:
    await asyncio.sleep(0)
    return payload


async def where(self: Any, payload: Any) -> Any:
    return asyncio.get_running_loop(), threading.current_thread(), tenant.get()


def where_plain(self: Any, payload: Any) -> Any:
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop(), threading.current_thread(), tenant.get()
    return None, threading.current_thread(), tenant.get()


@pytest.fixture
def host(new_host: Any) -> Any:
    return new_host({"greet": {}})


def declared(new_host: Any, dispatch: str, colour: bool | None) -> Any:
    return new_host({"greet": {"dispatch": dispatch, **({} if colour is None else {"async": colour})}})


# Which colour


@pytest.mark.parametrize("method", [plain, coroutine], ids=["plain", "coroutine"])
@pytest.mark.parametrize("dispatch", CLASSES)
async def test_the_hookspec_fixes_async_and_every_plugin_is_adapted(new_host: Any, dispatch: str, method: Any) -> None:
    host = declared(new_host, dispatch, True)
    host.add("a", greet=method, fallback=True)
    async with host.registry.running() as registry:
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            answer = proxy.greet(x=1)
            assert inspect.isawaitable(answer)
            assert await answer in ({"x": 1}, [{"x": 1}], None)


@pytest.mark.parametrize("method", [plain, coroutine], ids=["plain", "coroutine"])
@pytest.mark.parametrize("dispatch", CLASSES)
def test_the_hookspec_fixes_sync_and_every_plugin_is_adapted(new_host: Any, dispatch: str, method: Any) -> None:
    host = declared(new_host, dispatch, False)
    host.add("a", greet=method, fallback=True)
    with host.registry.running() as registry:
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            assert proxy.greet(x=1) in ({"x": 1}, [{"x": 1}], None)


@pytest.mark.parametrize("dispatch", CLASSES)
async def test_left_out_one_coroutine_function_makes_it_async_whoever_answers(new_host: Any, dispatch: str) -> None:
    host = declared(new_host, dispatch, None)
    host.add("a", greet=plain, priority=1, fallback=True)
    async with host.registry.running() as registry:
        assert not inspect.isawaitable(host.call("greet", x=1))
        host.add("b", greet=coroutine)
        for _ in range(2):
            for proxy in (
                registry.kind("greeter"),
                registry.get_plugin("greeter"),
                registry.get_plugin("greeter", "a"),
            ):
                assert await proxy.greet(x=1) in ({"x": 1}, [{"x": 1}], [{"x": 1}] * 2, None)
            await registry.setup_all()
        await registry.unregister("greeter", "b")
        assert not inspect.isawaitable(host.call("greet", x=1))


async def test_a_plugin_that_declares_itself_async_makes_it_async(host: Any) -> None:
    host.add("a", greet=plain, execution_model="async")
    async with host.registry.running():
        assert await host.call("greet", x=1) == {"x": 1}


async def test_colour_does_not_depend_on_what_a_caller_requires(new_host: Any) -> None:
    for dispatch in CLASSES:
        host = declared(new_host, dispatch, None)
        host.add("a", greet=plain, priority=1, capabilities=["pii"], fallback=True)
        host.add("b", greet=coroutine)
        async with host.registry.running() as registry:
            assert await registry.kind("greeter", require={"pii"}).greet(x=1) in ({"x": 1}, [{"x": 1}], None)


async def test_async_hooks_fail_when_awaited(new_host: Any, text: Any) -> None:
    host = new_host({"greet": {"async": True, "input_schema": text}})
    proxy = host.registry.kind("greeter")
    unknown = proxy.greet(text="x")
    with pytest.raises(KindUnknown):
        await unknown
    host.add("a", greet=plain)
    unavailable = proxy.greet(text="x")
    with pytest.raises(PluginUnavailable):
        await unavailable
    async with host.registry.running():
        invalid = proxy.greet(text=1)
        with pytest.raises(PayloadInvalid):
            await invalid


async def test_aio_is_always_awaitable(host: Any) -> None:
    host.add("a", greet=plain)
    async with host.registry.running() as registry:
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            assert await proxy.aio.greet(x=1) == {"x": 1}


def test_sync_always_blocks(host: Any) -> None:
    host.add("a", greet=coroutine)
    with host.registry.running() as registry:
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            assert proxy.sync.greet(x=1) == {"x": 1}


@pytest.mark.parametrize("settled", [True, False, None])
async def test_setup_all_warns_when_plugins_differ_in_a_colour_that_nothing_settles(
    new_host: Any, caplog: pytest.LogCaptureFixture, settled: bool | None
) -> None:
    host = declared(new_host, "broadcast_collect", settled)
    host.add("plain_one", greet=plain)
    host.add("other_one", greet=coroutine)
    await host.registry.setup_all()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    if settled is not None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert all(word in warning for word in ("greeter.greet", "plain_one", "other_one", "async:"))


async def test_setup_all_warns_of_nothing_where_plugins_agree(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    host.add("a", greet=coroutine, priority=1)
    host.add("b", greet=plain, execution_model="async")
    await host.registry.setup_all()
    assert caplog.records == []


# The loop rule


async def test_on_their_loop_blocking_calls_of_coroutine_functions_are_a_mismatch(new_host: Any) -> None:
    for dispatch in ("singleton", "capability"):
        host = declared(new_host, dispatch, False)
        host.add("a", greet=coroutine, fallback=True)
        async with host.registry.running() as registry:
            for call in (
                registry.kind("greeter").greet,
                registry.kind("greeter").sync.greet,
                registry.get_plugin("greeter").greet,
                registry.get_plugin("greeter", "a").greet,
                registry.get_plugin("greeter", "a").sync.greet,
            ):
                with pytest.raises(DispatchMismatch, match="aio"):
                    call(x=1)
            assert await registry.kind("greeter").aio.greet(x=1) == {"x": 1}


@pytest.mark.parametrize("dispatch", CLASSES)
@pytest.mark.parametrize("method", [plain, coroutine], ids=["plain", "coroutine"])
async def test_on_their_loop_sync_is_a_mismatch_whoever_answers(new_host: Any, dispatch: str, method: Any) -> None:
    host = declared(new_host, dispatch, None)
    host.add("a", greet=method, fallback=True)
    async with host.registry.running() as registry:
        for proxy in (registry.kind("greeter"), registry.get_plugin("greeter"), registry.get_plugin("greeter", "a")):
            with pytest.raises(DispatchMismatch, match="aio"):
                proxy.sync.greet(x=1)
            assert await asyncio.to_thread(proxy.sync.greet, x=1) in ({"x": 1}, [{"x": 1}], None)


async def test_plain_functions_run_in_the_calling_thread(host: Any) -> None:
    host.add("a", greet=where_plain)
    async with host.registry.running() as registry:
        assert host.call("greet")[:2] == (asyncio.get_running_loop(), threading.current_thread())

        def elsewhere() -> None:
            assert host.call("greet")[:2] == (None, threading.current_thread())
            assert registry.kind("greeter").sync.greet()[:2] == (None, threading.current_thread())
            loop, thread, _ = asyncio.run(registry.kind("greeter").aio.greet())
            assert loop is not None
            assert thread is threading.current_thread()

        await asyncio.to_thread(elsewhere)


async def test_coroutine_functions_run_at_home_whoever_calls_and_context_variables_follow(host: Any) -> None:
    host.add("a", greet=where)
    home = asyncio.get_running_loop(), threading.current_thread()
    async with host.registry.running() as registry:
        proxy = registry.kind("greeter")
        tenant.set("home")
        assert await proxy.greet() == (*home, "home")

        def from_a_thread() -> None:
            tenant.set("thread")
            assert proxy.sync.greet() == (*home, "thread")

        def from_another_loop() -> None:
            async def run() -> None:
                tenant.set("other loop")
                assert await proxy.greet() == (*home, "other loop")
                task = asyncio.create_task(proxy.greet())
                tenant.set("later")
                assert await task == (*home, "other loop")

            asyncio.run(run())

        await asyncio.to_thread(from_a_thread)
        await asyncio.to_thread(from_another_loop)
        assert tenant.get() == "home"


@pytest.mark.parametrize("dispatch", ["broadcast_collect", "chain"])
async def test_all_coroutine_functions_of_one_call_run_at_home(new_host: Any, dispatch: str) -> None:
    host = declared(new_host, dispatch, None)
    seen: list[Any] = []

    async def note(self: Any, payload: Any) -> Any:
        seen.append(asyncio.get_running_loop())
        return payload

    host.add("a", greet=note)
    host.add("b", greet=note)
    async with host.registry.running():
        await asyncio.to_thread(lambda: asyncio.run(host.call("greet", x=1)))
    assert seen == [asyncio.get_running_loop()] * 2


async def test_metadata_follows_to_wherever_a_plugin_runs(new_host: Any) -> None:
    host = new_host({"plain": {}, "coroutine": {"async": True}})

    def plainly(self: Any, payload: Any, ctx: Any) -> Any:
        return dict(ctx.metadata)

    async def later(self: Any, payload: Any, ctx: Any) -> Any:
        return dict(ctx.metadata)

    host.add("a", plain=plainly, coroutine=later)
    async with host.registry.running() as registry:
        proxy = registry.kind("greeter")
        with registry.metadata(tenant="acme", depth=1), registry.metadata(depth=2):
            expected = {"tenant": "acme", "depth": 2}
            assert proxy.plain() == await proxy.coroutine() == expected
            assert await asyncio.create_task(proxy.coroutine()) == expected
            assert await asyncio.to_thread(proxy.plain) == expected
            assert await asyncio.to_thread(proxy.sync.coroutine) == expected
            assert await asyncio.to_thread(lambda: asyncio.run(proxy.coroutine())) == expected
            task = asyncio.create_task(proxy.coroutine())
        assert await task == expected
        assert proxy.plain() == {}


async def test_an_error_keeps_its_identity_across_threads_and_loops(host: Any) -> None:
    error = ValueError("teapot")

    async def tears(self: Any, payload: Any) -> None:
        raise error

    host.add("a", greet=tears)
    async with host.registry.running() as registry:
        for call in (registry.kind("greeter").sync.greet, lambda: asyncio.run(host.call("greet"))):
            with pytest.raises(ValueError, match="teapot") as caught:
                await asyncio.to_thread(call)
            assert caught.value is error
    assert len(error.__notes__) == 1


def test_without_their_loop_coroutine_functions_can_not_be_called_and_plain_ones_can(new_host: Any) -> None:
    host = new_host({"plain": {}, "coroutine": {}})
    host.add("a", plain=plain, coroutine=coroutine)
    asyncio.run(host.registry.setup_all())
    assert host.call("plain", x=1) == {"x": 1}
    for call in (
        lambda: host.registry.kind("greeter").sync.coroutine(x=1),
        lambda: asyncio.run(host.call("coroutine", x=1)),
    ):
        with pytest.raises(PluginUnavailable, match="running"):
            call()


@pytest.mark.parametrize("form", ["threads", "loops"])
def test_no_caller_waits_for_a_loop_that_ended(host: Any, form: str) -> None:
    """The loop of ``asyncio.run`` closes while other threads call; each call is answered, or fails as unavailable."""

    async def greet(self: Any, payload: Any) -> Any:
        await asyncio.sleep(0)
        return payload

    host.add("a", greet=greet)
    greeter = host.registry.get_plugin("greeter")
    call: Any = greeter.sync.greet if form == "threads" else lambda **given: asyncio.run(greeter.aio.greet(**given))
    ended: list[Exception] = []

    def call_until_it_fails(begun: threading.Event) -> None:
        try:
            for number in itertools.count():
                assert call(x=number) == {"x": number}
                begun.set()
        except Exception as error:
            ended.append(error)

    async def be_home_for_a_moment(begun: list[threading.Event]) -> None:
        await host.registry.setup_all()
        for thread in threads:
            thread.start()
        while not all(event.is_set() for event in begun):
            await asyncio.sleep(0)

    for _ in range(5):
        begun = [threading.Event() for _ in range(8)]
        threads = [threading.Thread(target=call_until_it_fails, args=(event,), daemon=True) for event in begun]
        asyncio.run(be_home_for_a_moment(begun))
        for thread in threads:
            thread.join(timeout=10)
        assert not any(thread.is_alive() for thread in threads)
    gc.collect()  # a coroutine that nobody awaited would be told of here
    assert len(ended) == 40
    assert {type(error) for error in ended} == {PluginUnavailable}


# Callers that give up


@pytest.fixture
def stuck(host: Any) -> Iterator[Any]:
    """A host whose one plugin works until it is cancelled; ``started`` and ``ended`` tell."""
    host.started, host.ended = threading.Event(), threading.Event()

    async def greet(self: Any, payload: Any) -> None:
        host.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            host.ended.set()

    host.add("a", greet=greet)
    yield host
    assert host.ended.is_set()


async def test_cancelling_a_caller_at_home_cancels_the_plugin(stuck: Any) -> None:
    async with stuck.registry.running():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stuck.call("greet")
        assert stuck.ended.is_set()


async def call_and_give_up(stuck: Any) -> None:
    caller = asyncio.create_task(stuck.call("greet"))
    await asyncio.to_thread(stuck.started.wait, 10)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_cancelling_a_caller_on_another_loop_cancels_the_plugin(stuck: Any) -> None:
    async with stuck.registry.running():
        await asyncio.to_thread(asyncio.run, call_and_give_up(stuck))
        assert await asyncio.to_thread(stuck.ended.wait, 10)


def test_the_background_loop_outlives_a_caller_that_gave_up(stuck: Any) -> None:
    with stuck.registry.running():
        for _ in range(2):
            asyncio.run(call_and_give_up(stuck))
            assert stuck.ended.wait(10)
            stuck.started.clear()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A run that was started in the background ignores the interrupt of a user; not so here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals go to a thread on POSIX only")
@pytest.mark.usefixtures("interruptible")
def test_a_user_who_interrupts_a_blocking_call_takes_the_plugin_along(stuck: Any) -> None:
    def interrupt() -> None:
        stuck.started.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    thread = threading.Thread(target=interrupt)
    with stuck.registry.running() as registry:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            registry.kind("greeter").sync.greet()
        thread.join()
        assert stuck.ended.wait(10)


def test_a_plugin_that_cancels_itself_is_a_failed_call_from_anywhere(host: Any) -> None:
    async def cancels(self: Any, payload: Any) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    host.add("a", greet=cancels)
    with host.registry.running() as registry:
        with pytest.raises(Exception, match="CancelledError") as caught:
            registry.kind("greeter").sync.greet()
        assert caught.value.plugin == "a"
        with pytest.raises(Exception, match="CancelledError"):
            asyncio.run(host.call("greet"))


# Many at once


async def test_threads_and_tasks_call_while_plugins_come_and_go(new_host: Any) -> None:
    host = new_host({"greet": {"dispatch": "broadcast_collect"}})
    host.add("a", greet=plain)
    proxy = host.registry.kind("greeter")
    stop = threading.Event()
    answers: list[int] = []

    def call() -> None:
        while not stop.is_set():
            answers.append(len(proxy.greet(x=1)))

    async with host.registry.running() as registry:
        callers = [asyncio.create_task(asyncio.to_thread(call)) for _ in range(4)]
        for _ in range(20):
            host.add("b", greet=plain)
            await registry.setup_all()
            assert len(proxy.greet(x=1)) == 2
            await registry.unregister("greeter", "b")
            assert len(proxy.greet(x=1)) == 1
        stop.set()
        await asyncio.gather(*callers)
    assert set(answers) <= {1, 2}


async def test_a_forgotten_await_names_the_hook(host: Any) -> None:
    host.add("a", greet=coroutine)
    async with host.registry.running():
        with pytest.warns(RuntimeWarning, match=r"coroutine 'greeter\.greet' was never awaited"):
            host.call("greet", x=1)  # dropped at once
