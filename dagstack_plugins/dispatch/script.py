"""Dispatch that asks several plugins is written once, as a generator, and driven blocking or awaited.

A script yields batches of implementations to call, and is sent their answers; or one implementation with its payload,
and is sent its answer, which may be a ``Failure``. It returns what the caller gets: a value, or a failure whose error
it is. (A generator can't raise every error: a ``StopIteration`` would be its own end.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import attrs

from dagstack_plugins.dispatch.base import Answer
from dagstack_plugins.dispatch.implementation import Implementation


# Made in every call: attrs' frozen classes would take several times as long.
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


class Failure(NamedTuple):
    """One that failed, and how."""

    asked: Implementation
    error: Exception


Answers = tuple[list[Any], list[Failure]]
"""What those returned that did, in order, and the failures beside them."""
Script = Generator[Batch | tuple[Implementation, Any], Any, Any]


def driven(script: Callable[[Any], Script], asked: Sequence[Implementation]) -> Answer:
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
            step = next(running)
            while True:
                step = running.send(_ask(step) if isinstance(step, Batch) else _ask_one(*step))
        except StopIteration as end:
            answer = end.value
        return _answered(answer)

    async def wait(payload: Any) -> Any:
        running = script(payload)
        try:
            step = next(running)
            while True:
                step = running.send(await (_ask_at_once(step) if isinstance(step, Batch) else _settled(*step)))
        except StopIteration as end:
            answer = end.value
        return _answered(answer)

    return Answer(block, wait, {plugin for one in asked for plugin in one.plugins})


def _answered(answer: Any) -> Any:
    if type(answer) is Failure:
        raise answer.error
    return answer


def _ask_one(asked: Implementation, payload: Any) -> Any:
    try:
        return asked.block(payload)
    except Exception as error:
        return Failure(asked, error)


def _ask(batch: Batch) -> Answers:
    values: list[Any] = []
    failures: list[Failure] = []
    payload = batch.payload
    for asked in batch.asked:
        try:
            values.append(asked.block(payload))
        except Exception as error:
            failures.append(Failure(asked, error))
            if batch.stop:
                break
    return values, failures


async def _settled(asked: Implementation, payload: Any) -> Any:
    """What it returned, or its failure."""
    try:
        return await asked.wait(payload)
    except Exception as error:
        return Failure(asked, error)


async def _ask_at_once(batch: Batch) -> Answers:
    if len(batch.asked) == 1:
        return _sorted([await _settled(batch.asked[0], batch.payload)])
    tasks = [asyncio.ensure_future(_settled(asked, batch.payload)) for asked in batch.asked]
    try:
        if not batch.stop:
            return _sorted(await asyncio.gather(*tasks))
        for finished in asyncio.as_completed(tasks):
            if type(await finished) is Failure:
                break
        return _sorted([task.result() for task in tasks if task.done()])
    finally:
        await _cancelled(tasks)


def _sorted(settled: Sequence[Any]) -> Answers:
    return [one for one in settled if type(one) is not Failure], [one for one in settled if type(one) is Failure]


async def _cancelled(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Let nothing run on behind the caller's back."""
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished)
