"""Plugins that say thread_cpu_bound run in threads of the registry's, whoever calls."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dagstack_plugins import PluginError, PluginLoadError, PluginRegistry

MANIFEST = {
    "name": "one",
    "kind": "tool",
    "runtime": "in_process",
    "core_version": ">=0.1",
    "execution_model": "thread_cpu_bound",
}


def registered(plugin: Any, registry: PluginRegistry | None = None, **fields: Any) -> PluginRegistry:
    registry = PluginRegistry() if registry is None else registry
    registry.register(plugin, MANIFEST | fields)
    return registry


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hanging plugins wait for; set at the end, so that no thread outlives its test by much."""
    event = threading.Event()
    yield event
    event.set()


class Where:
    def setup(self, ctx: Any) -> None:
        self.ctx = ctx

    def execute(self, args: Any) -> Any:
        return threading.current_thread().name, dict(self.ctx.metadata)


def test_it_runs_in_a_thread_of_the_registrys_and_metadata_follows() -> None:
    with registered(Where).running() as registry:
        tool = registry.get_plugin("tool", "one")
        with registry.metadata(tenant="acme"):
            for call in (tool.execute, tool.sync.execute, lambda: asyncio.run(tool.aio.execute())):
                assert call() == ("dagstack-plugins-worker", {"tenant": "acme"})


async def test_a_loop_goes_on_meanwhile() -> None:
    there = threading.Barrier(3)

    class Meets:
        def execute(self, args: Any) -> Any:
            there.wait(10)
            return args

    async with registered(Meets).running() as registry:
        execute = registry.get_plugin("tool", "one").aio.execute
        calls = [asyncio.create_task(execute(n=number)) for number in range(2)]
        await asyncio.to_thread(there.wait, 10)
        assert await asyncio.gather(*calls) == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize(
    ("error", "expected"), [(LookupError, LookupError), (SystemExit, PluginError), (KeyboardInterrupt, PluginError)]
)
def test_errors_arrive_as_from_anywhere(error: type[BaseException], expected: type[Exception]) -> None:
    class Fails:
        def execute(self, args: Any) -> Any:
            if args:
                raise error("mine")
            return "still here"

    with registered(Fails, PluginRegistry(thread_workers=1)).running() as registry:
        tool = registry.get_plugin("tool", "one")
        for call in (tool.sync.execute, lambda **args: asyncio.run(tool.aio.execute(**args))):
            with pytest.raises(expected, match="mine"):
                call(x=1)
            assert call() == "still here"


def test_errors_of_all_sorts_reach_blocking_callers_as_they_are() -> None:
    class Fails:
        def execute(self, args: Any) -> Any:
            raise StopIteration("mine")

    with registered(Fails).running() as registry:
        tool = registry.get_plugin("tool", "one")
        with pytest.raises(StopIteration, match="mine"):
            tool.execute()
        with pytest.raises(RuntimeError, match="StopIteration"):  # no coroutine can raise it
            asyncio.run(tool.aio.execute())


@pytest.mark.parametrize("form", ["sync", "aio"])
def test_a_call_that_takes_too_long_lets_its_thread_go(released: threading.Event, form: str) -> None:
    class Slow:
        def execute(self, args: Any) -> Any:
            if args:
                released.wait(20)
            return "quick"

    registry = registered(Slow, PluginRegistry(thread_workers=1), call_timeout_sec=0.05)
    with registry.running():
        tool = registry.get_plugin("tool", "one")
        call: Any = tool.sync.execute if form == "sync" else lambda **args: asyncio.run(tool.aio.execute(**args))
        for _ in range(3):
            with pytest.raises(TimeoutError) as caught:
                call(slow=True)
            assert "call_timeout_sec = 0.05" in str(caught.value)
            assert any("'one'" in note for note in caught.value.__notes__)
        assert call() == "quick"


def test_a_timeout_of_its_own_is_its_own() -> None:
    class Impatient:
        def execute(self, args: Any) -> Any:
            raise TimeoutError("mine")

    with registered(Impatient, call_timeout_sec=5).running() as registry:
        with pytest.raises(TimeoutError, match="mine") as caught:
            registry.get_plugin("tool", "one").execute()
        assert str(caught.value) == "mine"


@pytest.mark.parametrize(("workers", "places", "most"), [(2, None, 2), (8, 3, 3)])
def test_as_many_run_at_once_as_there_are_threads_or_places(
    workers: int, places: int | None, most: int, counting: Any
) -> None:
    fields = {} if places is None else {"max_concurrency": places}
    with registered(counting, PluginRegistry(thread_workers=workers), **fields).running() as registry:
        execute = registry.get_plugin("tool", "one").aio.execute

        async def call_many() -> None:
            await asyncio.gather(*(execute() for _ in range(20)))

        asyncio.run(call_many())
    assert (counting.most, counting.running) == (most, 0)


async def test_a_cancelled_caller_gives_up_its_place_or_lets_the_thread_go(released: threading.Event) -> None:
    begun = threading.Event()

    class Slow:
        def execute(self, args: Any) -> Any:
            if args:
                begun.set()
                released.wait(20)
            return "quick"

    registry = registered(Slow, PluginRegistry(thread_workers=1), max_concurrency=2)
    async with registry.running():
        execute = registry.get_plugin("tool", "one").aio.execute
        running = asyncio.create_task(execute(slow=True))
        await asyncio.to_thread(begun.wait, 10)
        waiting = asyncio.create_task(execute(slow=True))
        await asyncio.sleep(0.01)
        waiting.cancel()
        running.cancel()
        await asyncio.wait({running, waiting})
        # The place of the one that still runs is taken; the other is free, and so is a thread.
        assert await asyncio.wait_for(execute(), 10) == "quick"


def test_threads_end_when_plugins_do() -> None:
    before = threading.active_count()
    with registered(Where).running() as registry:
        registry.get_plugin("tool", "one").execute()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() <= before
    with registry.running():
        registry.get_plugin("tool", "one").execute()


def test_one_that_hangs_does_not_keep_the_host_from_ending() -> None:
    program = """
import threading
from dagstack_plugins import PluginRegistry
class Hangs:
    def execute(self, args):
        threading.Event().wait()
registry = PluginRegistry()
registry.register(Hangs, {"name": "one", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1",
                          "execution_model": "thread_cpu_bound", "call_timeout_sec": 0.1})
with registry.running():
    try:
        registry.get_plugin("tool", "one").execute()
    except TimeoutError:
        print("given up")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "given up\n"


def test_coroutine_functions_have_a_model_of_their_own() -> None:
    class Async:
        async def execute(self, args: Any) -> Any:
            return args

    with pytest.raises(PluginLoadError, match="runs plain functions"):
        registered(Async)


@pytest.mark.parametrize("workers", [0, -1])
def test_a_pool_has_threads(workers: int) -> None:
    with pytest.raises(ValueError, match="thread_workers"):
        PluginRegistry(thread_workers=workers)


def test_without_a_thread_the_call_fails_and_leaves_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with registered(Where, max_concurrency=1).running() as registry:
        tool = registry.get_plugin("tool", "one")
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_more)
            for _ in range(2):
                with pytest.raises(RuntimeError, match="no thread left"):
                    tool.execute()
        assert tool.execute()
