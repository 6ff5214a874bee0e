"""In which order plugins start: those they depend on first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dagstack_plugins.errors import DependencyCycle
from dagstack_plugins.manifest import Dependency
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import nearest

Edges = Mapping[Plugin, Sequence[Plugin]]


def dependencies(plugins: Sequence[Plugin]) -> tuple[dict[Plugin, list[Plugin]], dict[Plugin, str]]:
    """What each plugin depends on, and for some why that cannot be settled.

    Args:
        plugins: all that the registry knows, refused ones included.
    """
    by_name: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        if plugin.name is not None:
            by_name.setdefault(plugin.name, []).append(plugin)
    edges: dict[Plugin, list[Plugin]] = {}
    problems: dict[Plugin, str] = {}
    for plugin in plugins:
        edges[plugin] = []
        for dependency in plugin.manifest.depends_on if plugin.manifest else ():
            found = _fitting(dependency, by_name)
            if len(found) == 1:
                edges[plugin].append(found[0])
            else:
                problems.setdefault(plugin, _problem(dependency, found, by_name))
    return edges, problems


def _fitting(dependency: Dependency, by_name: Mapping[str, list[Plugin]]) -> list[Plugin]:
    found = [one for one in by_name.get(dependency.name, ()) if dependency.kind in (None, one.kind)]
    accepted = [one for one in found if not one.refused]
    return accepted or found[:1]


def _problem(dependency: Dependency, found: Sequence[Plugin], by_name: Mapping[str, list[Plugin]]) -> str:
    if found:
        forms = " or ".join(f'{{kind = "{one.kind}", name = "{one.name}"}}' for one in found)
        return f"depends_on {str(dependency)!r} fits several plugins; write {forms}"
    same_name = by_name.get(dependency.name, ())
    if same_name:
        forms = " or ".join(f'{{kind = "{one.kind}", name = "{one.name}"}}' for one in same_name)
        return f"depends_on {str(dependency)!r} fits no plugin; there is {forms}"
    hint = nearest(dependency.name, by_name)
    return f"depends_on {str(dependency)!r} fits no plugin{hint}; install or discover it, or drop the dependency"


def generations(plugins: Iterable[Plugin], edges: Edges) -> list[list[Plugin]]:
    """Plugins in groups that may start together, each after all that it depends on.

    Args:
        plugins: those to start.
        edges: what each depends on.

    Raises:
        DependencyCycle: if some depend on each other in a circle.
    """
    wanted = sorted(
        plugins, key=lambda plugin: (plugin.kind or "", plugin.manifest.sort_key if plugin.manifest else ())
    )
    if not any(edges.get(plugin) for plugin in wanted):
        return [wanted] if wanted else []
    import networkx  # imported here: it takes 0.2 s, and most hosts declare no dependencies

    graph: networkx.DiGraph[Plugin] = networkx.DiGraph()
    graph.add_nodes_from(wanted)
    graph.add_edges_from((needed, plugin) for plugin in wanted for needed in edges[plugin] if needed in graph)
    try:
        return [list(generation) for generation in networkx.topological_generations(graph)]
    except networkx.NetworkXUnfeasible:
        circle = [needed.label for needed, _ in networkx.find_cycle(graph)]
        # Edges lead from what is needed to who needs it; a reader follows depends_on, the other way.
        circle = circle[::-1]
        cycle = [*circle, circle[0]]
        raise DependencyCycle(
            f"plugins depend on each other in a circle: {' -> '.join(cycle)}; drop one of these depends_on", cycle=cycle
        ) from None
