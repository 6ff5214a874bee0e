"""``DAG``: which node waits for which; and ``DAGBuilder``, which tells listeners of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from dagstack_plugins.dag.errors import GraphCycle, GraphInvalid
from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.wording import dot_string, mermaid_string, nearest, shown

if TYPE_CHECKING:
    import networkx

    from dagstack_plugins.dag.hooks import HookRegistry


class DAG:
    """Nodes, and edges from each to those that wait for it.

    Examples:
        >>> dag = DAG()
        >>> dag.add_nodes(["extract", "load"])
        >>> dag.add_edge("extract", "load")
        >>> dag.edges()
        [('extract', 'load')]

    Attributes:
        graph: the graph in networkx, for its algorithms.
    """

    graph: networkx.DiGraph[str]

    def __init__(self) -> None:
        import networkx  # imported here: it takes 0.2 s, and nobody else needs it

        self.graph = networkx.DiGraph()

    def add_node(self, name: str, **attributes: Any) -> None:
        """Add a node.

        Args:
            name: its name, unique in the graph.
            attributes: more about it, for those who draw it; JSON values reach listeners in other processes too.

        Raises:
            GraphInvalid: if there is a node of that name, or the name is none.
        """
        if not isinstance(name, str) or not name:
            raise GraphInvalid(f"a node's name is a text that is not empty, found {shown(name)}")
        if name in self.graph:
            raise GraphInvalid(f"there are two nodes called {name!r}; names are unique in a graph")
        self.graph.add_node(name, **attributes)

    def add_nodes(self, names: Iterable[str]) -> None:
        """Add several nodes.

        Raises:
            GraphInvalid: as ``add_node`` does; or if ``names`` is one name.
        """
        if isinstance(names, str):
            raise GraphInvalid(f"add_nodes takes several names: [{names!r}], not {names!r}")
        for name in names:
            self.add_node(name)

    def add_edge(self, before: str, after: str) -> None:
        """Let one node wait for another; twice is once.

        Args:
            before: the one that comes first.
            after: the one that waits for it.

        Raises:
            GraphInvalid: if there is no such node.
            GraphCycle: if both are the same. Longer circles are found by ``check``.
        """
        for name in (before, after):
            if name not in self.graph:
                raise GraphInvalid(
                    f"there is no node {name!r}{nearest(str(name), self.graph)}; add it before its edges"
                )
        if before == after:
            raise GraphCycle(f"node {before!r} would wait for itself", cycle=(before, after))
        self.graph.add_edge(before, after)

    def node_names(self) -> list[str]:
        """The nodes, in the order in which they were added."""
        return list(self.graph)

    def node_count(self) -> int:
        """How many nodes there are."""
        return len(self.graph)

    def edges(self) -> list[tuple[str, str]]:
        """The edges, each as the node that comes first and the one that waits for it."""
        return list(self.graph.edges)

    def attributes(self, name: str) -> Mapping[str, Any]:
        """What a node was given beside its name.

        Raises:
            GraphInvalid: if there is no such node.
        """
        if name not in self.graph:
            raise GraphInvalid(f"there is no node {name!r}{nearest(str(name), self.graph)}")
        attributes: Mapping[str, Any] = self.graph.nodes[name]
        return attributes

    def check(self) -> None:
        """See whether every node can begin at some time.

        Raises:
            GraphCycle: if some wait for each other in a circle, which it shows.
        """
        import networkx

        try:
            found = networkx.find_cycle(self.graph)
        except networkx.NetworkXNoCycle:
            return
        circle = [before for before, _ in found]
        circle.append(circle[0])
        raise GraphCycle(f"nodes wait for each other in a circle: {' -> '.join(circle)}", cycle=circle)

    def generations(self) -> Iterator[list[str]]:
        """Nodes in groups, each of which waits for earlier groups only; for those who draw the graph.

        Raises:
            GraphCycle: if some wait for each other in a circle.
        """
        import networkx

        self.check()
        return iter(networkx.topological_generations(self.graph))

    # As text

    def to_json(self) -> str:
        """The graph as JSON: ``{"nodes": [{"name": …, …attributes}], "edges": [[before, after], …]}``.

        Attributes that are no JSON are left out.
        """
        return json.dumps(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """What ``to_json`` writes."""
        nodes = [{**dict(_plain(attributes)), "name": name} for name, attributes in self.graph.nodes.items()]
        return {"nodes": nodes, "edges": [list(edge) for edge in self.graph.edges]}

    def to_dot(self) -> str:
        """The graph in the language of Graphviz."""
        lines = [f"  {dot_string(name)};" for name in self.graph]
        lines += [f"  {dot_string(before)} -> {dot_string(after)};" for before, after in self.graph.edges]
        return "\n".join(["digraph {", *lines, "}", ""])

    def to_mermaid(self) -> str:
        """The graph in the language of Mermaid."""
        number = {name: f"n{place}" for place, name in enumerate(self.graph)}
        lines = [f"  {number[name]}[{mermaid_string(name)}]" for name in self.graph]
        lines += [f"  {number[before]} --> {number[after]}" for before, after in self.graph.edges]
        return "\n".join(["flowchart TD", *lines, ""])


class DAGBuilder:
    """Collects a graph, then checks it, and tells listeners before and after.

    Examples:
        >>> dag = DAGBuilder().add_nodes(["extract", "load"]).add_edge("extract", "load").build()
        >>> dag.node_count()
        2

    Args:
        hooks: who hears of it.
    """

    def __init__(self, hooks: HookRegistry | None = None) -> None:
        self._hooks = hooks
        self._dag = DAG()

    def add_node(self, name: str, **attributes: Any) -> Self:
        """Add a node, as ``DAG.add_node``."""
        self._dag.add_node(name, **attributes)
        return self

    def add_nodes(self, names: Iterable[str]) -> Self:
        """Add several nodes, as ``DAG.add_nodes``."""
        self._dag.add_nodes(names)
        return self

    def add_edge(self, before: str, after: str) -> Self:
        """Let one node wait for another, as ``DAG.add_edge``."""
        self._dag.add_edge(before, after)
        return self

    def build(self) -> DAG:
        """The graph, checked; what is added to the builder later is not in it.

        Raises:
            GraphCycle: if some nodes wait for each other in a circle.
        """
        dag = DAG()
        dag.graph = self._dag.graph.copy()
        self._tell(HookEvent.PRE_BUILD, dag)
        dag.check()
        self._tell(HookEvent.POST_BUILD, dag)
        return dag

    def _tell(self, event: HookEvent, dag: DAG) -> None:
        if self._hooks is not None:
            self._hooks.fire(HookContext(event=event, dag=dag))


def _plain(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in attributes.items():
        with suppress(NotJson):
            yield key, to_json(value)
