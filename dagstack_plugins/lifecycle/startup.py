"""Plugins start, generation by generation, and stop the other way round."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginError, PluginUnavailable, TeardownErrors
from dagstack_plugins.gate import Gate
from dagstack_plugins.lifecycle.draining import calls_ended
from dagstack_plugins.lifecycle.guarded import Abandoned, Guard, Limit, Overrun, contained
from dagstack_plugins.lifecycle.in_processes import start_in_process, stop_in_process
from dagstack_plugins.lifecycle.linked import settle, start_link, stop_link
from dagstack_plugins.lifecycle.order import Edges
from dagstack_plugins.lifecycle.own_schemas import read_own_schemas
from dagstack_plugins.plugin import OwnInput, Plugin, PluginState
from dagstack_plugins.resources.offers import MAKING
from dagstack_plugins.runtimes.home import HomeLoop
from dagstack_plugins.runtimes.in_process import takes_context
from dagstack_plugins.wording import place_of, raised

T = TypeVar("T")
MakeContext = Callable[[Plugin], PluginContext]
Tell = Callable[[Plugin], None]


async def start_all(
    order: Sequence[Sequence[Plugin]],
    edges: Edges,
    make_context: MakeContext,
    home: HomeLoop,
    tell: Tell,
    logger: logging.Logger,
) -> None:
    """Start plugins; what fails is unavailable, and so is what depends on it.

    Args:
        order: generations; those within one start together.
        edges: what each plugin depends on.
        make_context: gives a plugin its context, or raises.
        home: the loop that they live on, and what is beside it for those that run elsewhere.
        tell: is told of each plugin whose state changed.
        logger: where failures are told.
    """
    guard = Guard()
    for generation in order:
        ready = []
        for plugin in generation:
            blocked = _blocked_by(plugin, edges)
            if blocked is None:
                ready.append(plugin)
            else:
                _fail(plugin, blocked, logger)
                tell(plugin)
        waiting = []
        for plugin in ready:
            starting = _start(plugin, guard, make_context, home, tell, logger)
            if _at_once(plugin):  # first, so that those whose setup takes time can call them
                await starting
            else:
                waiting.append(starting)
        await _together(waiting)


def _at_once(plugin: Plugin) -> bool:
    """Whether it has no setup to wait for: a task for each of thousands takes more time than they do."""
    try:
        with contained("setup"):
            absent = getattr(plugin.instance, "setup", None) is None
    except Exception:  # a property's, say: it is told of where it is called
        return False
    return absent and plugin.recipe is None and plugin.link is None and not plugin.schema_hooks


async def _together(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them return; a cancellation is passed on to each, and none is left behind.

    ``asyncio.gather`` ends as soon as one of them was cancelled, while the others go on into the next round.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    cancelled: asyncio.CancelledError | None = None
    while unfinished := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(unfinished)
        except asyncio.CancelledError as error:
            cancelled = error
            for task in unfinished:
                task.cancel()
    if cancelled is not None:
        raise cancelled
    return [task.result() for task in tasks]


def _blocked_by(plugin: Plugin, edges: Edges) -> PluginUnavailable | None:
    for needed in edges.get(plugin, ()):
        if not needed.usable:
            return PluginUnavailable(
                f"depends on {needed.label}, which is {needed.why_not}",
                reasons={needed.label: needed.why_not},
                kind=plugin.kind,
                plugin=plugin.name,
            )
    return None


async def _start(
    plugin: Plugin,
    guard: Guard,
    make_context: MakeContext,
    home: HomeLoop,
    tell: Tell,
    logger: logging.Logger,
) -> None:
    started = time.perf_counter()
    try:
        plugin.implementations.clear()
        plugin.context = make_context(plugin)
        most = plugin.manifest.max_concurrency if plugin.manifest else None
        plugin.gate = Gate(most) if most is not None else None
        limit = _limit(plugin, "startup_timeout_sec")
        if plugin.recipe is not None:
            await start_in_process(plugin, home.processes, guard, limit)
        elif plugin.link is not None:
            await start_link(plugin, home.wire, guard, limit, tell, logger)
        else:
            await _run(plugin, "setup", guard, limit)
            plugin.own_inputs = await _own_inputs(plugin, guard, limit)
    except Exception as error:
        if plugin.link is None or not plugin.link.goes_on:  # else it may be there later
            await _give_up(plugin, error, guard, logger)
        else:
            _fail(plugin, error, logger)
        if isinstance(error, Abandoned):
            raise error.cancelled from None
    else:
        # Again: a call that was under way when it stopped may have made one with the context of before.
        plugin.implementations.clear()
        plugin.become(PluginState.READY)
    finally:
        settle(plugin, logger)
        plugin.setup_seconds = time.perf_counter() - started
        tell(plugin)


async def _give_up(plugin: Plugin, error: Exception, guard: Guard, logger: logging.Logger) -> None:
    if plugin.context is not None:
        plugin.context.cancel()
    _fail(plugin, error, logger)
    await _release(plugin, guard, logger)


async def _own_inputs(plugin: Plugin, guard: Guard, limit: Limit) -> dict[str, OwnInput]:
    return await read_own_schemas(plugin, lambda ask, told: guard.run(ask, ({},), limit, told))


def _limit(plugin: Plugin, field: str) -> Limit:
    return Limit(getattr(plugin.manifest, field), field)


async def _run(plugin: Plugin, name: str, guard: Guard, limit: Limit) -> Any:
    with contained(name):
        method = getattr(plugin.instance, name, None)
        args = (plugin.context,) if method is not None and takes_context(method) else ()
    return None if method is None else await guard.run(method, args, limit, name)


def _fail(plugin: Plugin, error: BaseException, logger: logging.Logger) -> None:
    leaked = isinstance(error, Overrun | Abandoned) and error.leaked
    state = PluginState.LEAKED if leaked else PluginState.UNAVAILABLE
    remote = isinstance(error, PluginError) and plugin.recipe is not None
    ours = isinstance(error, Overrun | Abandoned | PluginUnavailable) or remote
    told = str(error) if ours else f"setup failed{place_of(error)}: {raised(error)}{_making(error)}"
    if leaked:
        told += "; its code may still run"
    plugin.become(state, told, error)
    traceback = None if ours else error
    logger.error("plugin %s is %s: %s", plugin.label, state, told, exc_info=traceback)


async def _release(plugin: Plugin, guard: Guard, logger: logging.Logger) -> None:
    """Take back what was lent to one plugin alone, such as its temporary directory."""
    if plugin.context is None or plugin.context.resources is None:
        return
    if not any(plugin.context.resources):  # it declares none, so there is nothing to wait for
        await plugin.context.resources.arelease()
        return
    try:
        limit = _limit(plugin, "teardown_timeout_sec")
        await guard.run(plugin.context.resources.arelease, (), limit, "closing its resources")
    except Abandoned as error:
        raise error.cancelled from None
    except Exception as error:
        logger.error("resources of plugin %s could not be closed", plugin.label, exc_info=error)


async def stop_all(order: Sequence[Sequence[Plugin]], home: HomeLoop, tell: Tell, logger: logging.Logger) -> None:
    """Stop plugins, generation by generation, dependents first; every one is tried.

    Args:
        order: generations in the order of starting.
        home: the loop that they live on, and what is beside it for those that run elsewhere.
        tell: is told of each plugin whose state changed.
        logger: where failures of resources are told.

    Raises:
        TeardownErrors: at the end, if some failed or overran.
        CancelledError: at the end, if the caller was cancelled meanwhile.
    """
    guard = Guard()
    errors: list[tuple[str, BaseException]] = []
    cancelled: asyncio.CancelledError | None = None
    for generation in reversed(order):
        try:
            failures = await _together([_stop(plugin, guard, home, tell, logger) for plugin in reversed(generation)])
        except asyncio.CancelledError as error:  # those that were waited for are given up; the others have their turn
            cancelled = error
            continue
        errors += [(plugin.label, error) for plugin, error in zip(reversed(generation), failures, strict=True) if error]
    if cancelled is not None:
        raise cancelled
    if errors:
        told = "".join(f"\n  - {label}: {raised(error)}{place_of(error)}" for label, error in errors)
        raise TeardownErrors(f"plugins failed while they were torn down:{told}", errors=errors)


async def _stop(plugin: Plugin, guard: Guard, home: HomeLoop, tell: Tell, logger: logging.Logger) -> Exception | None:
    # New calls are refused, and those under way end, before its code goes: none meets it half torn down.
    plugin.become(PluginState.STOPPED)
    tell(plugin)
    if plugin.context is not None:
        plugin.context.cancel()
    if plugin.workers is not None:
        plugin.workers.cancel()
    limit = _limit(plugin, "teardown_timeout_sec")
    overrun, cancelled = await calls_ended(plugin.context, limit)
    failure = await _torn_down(plugin, overrun, guard, limit, home, tell, logger)
    if cancelled is not None:
        raise cancelled
    return failure


async def _torn_down(
    plugin: Plugin,
    overrun: Overrun | None,
    guard: Guard,
    limit: Limit,
    home: HomeLoop,
    tell: Tell,
    logger: logging.Logger,
) -> Exception | None:
    try:
        if plugin.workers is not None:
            said = await stop_in_process(plugin, guard, limit)
        elif plugin.link is not None:
            said = await stop_link(plugin, home.wire, guard, limit)
        else:
            said = await _run(plugin, "teardown", guard, limit)
        if overrun is not None:
            raise overrun
    except Abandoned as error:
        plugin.become(PluginState.LEAKED if error.leaked else PluginState.STOPPED, str(error), error)
        raise error.cancelled from None
    except Exception as error:
        told = [] if error is overrun else [f"teardown failed{place_of(error)}: {raised(error)}"]
        told += [] if overrun is None else [str(overrun)]
        still = plugin.context is not None and plugin.context.in_flight > 0
        # What runs in a process was ended with it.
        ended = plugin.workers is not None or plugin.link is not None
        leaked = not ended and (still or (isinstance(error, Overrun) and error is not overrun))
        plugin.become(PluginState.LEAKED if leaked else PluginState.STOPPED, "; ".join(told), error)
        return error
    else:
        if said is False:
            plugin.become(PluginState.REQUIRES_RESTART, "its teardown asks for a new process")
        return None
    finally:
        tell(plugin)
        await _release(plugin, guard, logger)


def _making(error: BaseException) -> str:
    """Which resource was being made, if that is what failed."""
    notes = [note for note in getattr(error, "__notes__", ()) if str(note).startswith(MAKING)]
    return f", {notes[0]}" if notes else ""
