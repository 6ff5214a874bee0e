"""Inputs that are made from schemas: each fits, and whatever the schema combines, there are some."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagstack_plugins.contract.inputs import NoInput, samples, strategy
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles

FILES = SchemaFiles(None)


def made(body: Any, number: int = 15, seed: int = 0) -> list[Any]:
    schema = Schema(body, "x")
    return samples(strategy(schema, FILES, FILES.validator(schema).is_valid), number, seed)


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "body",
    [
        True,
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "required": ["a", "b"], "properties": {"a": {}}, "additionalProperties": {"type": "null"}},
        {"type": "object", "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
        {"type": "object", "propertyNames": {"pattern": "^[a-c]+$"}, "minProperties": 2},
        {"type": "array", "prefixItems": [{"type": "string"}, {"const": 3}], "items": False, "minItems": 2},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2, "maxItems": 3},
        {"type": "array", "contains": {"type": "integer", "minimum": 100}},
        {"type": "integer", "minimum": 3, "multipleOf": 7},
        {"type": "integer", "exclusiveMinimum": 2.5, "exclusiveMaximum": 4},
        {"type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 9},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": ["string", "null"], "pattern": "^[a-z]+-\\d$"},
        {"type": "string", "minLength": 3, "maxLength": 4},
        {"minimum": 4},
        {"minLength": 4},
        {"const": {"a": [1]}},
        {"not": {"type": "string"}},
        {"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}]},
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {}, "b": {}}},
        {
            "allOf": [{"required": ["x"]}, {"properties": {"x": {"minimum": 5}}}],
            "type": "object",
            "properties": {"x": {"type": "integer"}},
        },
        {
            "if": {"properties": {"k": {"const": 1}}, "required": ["k"]},
            "then": {"required": ["v"]},
            "type": "object",
            "properties": {"k": {"enum": [1, 2]}, "v": {"type": "boolean"}},
        },
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/a", "maxLength": 2}},
            "required": ["a"],
            "$defs": {"a": {"type": "string", "minLength": 2}},
        },
        {"type": "object", "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}, "required": ["a"]},
        TREE,
        {
            "type": "object",
            "properties": {"root": {"$ref": "#/$defs/node"}},
            "required": ["root"],
            "$defs": TREE["$defs"],
        },
    ],
    ids=lambda body: json.dumps(body)[:40],
)
def test_what_schemas_combine(body: Any) -> None:
    values = made(body)
    assert values
    assert all(FILES.validator(Schema(body, "x")).is_valid(value) for value in values)
    assert to_json(values) == values


FORMATS = ("date", "date-time", "time", "duration", "uuid", "email", "ipv4", "ipv6", "hostname", "uri", "json-pointer")


@pytest.mark.parametrize("name", [*FORMATS, "regex", "uri-reference", "iri"])
def test_formats(name: str) -> None:
    assert len(set(made({"type": "string", "format": name}))) >= 5


def test_recursion_goes_deep_and_ends() -> None:
    def depth(node: dict[str, Any]) -> int:
        return 1 + max(map(depth, node.get("children", [])), default=0)

    assert max(map(depth, made(TREE, 60))) >= 3


def test_texts_are_made_as_long_as_they_may_be() -> None:
    assert max(map(len, made({"type": "string", "maxLength": 100}, 60))) == 100


@pytest.mark.parametrize("body", [False, {"enum": []}, {"type": "integer", "minimum": 5, "maximum": 4}])
def test_what_nothing_fits_is_said(body: Any) -> None:
    with pytest.raises(NoInput, match="the input's schema"):
        made(body)


def test_the_same_seed_gives_the_same_values_and_another_others() -> None:
    body = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert made(body, seed=1) == made(body, seed=1) != made(body, seed=2)


SCALARS = st.sampled_from(
    [{"type": "integer"}, {"type": "string", "maxLength": 5}, {"type": "null"}, {"enum": ["a", 1]}, {"type": "boolean"}]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items, "maxItems": 3}, inner),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties, closed: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:1],
                "additionalProperties": not closed,
            },
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.booleans(),
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS)
def test_whatever_is_nested_values_fit(body: Any) -> None:
    values = made(body, 5)
    assert all(FILES.validator(Schema(body, "x")).is_valid(value) for value in values)
