"""Dispatch that asks several plugins is written once, as a generator, and driven blocking or awaited.

A script yields batches of implementations to call, is sent their outcomes, and returns what the caller gets: a value,
or an outcome whose error it is. (A generator can't raise every error: a ``StopIteration`` would be its own end.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any

import attrs

from dagstack_plugins.dispatch.base import Block, Wait
from dagstack_plugins.dispatch.implementation import Implementation


# Both are made in every call: attrs' frozen classes would take several times as long.
@attrs.define(eq=False)
class Batch:
    """Implementations that get the same payload.

    Attributes:
        asked: them, in order.
        payload: what they get.
        stop: whether the first failure ends the batch; the others are then not asked, or cancelled.
    """

    asked: Sequence[Implementation]
    payload: Any
    stop: bool = False


@attrs.define(eq=False)
class Outcome:
    """What became of one of them: a value, or the error instead."""

    asked: Implementation
    value: Any = None
    error: Exception | None = None


Script = Generator[Batch, list[Outcome], Any]


def driven(script: Callable[[Any], Script], asked: Sequence[Implementation]) -> tuple[Block, Wait]:
    """A script in both colours.

    Args:
        script: the script.
        asked: whom it may ask.
    """
    home = next((one.home for one in asked if one.home is not None), None)

    def block(payload: Any) -> Any:
        if home is not None:
            # Said before anyone is asked: it is the caller's mistake, and no failure of the plugin that it would meet.
            home.refuse_here()
        running = script(payload)
        try:
            batch = next(running)
            while True:
                batch = running.send(_ask(batch))
        except StopIteration as end:
            answer = end.value
        return _answered(answer)

    async def wait(payload: Any) -> Any:
        running = script(payload)
        try:
            batch = next(running)
            while True:
                batch = running.send(await _ask_at_once(batch))
        except StopIteration as end:
            answer = end.value
        return _answered(answer)

    return block, wait


def _answered(answer: Any) -> Any:
    if type(answer) is Outcome and answer.error is not None:
        raise answer.error
    return answer


def _ask(batch: Batch) -> list[Outcome]:
    outcomes = []
    for asked in batch.asked:
        try:
            outcomes.append(Outcome(asked, asked.block(batch.payload)))
        except Exception as error:
            outcomes.append(Outcome(asked, error=error))
            if batch.stop:
                break
    return outcomes


async def _settled(asked: Implementation, payload: Any) -> Outcome:
    try:
        return Outcome(asked, await asked.wait(payload))
    except Exception as error:
        return Outcome(asked, error=error)


async def _ask_at_once(batch: Batch) -> list[Outcome]:
    if len(batch.asked) == 1:
        return [await _settled(batch.asked[0], batch.payload)]
    tasks = [asyncio.ensure_future(_settled(asked, batch.payload)) for asked in batch.asked]
    try:
        if not batch.stop:
            return list(await asyncio.gather(*tasks))
        for finished in asyncio.as_completed(tasks):
            if (await finished).error is not None:
                break
        return [task.result() for task in tasks if task.done()]
    finally:
        await _cancelled(tasks)


async def _cancelled(tasks: Sequence[asyncio.Future[Outcome]]) -> None:
    """Let nothing run on behind the caller's back."""
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished)
