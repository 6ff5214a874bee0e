"""Laws of ``to_json``: it changes nothing that JSON can tell, and refuses the rest with the place where it is."""

from __future__ import annotations

import collections
import json
import types
from dataclasses import dataclass
from enum import Enum
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins.kinds.jsonvalues import NotJson, copied, to_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
KEYS = st.text(st.characters(codec="utf-8"), max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=15
)


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Real(float):
    pass


class Dict(dict[str, Any]):
    pass


class List(list[Any]):
    pass


@dataclass
class Data:
    value: Any


@attrs.frozen
class Attributed:
    value: Any


def disguised(value: Any, wraps: Any) -> Any:
    """The same content in other Python types, chosen by ``wraps``."""
    choice = wraps(4)
    if isinstance(value, str):
        return [value, Text(value), Enum("E", {"X": value}).X, value][choice]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return [value, Count(value), Enum("E", {"X": value}).X, value][choice]
    if isinstance(value, float):
        return [value, Real(value), value, value][choice]
    if isinstance(value, list):
        items = [disguised(item, wraps) for item in value]
        return [items, tuple(items), List(items), items][choice]
    items = {Text(key) if wraps(2) else key: disguised(item, wraps) for key, item in value.items()}
    if set(items) == {"value"} and choice == 3:
        return Data(items["value"]) if wraps(2) else Attributed(items["value"])
    return [items, Dict(items), types.MappingProxyType(items), collections.OrderedDict(items)][choice]


def only_plain(value: Any) -> bool:
    """Whether ``value`` is made of JSON's own types and no subclass of them."""
    if type(value) is dict:
        return all(type(key) is str and only_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(only_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def parts(value: Any) -> list[Any]:
    """All dicts and lists in a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(part for item in inside for part in parts(item))] if isinstance(value, dict | list) else []


@given(JSON, st.sampled_from([to_json, copied]))
def test_plain_json_is_copied_to_its_last_list(value: Any, copy: Any) -> None:
    told = copy(value)
    assert told == value
    assert json.dumps(told) == json.dumps(value)
    assert not {id(part) for part in parts(value)} & {id(part) for part in parts(told)}


@settings(max_examples=200)
@given(JSON | st.dictionaries(st.just("value"), JSON), st.data())
def test_other_types_of_the_same_content_become_plain_json(value: Any, data: st.DataObject) -> None:
    other = disguised(value, lambda count: data.draw(st.integers(0, count - 1)))
    told = to_json(other)
    assert told == value
    assert only_plain(told)
    assert json.dumps(told) == json.dumps(value)
    assert copied(told) == told
    if not only_plain(other):
        with pytest.raises(NotJson):
            copied(other)


WRONG: list[Any] = [float("nan"), float("inf"), {1, 2}, b"x", "\ud800", {1: 2}, {"\udfff": 1}, object(), 1j, 10**4300]


@given(st.data(), st.sampled_from(WRONG))
def test_the_path_leads_to_what_is_wrong(data: st.DataObject, wrong: Any) -> None:
    value: Any = wrong
    path: list[str | int] = []
    for _ in range(data.draw(st.integers(0, 6))):
        if data.draw(st.booleans()):
            key = data.draw(KEYS)
            value = data.draw(st.sampled_from([dict, types.MappingProxyType]))({"first": 1, key: value})
            path.insert(0, key)
        else:
            index = data.draw(st.integers(0, 3))
            value = data.draw(st.sampled_from([list, tuple]))([*range(index), value])
            path.insert(0, index)
    with pytest.raises(NotJson) as caught:
        to_json(value)
    assert caught.value.path == path


def test_what_was_handed_over_is_never_changed() -> None:
    inner = [(1, 2), {"a": Text("x")}]
    value = {"k": inner, "l": inner}
    told = to_json(value)
    assert told == {"k": [[1, 2], {"a": "x"}], "l": [[1, 2], {"a": "x"}]}
    assert value == {"k": inner, "l": inner}
    assert inner == [(1, 2), {"a": "x"}]
    assert type(inner[0]) is tuple
    assert type(inner[1]["a"]) is Text  # type: ignore[index, call-overload]


def test_the_same_object_twice_is_no_cycle() -> None:
    shared = {"a": (1,)}
    assert to_json([shared, shared, {"b": shared}]) == [{"a": [1]}, {"a": [1]}, {"b": {"a": [1]}}]


@pytest.mark.parametrize("make", [dict, lambda: collections.OrderedDict(), list])
def test_what_contains_itself_is_refused(make: Any) -> None:
    value = make()
    if isinstance(value, list):
        value.append([value])
    else:
        value["self"] = [value]
    with pytest.raises(NotJson, match="contains itself"):
        to_json(value)


def test_attrs_fields_go_by_the_name_of_their_argument() -> None:
    @attrs.define
    class Mixed:
        plain: int
        _private: int
        aliased: int = attrs.field(alias="other")

    assert to_json(Mixed(1, 2, 3)) == {"plain": 1, "private": 2, "aliased": 3}


def test_an_enum_counts_as_its_value_at_any_depth() -> None:
    class Inner(Enum):
        PAIR = (1, "x")

    class Outer(Enum):
        INNER = Inner.PAIR

    assert to_json({"a": Outer.INNER}) == {"a": [1, "x"]}
