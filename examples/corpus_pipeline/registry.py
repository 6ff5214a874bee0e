"""The registry: the plugin, and the orchestrator that the environment names."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagstack_plugins import PluginContext, PluginRegistry, orchestrator
from following import PipelineFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).resolve().parent
LEASE = 3
"""Seconds without a sign of life, after which a process on this machine is taken for dead, and its units taken over."""
LOSSES = 100
"""How often a unit may be killed."""


@asynccontextmanager
async def running(workers: int | None) -> AsyncIterator[PluginRegistry]:
    """A registry with all that is needed, started.

    Args:
        workers: how many units this process works on at once; ``None`` for as many as there are processors.

    Yields:
        The registry.

    Raises:
        PipelineFailed: if there are to be workers here, and units are done elsewhere.
    """
    plugin, manifest = orchestrator()
    config: dict[str, Any] = {"max_losses": LOSSES}
    if "workers" in plugin.config_schema["properties"]:
        config |= {"workers": (os.cpu_count() or 1) if workers is None else workers, "lease_sec": LEASE}
    elif workers is not None:
        raise PipelineFailed(f"--workers is of no use here: {manifest['name']} has workers of its own")
    registry = PluginRegistry()
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(HERE / "plugins")
    registry.register(plugin, manifest)
    async with registry.running(PluginContext({"orchestrator": {manifest["name"]: config}})):
        yield registry
