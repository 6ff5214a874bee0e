"""Calls that were under way when a plugin was stopped end before its teardown comes, or overrun."""

from __future__ import annotations

import asyncio
from typing import Final

from dagstack_plugins.context import PluginContext
from dagstack_plugins.lifecycle.guarded import Abandoned, Limit, Overrun

_FIRST: Final = 0.001
_MOST: Final = 0.05
"""Seconds between looks, growing: leaving a call should cost nothing, so nobody is told of it."""


async def calls_ended(context: PluginContext | None, limit: Limit) -> Overrun | None:
    """Wait until no call can reach a plugin any more.

    Args:
        context: the plugin's; ``None`` if it was never started.
        limit: how long to wait.

    Returns:
        What to tell of those that still run after that; ``None`` if there are none.

    Raises:
        Abandoned: if the caller was cancelled.
    """
    if context is None:
        return None
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + limit.seconds, _FIRST
    while left := context.in_flight:
        if loop.time() >= end:
            calls = "a call was" if left == 1 else f"{left} calls were"
            return Overrun(f"{calls} still running after {limit}, and the teardown came all the same", leaked=True)
        try:
            await asyncio.sleep(min(pause, max(0.0, end - loop.time())))
        except asyncio.CancelledError as error:
            raise Abandoned(
                "waiting for calls to end was cancelled by the host", leaked=True, cancelled=error
            ) from None
        pause = min(2 * pause, _MOST)
    return None
