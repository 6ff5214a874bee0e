"""JSON values and texts as Python code."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins.kinds.literals import docstring, literal

TEXT = st.text(st.characters())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.integers(1, 100), st.integers(0, 20))
def test_a_literal_is_the_value(value: object, width: int, indent: int) -> None:
    assert ast.literal_eval(literal(value, width, indent)) == value


@given(TEXT, st.integers(10, 100))
def test_a_docstring_is_the_text_but_for_its_spaces(text: str, width: int) -> None:
    tree = ast.parse(f"def f():\n    {docstring(text, width)}")
    told = ast.literal_eval(tree.body[0].body[0].value)  # type: ignore[attr-defined]
    assert "".join(told.split()) == "".join(text.split())
