"""``dagstack-plugins graph``, and the drawings by themselves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins.cli.drawing import Drawing, Mark, as_dot, as_mermaid, as_text

TREE = """\
tool/lonely (cannot be used)
tool/report
├── nobody (is not there)
├── tool/index
│   └── tool/store
│       └── tool/clock-1
└── tool/store (see above)
"""


@pytest.fixture(scope="module")
def diamond(shared_project: Any) -> Any:
    shared_project.plugin("report", depends_on=["store", "index", "nobody"])
    shared_project.plugin("index", depends_on=["store"])
    shared_project.plugin("store", depends_on=["clock-1"])
    shared_project.plugin("clock-1")
    shared_project.plugin("lonely", "pass")
    shared_project.file("plugins/unreadable/dagstack.toml", "[plugin")
    return shared_project


def test_the_tree(diamond: Any) -> None:
    done = diamond.run("graph", "plugins")
    assert done.out == TREE
    assert done.status == 0
    assert "left out: plugins/unreadable" in done.err


def test_a_terminal_that_knows_ascii_only(diamond: Any) -> None:
    done = diamond.run("graph", "plugins", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert "|-- tool/index\n|   `-- tool/store\n|       `-- tool/clock-1\n`-- tool/store (see above)" in done.out


def test_dot(diamond: Any) -> None:
    lines = diamond.run("graph", "--format", "dot", "plugins").out.splitlines()
    assert lines[0] == "digraph plugins {"
    assert lines[-1] == "}"
    assert '  "tool/report" -> "tool/store";' in lines
    assert '  "tool/store" -> "tool/clock-1";' in lines
    assert '  "nobody" [style=dotted, color=red];' in lines
    assert '  "tool/lonely" [style=dashed];' in lines


def test_mermaid(diamond: Any) -> None:
    lines = diamond.run("graph", "--format", "mermaid", "plugins").out.splitlines()
    assert lines[0] == "flowchart LR"
    ids = {
        name: line.split("[")[0].strip() for line in lines for name in ("store", "clock-1") if f"tool/{name}" in line
    }
    assert f"  {ids['store']} --> {ids['clock-1']}" in lines


def test_a_circle_is_shown_whole(project: Any) -> None:
    for name, needed in {"hen": "egg", "egg": "chick", "chick": "hen", "cock": "cock-2", "cock-2": "cock"}.items():
        project.plugin(name, depends_on=[needed])
    done = project.run("graph", "plugins")
    assert (done.status, done.out) == (1, "")
    around = ("hen -> tool/egg -> tool/chick", "egg -> tool/chick -> tool/hen", "chick -> tool/hen -> tool/egg")
    assert any(f"tool/{one}" in done.err for one in around)
    assert "tool/cock -> tool/cock-2 -> tool/cock" in done.err or "tool/cock-2 -> tool/cock -> tool/cock-2" in done.err


def test_an_unknown_format(misuse: Any) -> None:
    assert "mermaid" in misuse("graph", "--format", "svg", ".")


def test_a_folder_without_plugins(project: Any) -> None:
    done = project.run("graph", "plugins")
    assert (done.status, done.out) == (0, "")
    assert "there is no plugin in plugins" in done.err


def drawing(**edges: list[str]) -> Drawing:
    nodes = dict.fromkeys(sorted({*edges, *(one for needed in edges.values() for one in needed)}), Mark.USABLE)
    return Drawing(nodes, {name: edges.get(name, []) for name in nodes})


def test_special_characters_stay_what_they_are() -> None:
    odd = drawing(**{'a"b\\c\n': ["<d>#;"]})
    assert '  "a\\"b\\\\c\\n" -> "<d>#;";' in as_dot(odd)
    assert 'n1["a#34;b#92;c#10;"]' in as_mermaid(odd)
    assert 'n0["#60;d#62;#35;#59;"]' in as_mermaid(odd)


def test_a_long_chain_is_drawn() -> None:
    names = [f"p{number:04}" for number in range(3000)]
    chain = {name: [needed] for name, needed in pairwise(names)}
    assert as_text(drawing(**chain)).splitlines()[-1].endswith("└── p2999")


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda edge: edge[0] < edge[1]), unique=True))
def test_each_edge_is_drawn_once(pairs: list[tuple[int, int]]) -> None:
    edges: dict[str, list[str]] = {}
    for above, below in sorted(pairs):
        edges.setdefault(f"n{above:02}", []).append(f"n{below:02}")
    drawn = drawing(**edges)
    roots = set(drawn.nodes) - {one for needed in edges.values() for one in needed}
    assert len(as_text(drawn).splitlines()) == len(roots) + len(pairs)
