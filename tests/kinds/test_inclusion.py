"""Whether what one schema admits is admitted by another."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins.kinds.inclusion import excess
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles


def found(inner: Any, outer: Any, *, lenient: bool = False) -> list[str]:
    files = SchemaFiles(None)
    one, other = Schema.document(inner, "one"), Schema.document(outer, "other")
    return [f"{'.'.join(map(str, path))}: {told}" for path, told in excess(one, files, other, files, lenient=lenient)]


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


INT, STR, NULL = {"type": "integer"}, {"type": "string"}, {"type": "null"}
FITS: list[tuple[Any, Any]] = [
    (INT, {}),
    (INT, True),
    (False, INT),
    (INT, {"type": "number"}),
    (INT, {"type": ["integer", "null"]}),
    (INT, {"anyOf": [STR, INT]}),
    ({"type": ["string", "null"]}, {"anyOf": [STR, NULL]}),
    ({"anyOf": [STR, NULL]}, {"type": ["null", "string"]}),
    ({"anyOf": [STR, NULL]}, {"anyOf": [NULL, STR, INT]}),
    ({"enum": ["a", "b"]}, STR),
    ({"const": 3}, {"enum": [1, 2, 3]}),
    ({"type": "integer", "minimum": 3}, {"type": "integer", "minimum": 1}),
    ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 4}),
    ({"type": "string", "format": "uri"}, {"type": "string", "format": "uri"}),
    ({"type": "integer"}, {"type": "integer", "maxLength": 3}),
    ({"type": "array", "items": INT}, {"type": "array", "items": {"type": "number"}}),
    (of(a=INT), of(a=INT, b=STR)),
    (of(a=INT), {"type": "object"}),
    (of(a=INT), of()),
    (of(a=INT, b=STR), of(a=INT)),
    ({**of(a=INT), "required": ["a"]}, {**of(a=INT), "required": ["a"]}),
    (of(a={"type": "integer", "default": 3}), {**of(a=INT), "required": ["a"]}),
    ({**of(a=INT), "additionalProperties": False}, {**of(a=INT), "additionalProperties": False}),
    ({"$ref": "#/$defs/a", "$defs": {"a": INT}}, {"$ref": "#/definitions/x", "definitions": {"x": INT}}),
    ({"title": "One", "description": "x", **INT}, {"title": "Other", **INT}),
    ({"allOf": [INT, {"minimum": 3}]}, INT),
    (INT, {"allOf": [{"type": "number"}, {"type": ["integer", "null"]}]}),
    ({"type": "string", "minLength": 0}, {"type": "string", "minLength": 0}),
    (STR, {"type": "string", "minLength": 0}),
    (of(a=INT), {**of(a=INT), "additionalProperties": False}),
    (INT, {"type": "integer", "minimum": -(2**53 - 1), "maximum": 2**53 - 1}),
    ({"type": "boolean"}, {"enum": [True, False]}),
    (NULL, {"const": None}),
    ({"$ref": "#/$defs/a", "title": "A", "$defs": {"a": INT}}, INT),
]


@pytest.mark.parametrize(("inner", "outer"), FITS)
def test_it_fits(inner: Any, outer: Any) -> None:
    assert found(inner, outer) == []


EXCEEDS: list[tuple[Any, Any, str]] = [
    (INT, False, ": may be given, and is not taken"),
    ({}, INT, ": may be anything, and only integer is taken"),
    (True, INT, ": may be anything, and only integer is taken"),
    ({"type": "number"}, INT, ": may be number, and only integer is taken"),
    ({"type": ["string", "null"]}, STR, ": may be null, and only string is taken"),
    ({"anyOf": [STR, NULL]}, STR, ": may be null, and only string is taken"),
    ({"enum": ["a", 5]}, STR, ": may be 5, which is not taken"),
    ({"enum": ["a", "c", "d"]}, {"enum": ["a"]}, ": may be 'c', 'd', which are not taken"),
    (STR, {"enum": ["a", "b"]}, ": may be anything, and only 'a', 'b' is taken"),
    ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 3}, "minimum 1, and minimum 3 is asked for"),
    (STR, {"type": "string", "pattern": "^a"}, ": has no pattern, and pattern '^a' is asked for"),
    (STR, {"type": "string", "format": "uri"}, ": has no format, and format 'uri' is asked for"),
    (STR, {"not": {"const": "a"}}, ": not is asked for, which nobody can compare"),
    (of(a=INT), {**of(a=INT), "required": ["a"]}, "a: may be left out, and is required"),
    (of(a=INT), {**of(a=INT), "required": ["b"]}, "b: may be left out, and is required"),
    (of(a=INT), of(a=STR), "a: may be integer, and only string is taken"),
    (of(a=of(b=INT)), of(a=of(b=STR)), "a.b: may be integer, and only string is taken"),
    (
        {**of(a=INT), "additionalProperties": True},
        {**of(a=INT), "additionalProperties": False},
        ": may have properties that are not declared",
    ),
    ({**of(a=INT), "additionalProperties": False}, {**of(), "additionalProperties": False}, "a: may be given"),
    ({"type": "array", "items": INT}, {"type": "array", "items": STR}, "0: may be integer, and only string is taken"),
    ({"type": "array"}, {"type": "array", "items": STR}, "0: may be anything, and only string is taken"),
    (INT, {"anyOf": [STR, NULL]}, ": may be integer, and only string is taken"),
    (INT, {"$ref": "#/$defs/a", "minimum": 3, "$defs": {"a": INT}}, ": has no minimum, and minimum 3 is asked for"),
]


@pytest.mark.parametrize(("inner", "outer", "told"), EXCEEDS)
def test_it_exceeds(inner: Any, outer: Any, told: str) -> None:
    (one,) = found(inner, outer)
    assert told in one


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ({}, INT),
        ({"type": "object"}, {**of(a=INT), "required": ["a"]}),
        ({"type": "object", "additionalProperties": True}, {**of(a=INT), "additionalProperties": False}),
        ({"type": "array"}, {"type": "array", "items": INT}),
        (STR, {"type": "string", "maxLength": 3}),
        (of(a={}), of(a=INT)),
    ],
)
def test_what_says_nothing_is_no_excess_to_the_lenient(inner: Any, outer: Any) -> None:
    assert found(inner, outer) != []
    assert found(inner, outer, lenient=True) == []


@pytest.mark.parametrize(
    ("inner", "outer"),
    [(of(a=STR), of(a=INT)), (of(a=INT), {**of(a=INT), "required": ["a"]}), ({"enum": [1]}, STR)],
)
def test_what_contradicts_is_excess_to_the_lenient_too(inner: Any, outer: Any) -> None:
    assert found(inner, outer, lenient=True) != []


def test_schemas_that_contain_themselves_are_compared_once() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "value": INT}}
    other = {"type": "object", "properties": {"left": {"$ref": "#"}, "value": {"type": "number"}}}
    assert found(tree, other) == []
    assert found(other, tree) == ["value: may be number, and only integer is taken"]


def test_schemas_that_refer_to_each_other_a_thousand_times_are_compared_soon() -> None:
    deep = {f"d{n}": of(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(60)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**deep, "d60": INT}}
    other = {"$ref": "#/$defs/d0", "$defs": {**deep, "d60": {"type": "number"}}}
    assert found(schema, other) == []
    assert 0 < len(found(other, schema)) <= 20


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "abc"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
TYPES = ["array", "boolean", "integer", "null", "number", "object", "string"]
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
            "minimum": st.integers(-2, 2),
            "maximum": st.integers(-2, 2),
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(0, 3),
            "minItems": st.integers(0, 2),
        },
    )
    | st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=3)),
    lambda inner: (
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda parts: {"allOf": parts}, st.lists(inner, min_size=1, max_size=2))
        | st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.fixed_dictionaries({"a": inner, "b": inner})},
            optional={"required": st.lists(st.sampled_from("ab"), unique=True), "additionalProperties": st.booleans()},
        )
        | st.builds(lambda items: {"type": "array", "items": items}, inner)
    ),
    max_leaves=5,
)


@settings(max_examples=600)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=1, max_size=8))
def test_where_nothing_exceeds_all_values_of_the_one_are_values_of_the_other(
    inner: Any, outer: Any, values: list[Any]
) -> None:
    if found(inner, outer):
        return
    one, other = (jsonschema_rs.Draft202012Validator(schema) for schema in (inner, outer))
    for value in values:
        assert not one.is_valid(value) or other.is_valid(value)


@given(SCHEMAS)
def test_every_schema_includes_itself(schema: Any) -> None:
    assert found(schema, schema) == []


@given(SCHEMAS, SCHEMAS)
def test_the_lenient_find_no_more(inner: Any, outer: Any) -> None:
    assert not found(inner, outer, lenient=True) or found(inner, outer)
