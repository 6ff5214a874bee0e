"""Plugins whose code runs elsewhere are connected to, and told of when that changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from dagstack_plugins.errors import PluginLoadError, PluginUnavailable
from dagstack_plugins.lifecycle.guarded import Abandoned, Guard, Limit, Overrun
from dagstack_plugins.lifecycle.own_schemas import listed_schemas
from dagstack_plugins.plugin import Link, Plugin, PluginState
from dagstack_plugins.runtimes.wire import Wire

_GRACE: Final = 1.0
"""Seconds beyond its limit that a connection has to tell why it is none."""


async def start_link(
    plugin: Plugin, wire: Wire, guard: Guard, limit: Limit, tell: Callable[[Plugin], None], logger: logging.Logger
) -> None:
    """Connect to a plugin.

    Args:
        plugin: a plugin with a link, and with its context.
        wire: where connections live.
        guard: runs what takes time.
        limit: how long it may take.
        tell: is told whenever the plugin's state changes later.
        logger: where that is told, too.

    Raises:
        PluginUnavailable: if it can't be reached, or doesn't fit its kind.
        Overrun: if it takes too long.
    """
    link, context = plugin.link, plugin.context
    assert link is not None
    assert context is not None

    def changed(reason: str) -> None:
        if reason:
            lost = plugin.usable
            plugin.lose(reason)
            log = logger.error if lost or not link.goes_on else logger.debug
            log("plugin %s is %s: %s", plugin.label, plugin.state, reason)
        else:
            _regained(plugin, link, logger)
        tell(plugin)

    async def start() -> None:
        await link.start(wire, context, changed)

    try:
        await guard.run(start, (), Limit(link.patience + _GRACE, limit.field), "setup")
        _take(plugin, link)
    except BaseException as error:
        if not isinstance(error, PluginUnavailable):  # it was given up: it may be half way
            await link.stop(wire, hurry=True)
        if isinstance(error, Overrun):
            raise Overrun(f"setup took longer than {limit}; its connection was ended", leaked=False) from None
        if isinstance(error, Abandoned):
            raise Abandoned(str(error), leaked=False, cancelled=error.cancelled) from None
        raise


def settle(plugin: Plugin, logger: logging.Logger) -> None:
    """Bring the state of a plugin up to date after its start: its connection may have come or gone meanwhile.

    Args:
        plugin: a plugin whose start has ended, well or not.
        logger: where changes are told.
    """
    link = plugin.link
    if link is None:
        return
    if plugin.usable and link.away:
        plugin.lose(link.away)
        logger.error("plugin %s is %s: %s", plugin.label, plugin.state, link.away)
    elif plugin.state is PluginState.UNAVAILABLE and link.goes_on and not link.away:
        _regained(plugin, link, logger)


def _regained(plugin: Plugin, link: Link, logger: logging.Logger) -> None:
    try:
        _take(plugin, link)
    except PluginLoadError as error:
        plugin.lose(str(error))
        logger.error("plugin %s is %s: %s", plugin.label, plugin.state, error)
        return
    plugin.regain()
    logger.info("plugin %s is %s again", plugin.label, plugin.state)


def _take(plugin: Plugin, link: Link) -> None:
    """What its server has is what it has."""
    plugin.bindings = link.bindings()
    plugin.own_inputs = listed_schemas(plugin, link.own_inputs())
    plugin.implementations.clear()


async def stop_link(plugin: Plugin, wire: Wire, guard: Guard, limit: Limit) -> Any:
    """Disconnect from a plugin, and end what was started for it.

    Returns:
        What its ``teardown`` returned: ``False`` asks for a new process.

    Raises:
        PluginError: if its teardown fails there.
        Overrun: if it takes too long; it is ended all the same.
    """
    link = plugin.link
    assert link is not None

    async def stop() -> bool:
        return await link.stop(wire)

    try:
        return await guard.run(stop, (), limit, "teardown")
    except (Overrun, Abandoned) as error:
        await link.stop(wire, hurry=True)
        if isinstance(error, Abandoned):
            raise Abandoned(str(error), leaked=False, cancelled=error.cancelled) from None
        raise Overrun(f"{error}; it was ended", leaked=False) from None
