"""call_timeout_sec and max_concurrency of coroutine functions."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry
from dagstack_plugins.gate import Gate


def registered(cls: type, **fields: Any) -> PluginRegistry:
    registry = PluginRegistry()
    registry.register(cls, {"name": "one", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1", **fields})
    return registry


async def test_a_call_that_takes_too_long_is_cancelled() -> None:
    cancelled = asyncio.Event()

    class Slow:
        async def execute(self, args: Any) -> Any:
            if not args:
                return "quick"
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

    async with registered(Slow, call_timeout_sec=0.05).running() as registry:
        tool = registry.get_plugin("tool", "one")
        with pytest.raises(TimeoutError) as caught:
            await tool.execute(slow=True)
        assert "call_timeout_sec = 0.05" in str(caught.value)
        assert any("'one'" in note for note in caught.value.__notes__)
        assert cancelled.is_set()
        assert await tool.execute() == "quick"


async def test_its_own_timeout_is_its_own() -> None:
    class Impatient:
        async def execute(self, args: Any) -> Any:
            raise TimeoutError("mine")

    async with registered(Impatient, call_timeout_sec=5).running() as registry:
        with pytest.raises(TimeoutError, match="mine") as caught:
            await registry.get_plugin("tool", "one").execute()
        assert str(caught.value) == "mine"


async def test_more_calls_than_admitted_wait() -> None:
    class Counting:
        running = most = 0

        async def execute(self, args: Any) -> Any:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.running -= 1
            return self.most

    async with registered(Counting, max_concurrency=3).running() as registry:
        tool = registry.get_plugin("tool", "one")
        assert max(await asyncio.gather(*(tool.execute() for _ in range(20)))) == 3


async def test_waiting_for_a_place_is_not_the_plugins_time() -> None:
    class Slow:
        async def execute(self, args: Any) -> Any:
            await asyncio.sleep(0.06)

    async with registered(Slow, max_concurrency=1, call_timeout_sec=0.5).running() as registry:
        tool = registry.get_plugin("tool", "one")
        await asyncio.gather(*(tool.execute() for _ in range(12)))


@pytest.mark.parametrize("places", [1, 3])
def test_functions_called_from_threads_and_loops_share_the_places(places: int, counting: Any) -> None:
    registry = PluginRegistry()
    manifest = {"name": "one", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
    registry.register(counting, {**manifest, "max_concurrency": places})
    with registry.running():
        tool = registry.get_plugin("tool", "one")

        async def call() -> None:
            await asyncio.gather(*(tool.aio.execute() for _ in range(5)))

        threads = [threading.Thread(target=tool.execute) for _ in range(6)]
        threads += [threading.Thread(target=lambda: asyncio.run(call())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
    assert (counting.most, counting.running) == (places, 0)


async def test_who_gives_up_waiting_leaves_the_place_to_the_next() -> None:
    gate = Gate(1)
    await gate.enter_async()
    waiting = [asyncio.create_task(gate.enter_async()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    gate.leave()
    waiting[1].cancel()  # at the same moment as it is let in
    await asyncio.wait(waiting, timeout=5)
    assert [task.cancelled() for task in waiting] == [True, True, False]
    gate.leave()
    await asyncio.wait_for(gate.enter_async(), 5)
