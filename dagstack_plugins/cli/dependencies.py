"""What plugins depend on: edges, what is missing, circles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs

from dagstack_plugins.errors import DependencyCycle
from dagstack_plugins.lifecycle.order import dependencies, generations
from dagstack_plugins.manifest import Dependency
from dagstack_plugins.plugin import Plugin


@attrs.frozen
class Missing:
    """A dependency that cannot be settled.

    Attributes:
        plugin: whose it is.
        place: its index in ``depends_on``.
        dependency: what the manifest asks for.
        reason: why it cannot be settled, and what to do.
    """

    plugin: Plugin
    place: int
    dependency: Dependency
    reason: str


@attrs.frozen
class Dependencies:
    """The dependencies of some plugins.

    Attributes:
        edges: what each plugin depends on, each once.
        missing: what cannot be settled.
    """

    edges: Mapping[Plugin, Sequence[Plugin]]
    missing: Sequence[Missing]

    def cycles(self) -> list[DependencyCycle]:
        """The circles: as many as it takes to leave none, no two with an edge in common."""
        edges = {plugin: list(needed) for plugin, needed in self.edges.items()}
        by_label = {plugin.label: plugin for needed in edges.values() for plugin in needed}
        found: list[DependencyCycle] = []
        while True:
            try:
                generations(edges, edges)
            except DependencyCycle as error:
                found.append(error)
                circle = [by_label[label] for label in error.cycle]
                for plugin, needed in pairwise(circle):
                    edges[plugin].remove(needed)
            else:
                return found


def settled(plugins: Sequence[Plugin]) -> Dependencies:
    """The dependencies of plugins that are registered, or refused with a manifest that can be read.

    Args:
        plugins: all that there are.
    """
    # The registry tells of the first problem of a plugin only; a probe without a name asks for each by itself.
    probes = {
        Plugin(plugin.location, attrs.evolve(plugin.manifest, depends_on=(dependency,))): (plugin, place, dependency)
        for plugin in plugins
        if plugin.manifest
        for place, dependency in enumerate(plugin.manifest.depends_on)
    }
    edges, problems = dependencies([*plugins, *probes])
    missing = [Missing(*asked, problems[probe]) for probe, asked in probes.items() if probe in problems]
    return Dependencies({plugin: list(dict.fromkeys(edges[plugin])) for plugin in plugins}, missing)
