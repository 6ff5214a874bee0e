"""Plugins that say ``process_cpu_bound`` are set up and torn down in their worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginError, PluginUnavailable
from dagstack_plugins.lifecycle.guarded import Abandoned, Guard, Limit, Overrun
from dagstack_plugins.parcels import packed
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.channel import LIMIT
from dagstack_plugins.runtimes.hearing import Hearing
from dagstack_plugins.runtimes.processes import Died, PluginWorkers, ProcessPool, Reply
from dagstack_plugins.wording import raised

_GRACE: Final = 2.0
"""Seconds beyond a limit that its own thread has to keep it."""


async def start_in_process(plugin: Plugin, pool: ProcessPool, guard: Guard, limit: Limit) -> None:
    """Set a plugin up in a first process, to see whether that can be done.

    Args:
        plugin: a plugin with a recipe, and with its context.
        pool: what the processes of all plugins share.
        guard: runs what blocks.
        limit: how long it may take, the start of the process included.

    Raises:
        PluginUnavailable: if what it needs can't go there.
        PluginError: if it fails there.
        Overrun: if it takes too long.
    """
    context = plugin.context
    assert context is not None

    workers = plugin.workers = PluginWorkers(
        pool, limit.seconds, Hearing(context, plugin.label), lambda number: _setup(plugin, context, number)
    )

    def start() -> Reply:
        # In the thread too, as resources are made for it.
        worker, reply = workers.take()
        workers.give_back(worker)
        return reply

    reply = await _asked(start, plugin, guard, limit, "setup")
    if "failed" in reply:
        workers.kill()
        raise _failed(reply["failed"], plugin)


async def stop_in_process(plugin: Plugin, guard: Guard, limit: Limit) -> Any:
    """Tear a plugin down in all its processes, and end them.

    Returns:
        What ``teardown`` returned: ``False`` asks for a new process.

    Raises:
        PluginError: if it fails there.
        Overrun: if it takes too long.
    """
    replies = await _asked(lambda: plugin.workers.stop(limit.seconds), plugin, guard, limit, "teardown")
    for reply in replies:
        if "error" in reply:
            raise _failed(reply["error"], plugin)
    return not any(reply.get("requires_restart") for reply in replies)


async def _asked(ask: Callable[[], Any], plugin: Plugin, guard: Guard, limit: Limit, told: str) -> Any:
    """Let a thread wait for processes; whatever ends the waiting ends them, so that nothing is left behind."""
    try:
        return await guard.run(ask, (), Limit(limit.seconds + _GRACE, limit.field), told)
    except BaseException as error:
        plugin.workers.kill()
        if isinstance(error, TimeoutError):  # an overrun of the guard's, too
            raise Overrun(f"{told} took longer than {limit}; its process was ended", leaked=False) from None
        if isinstance(error, Abandoned):
            raise Abandoned(str(error), leaked=False, cancelled=error.cancelled) from None
        if isinstance(error, Died):
            died = f"its worker process {error}, in {told}"
            raise PluginError(died, kind=plugin.kind, plugin=plugin.name) from None
        raise


def _setup(plugin: Plugin, context: PluginContext, number: int) -> bytes:
    """The first message to a process: what the plugin is set up with there."""
    given = _given(plugin, context, f"{plugin.label}#{number}")
    message = packed(given)
    if len(message) > LIMIT:
        raise _too_long(plugin, given, len(message))
    return message


def _given(plugin: Plugin, context: PluginContext, worker: str) -> dict[str, Any]:
    assert plugin.manifest is not None
    try:
        config = packed(context.config)
    except Exception as error:
        raise PluginUnavailable(
            f"its configuration can't go to a worker process: {raised(error)}; give it plain values",
            kind=plugin.kind,
            plugin=plugin.name,
        ) from error
    return {
        "recipe": plugin.recipe,
        "config": config,
        "resources": context.registry.resource_registry.pack(plugin.manifest, context.resources, worker),
        "level": context.logger.getEffectiveLevel(),
    }


def _too_long(plugin: Plugin, given: dict[str, Any], length: int) -> PluginUnavailable:
    parts = {"its configuration": given["config"]} | {
        f"the resource {name!r}": parcel for name, parcel in given["resources"].items()
    }
    most = max(parts, key=lambda part: len(parts[part]))
    return PluginUnavailable(
        f"what it is set up with takes {length} bytes, and at most {LIMIT} go to a worker process; most of it is "
        f"{most}: hand over a path, or let a factory make it there",
        kind=plugin.kind,
        plugin=plugin.name,
    )


def _failed(told: Any, plugin: Plugin) -> PluginError:
    told = told if isinstance(told, dict) else {}
    error = PluginError(
        f"{told.get('reason') or told.get('message')}, in its worker process",
        error_type=str(told.get("type")),
        remote_traceback=str(told.get("traceback")),
        kind=plugin.kind,
        plugin=plugin.name,
    )
    error.add_note(f"there:\n{error.remote_traceback}")
    return error
