"""The plugins: where they come from, what they are told, what became of them."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagstack_plugins import AmbiguousPlugin, PluginContext, PluginRegistry, TeardownErrors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger("code_indexer")
HERE = Path(__file__).resolve().parent


@contextmanager
def plugins(index: Path, folders: Sequence[Path] = (), isolated: Sequence[str] = ()) -> Iterator[PluginRegistry]:
    """A registry with all plugins found and started; they are stopped at the end.

    Args:
        index: the folder where the index lies.
        folders: where to look for plugins beside those that come with the program.
        isolated: kind/name of those that run in a process of their own.

    Yields:
        The registry.
    """
    registry = PluginRegistry(runtime_for=dict.fromkeys(map(_kind_and_name, isolated), "mcp_stdio"))
    registry.add_hookspecs(HERE / "kinds")
    for folder in (HERE / "plugins", *folders):
        with suppress(AmbiguousPlugin):  # of two with one name the first stays; the other is among those left out
            registry.discover(folder)
    try:
        with registry.running(PluginContext(config=_configuration(registry, index))):
            yield registry
    except TeardownErrors as error:  # the work is done by then
        logger.warning("%s", error)


def _kind_and_name(label: str) -> tuple[str, str]:
    kind, _, name = label.partition("/")
    return kind, name


def _configuration(registry: PluginRegistry, index: Path) -> dict[str, dict[str, Any]]:
    """Tell each plugin that asks for a folder, by its ``config_schema``, where the index lies."""
    configuration: dict[str, dict[str, Any]] = {}
    for manifest in registry.list_manifests():
        asked = (manifest.config_schema or {}).get("properties", {})
        if "folder" in asked:
            configuration.setdefault(manifest.kind, {})[manifest.name] = {"folder": str(index)}
    return configuration


def left_out(registry: PluginRegistry) -> list[str]:
    """The plugins that cannot be used, with their reasons.

    Args:
        registry: the plugins, started.
    """
    return [
        f"{f'{plugin.kind}/{plugin.name}' if plugin.kind and plugin.name else plugin.location}: {plugin.reason}"
        for plugin in registry.status()
        if plugin.state in ("unavailable", "leaked")
    ]
