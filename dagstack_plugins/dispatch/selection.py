"""Which plugin of a kind is active."""

from __future__ import annotations

from collections.abc import Sequence

from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.errors import AmbiguousPlugin
from dagstack_plugins.plugin import Plugin


def active_plugin(table: Table, hook: str) -> Plugin:
    """The plugin that answers a singleton hook.

    The host's choice, if it made one: ``set_active``, then the environment; else the first in order.

    Raises:
        KindUnknown: if the kind has no plugin.
        PluginUnavailable: if the chosen one is unknown or can't be called, or none can.
        AmbiguousPlugin: if nothing decides between the first two.
    """
    if table.chosen is not None and table.has_plugins:
        return chosen_plugin(table, *table.chosen)
    if not table.usable:
        raise table.nobody(hook)
    if table.hook(hook).named:
        return _only_plugin(table, hook)
    if tied := tied_at_top(table.usable):
        raise ambiguous(table, tied)
    return table.usable[0]


def chosen_plugin(table: Table, name: str, said_by: str) -> Plugin:
    """The plugin that the host chose; an explicit choice is never replaced silently."""
    plugin = table.named(name)
    if not table.knows(name):
        raise table.unknown_plugin(name, f", which {said_by} names")
    if plugin is None or not plugin.usable:
        raise table.unavailable(
            f"plugin {name!r} of kind {table.kind.name!r}, which {said_by} names, cannot be called", plugin=name
        )
    return plugin


def _only_plugin(table: Table, hook: str) -> Plugin:
    if len(table.usable) == 1:
        return table.usable[0]
    names = [str(plugin.name) for plugin in table.usable]
    kind = table.kind.name
    raise AmbiguousPlugin(
        f"plugins of kind {kind!r} are called by name, and there are several: {', '.join(names)}; "
        f"write registry.get_plugin({kind!r}, name={names[0]!r})",
        candidates=names,
        kind=kind,
        hook=hook,
    )


def tied_at_top(plugins: Sequence[Plugin]) -> list[Plugin]:
    """The plugins that share the first place, if more than one does.

    Args:
        plugins: in order.
    """
    ranks = [plugin.manifest.sort_key[:2] if plugin.manifest else None for plugin in plugins]
    tied = [plugin for plugin, rank in zip(plugins, ranks, strict=True) if rank == ranks[0]]
    return tied if len(tied) > 1 else []


def ambiguous(table: Table, tied: Sequence[Plugin]) -> AmbiguousPlugin:
    """The error for several first ones."""
    names = [str(plugin.name) for plugin in tied]
    kind = table.kind.name
    priority = tied[0].manifest.priority if tied[0].manifest else 0
    return AmbiguousPlugin(
        f"equal priority for kind={kind}: {', '.join(names)} all have priority {priority}; give one a higher priority, "
        f"or choose with DAGSTACK_ACTIVE_{kind.upper()}={names[0]} or registry.set_active({kind!r}, {names[0]!r})",
        candidates=names,
        places=[plugin.location for plugin in tied],
        kind=kind,
    )
