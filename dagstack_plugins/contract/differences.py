"""Where two answers differ: what a reader wants to see of two long ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, Final

from dagstack_plugins.wording import dotted, printable

_AROUND: Final = 20
"""Characters before and after the first one in which two texts differ."""
_LONGEST: Final = 80
_NOTHING: Final = object()


def difference(one: Any, other: Any) -> str:
    """Where two JSON values first differ, and how.

    Args:
        one: a value.
        other: another.

    Returns:
        A path and what is found there; empty if they are equal.

    >>> difference({"a": [1, 2]}, {"a": [1, 3]})
    '$.a[1] is 2 and 3'
    >>> difference({"a": 1, "b": 2}, {"b": 2, "a": 1})
    '$ has its keys in another order: a, b and b, a'
    """
    path, told = _first(one, other)
    return f"{dotted(path)} {told}" if told else ""


def text_difference(one: str, other: str) -> str:
    """The same for two texts that may be JSON."""
    try:
        return difference(json.loads(one), json.loads(other))
    except ValueError:
        return difference(one, other)


def _first(one: Any, other: Any) -> tuple[tuple[str | int, ...], str]:
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() == other.keys() and list(one) != list(other):
            return (), f"has its keys in another order: {_listed(one)} and {_listed(other)}"
        names = dict.fromkeys([*one, *other])
        return _first_of((name, one.get(name, _NOTHING), other.get(name, _NOTHING)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return _first_of((index, *both) for index, both in enumerate(zip_longest(one, other, fillvalue=_NOTHING)))
    if type(one) is type(other) and one == other:
        return (), ""
    if isinstance(one, str) and isinstance(other, str):
        one, other = _cut(one, other)
    return (), f"is {_shown(one)} and {_shown(other)}"


def _first_of(triples: Iterable[tuple[str | int, Any, Any]]) -> tuple[tuple[str | int, ...], str]:
    for name, one, other in triples:
        path, told = _first(one, other)
        if told:
            return (name, *path), told
    return (), ""


def _cut(one: str, other: str) -> tuple[str, str]:
    """Two texts, where they are long no more than what is round the first letter that differs."""
    if max(len(one), len(other)) <= _LONGEST:
        return one, other
    pairs = zip(one, other, strict=False)
    first = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
    return _window(one, first), _window(other, first)


def _window(text: str, middle: int) -> str:
    begin, end = max(0, middle - _AROUND), middle + _AROUND
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"


def _listed(names: Iterable[str]) -> str:
    text = printable(", ".join(names))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "not there"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
