"""A dependency graph as a text tree, for Graphviz, for Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

import attrs

from dagstack_plugins.cli.dependencies import Dependencies
from dagstack_plugins.cli.output import safe
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import dot_string, mermaid_string


class Mark(Enum):
    """What is special about a node; the value says it in words."""

    USABLE = ""
    REFUSED = "cannot be used"
    MISSING = "is not there"


@attrs.frozen
class Drawing:
    """What is drawn.

    Attributes:
        nodes: each node's name, with what is special about it, sorted.
        edges: each node's name, with the names of what it depends on, sorted.
    """

    nodes: Mapping[str, Mark]
    edges: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, plugins: Sequence[Plugin], dependencies: Dependencies) -> Drawing:
        """The drawing of some plugins."""
        nodes: dict[str, Mark] = {str(one.dependency): Mark.MISSING for one in dependencies.missing}
        edges: dict[str, set[str]] = {}
        # Refused ones first: of two with one name, the one that was accepted is drawn.
        for plugin in sorted(plugins, key=lambda plugin: not plugin.refused):
            nodes[plugin.label] = Mark.REFUSED if plugin.refused else Mark.USABLE
            edges[plugin.label] = {needed.label for needed in dependencies.edges[plugin]}
        for one in dependencies.missing:
            edges[one.plugin.label].add(str(one.dependency))
        return cls(dict(sorted(nodes.items())), {name: sorted(edges.get(name, ())) for name in nodes})


def as_text(drawing: Drawing, *, in_ascii: bool = False) -> str:
    """A tree: what nothing depends on stands at the left; what is drawn above already is not unfolded again."""
    needed = {name for names in drawing.edges.values() for name in names}
    roots = [name for name in drawing.nodes if name not in needed]
    return "\n".join(_tree(drawing, roots, ("|-- ", "`-- ", "|   ") if in_ascii else ("├── ", "└── ", "│   ")))


def _tree(drawing: Drawing, roots: Sequence[str], lines: tuple[str, str, str]) -> Iterator[str]:
    branch, corner, trunk = lines
    unfolded: set[str] = set()
    # A stack of our own: a chain of plugins may be longer than Python's.
    waiting = [(name, "", "") for name in reversed(roots)]
    while waiting:
        name, before, below = waiting.pop()
        told = [mark.value] if (mark := drawing.nodes[name]).value else []
        needed = drawing.edges[name]
        if needed and name in unfolded:
            told.append("see above")
            needed = ()
        unfolded.add(name)
        yield before + safe(name) + (f" ({', '.join(told)})" if told else "")
        for place, one in enumerate(reversed(needed)):
            last = place == 0
            waiting.append((one, below + (corner if last else branch), below + ("    " if last else trunk)))


def as_dot(drawing: Drawing) -> str:
    """The language of Graphviz."""
    styles = {Mark.USABLE: "", Mark.REFUSED: " [style=dashed]", Mark.MISSING: " [style=dotted, color=red]"}
    return "\n".join(
        [
            "digraph plugins {",
            "  rankdir=LR;",
            "  node [shape=box];",
            *(f"  {dot_string(safe(name))}{styles[mark]};" for name, mark in drawing.nodes.items()),
            *(
                f"  {dot_string(safe(name))} -> {dot_string(safe(one))};"
                for name, needed in drawing.edges.items()
                for one in needed
            ),
            "}",
        ]
    )


def as_mermaid(drawing: Drawing) -> str:
    """A flowchart of Mermaid."""
    ids = {name: f"n{place}" for place, name in enumerate(drawing.nodes)}
    classes = {Mark.REFUSED: "refused", Mark.MISSING: "missing"}
    marked = [(ids[name], classes[mark]) for name, mark in drawing.nodes.items() if mark in classes]
    return "\n".join(
        [
            "flowchart LR",
            *(f"  {ids[name]}[{mermaid_string(safe(name))}]" for name in drawing.nodes),
            *(f"  {ids[name]} --> {ids[one]}" for name, needed in drawing.edges.items() for one in needed),
            *(["  classDef refused stroke-dasharray: 5 5", "  classDef missing stroke: red"] if marked else []),
            *(f"  class {node} {style}" for node, style in marked),
        ]
    )
