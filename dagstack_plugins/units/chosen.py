"""``orchestrator()``: which one a deployment has, by one environment variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from dagstack_plugins.errors import PluginUnavailable
from dagstack_plugins.units.local import LocalOrchestrator

VARIABLE: Final = "DAGSTACK_UNITS"
"""Where the units are: a file on this machine, or the URL of a Redis server."""
_ADDRESS: Final = re.compile(r"[\w.-]+:\d+$|\w{2,}:/")
"""What somebody may mean for an address: ``localhost:6379``, ``redis:/localhost``."""
_REDIS: Final = ("redis", "rediss")


def orchestrator() -> tuple[Any, Mapping[str, Any]]:
    """The orchestrator that the environment variable ``DAGSTACK_UNITS`` asks for.

    =============================  ==========================================================
    ``DAGSTACK_UNITS``             orchestrator
    =============================  ==========================================================
    not set, or empty              ``LocalOrchestrator``, in the file that it is configured for
    a path                         ``LocalOrchestrator``, in that file
    ``redis://…``, ``rediss://…``  ``CeleryOrchestrator``, with that broker
    =============================  ==========================================================

    Returns:
        A plugin and its manifest, as ``register`` takes them.

    Raises:
        PluginUnavailable: if it is the address of something else, or looks like one.

    Examples:
        >>> from dagstack_plugins import PluginRegistry
        >>> registry = PluginRegistry()
        >>> registry.register(*orchestrator()).name
        'local'

    .. versionadded:: 0.1
    """
    where = os.environ.get(VARIABLE, "")
    scheme, is_url, _ = where.partition("://")
    if not is_url and _ADDRESS.match(where):
        raise PluginUnavailable(f"{VARIABLE} looks like an address, and Redis is given as redis://host:port/number")
    if not is_url:
        return LocalOrchestrator(where or None), LocalOrchestrator.manifest
    if scheme not in _REDIS:
        raise PluginUnavailable(
            f"{VARIABLE} names a {scheme}:// address; units of work are kept in a file, given as its path, or Redis, "
            "given as redis://host:port/number"
        )
    # Imported here: who works on one machine needs no Celery.
    from dagstack_plugins.units.celery import CeleryOrchestrator

    return CeleryOrchestrator(where), CeleryOrchestrator.manifest
