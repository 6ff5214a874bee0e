"""Calls that were under way when a plugin was stopped end before its teardown comes, or overrun."""

from __future__ import annotations

import asyncio
from typing import Final

from dagstack_plugins.context import PluginContext
from dagstack_plugins.lifecycle.guarded import Limit, Overrun

_FIRST: Final = 0.001
_MOST: Final = 0.05
"""Seconds between looks, growing: leaving a call should cost nothing, so nobody is told of it."""


async def calls_ended(
    context: PluginContext | None, limit: Limit
) -> tuple[Overrun | None, asyncio.CancelledError | None]:
    """Wait until no call can reach a plugin any more.

    Args:
        context: the plugin's; ``None`` if it was never started.
        limit: how long to wait.

    Returns:
        What to tell of those that still run after that, and the cancellation of the caller, which ends the waiting.
    """
    if context is None:
        return None, None
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + limit.seconds, _FIRST
    while left := context.in_flight:
        if loop.time() >= end:
            return _overrun(left, f"after {limit}"), None
        try:
            await asyncio.sleep(min(pause, max(0.0, end - loop.time())))
        except asyncio.CancelledError as error:
            return _overrun(left, "when the host gave up waiting"), error
        pause = min(2 * pause, _MOST)
    return None, None


def _overrun(left: int, when: str) -> Overrun:
    calls = "a call was" if left == 1 else f"{left} calls were"
    told = f"{calls} still running {when}, and the teardown came all the same"
    return Overrun(f"{told} (a call that asks for it waits for itself)", leaked=True)
