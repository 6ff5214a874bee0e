"""The law of shortcuts: where one answers, the long way gives the same; where the long way refuses, it says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagstack_plugins import PayloadInvalid
from dagstack_plugins.kinds.codec import HookCodec, Validate
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.hookspec import build_kind
from dagstack_plugins.kinds.schemas import SchemaFiles
from dagstack_plugins.kinds.shortcut import shortcut
from dagstack_plugins.kinds.yamldoc import read_yaml

NAMES = ["a", "b", "class", "c d", "to_dict"]
TEXTS = st.sampled_from(["", "a", "abc", "é", "\ud800", "{x}", "'\"\\"])
NUMBERS = st.sampled_from([0, 1, -1, 2**53, 2**60, 1.0, 0.5, float("nan"), float("inf"), True, False])
VALUES = st.one_of(TEXTS, NUMBERS, st.none(), st.just([1]), st.just({"x": "\ud800"}), st.just({1: 2}), st.just((1,)))


@st.composite
def property_schemas(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "null", ["string", "null"], "array", None]))
    schema: dict[str, Any] = {} if kind is None else {"type": kind}
    if kind == "string":
        schema |= draw(
            st.sampled_from([{}, {"minLength": 1}, {"maxLength": 2}, {"enum": ["a", "{x}"]}, {"pattern": "^a"}])
        )
    if kind in ("integer", "number"):
        schema |= draw(
            st.sampled_from([{}, {"minimum": 1}, {"exclusiveMaximum": 1}, {"multipleOf": 2}, {"enum": [1, True]}])
        )
    if kind == "string" and not schema.keys() - {"type"} and draw(st.booleans()):
        schema["default"] = "d"
    if kind in (["string", "null"], "null") and draw(st.booleans()):
        schema["default"] = None
    return schema


@st.composite
def object_schemas(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    schema: dict[str, Any] = {"type": "object", "properties": {name: draw(property_schemas()) for name in names}}
    schema["required"] = [name for name in names if draw(st.booleans())]
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.booleans())
    return schema


def codec_of(schema: dict[str, Any], output: dict[str, Any] | None = None) -> HookCodec:
    output = schema if output is None else output
    hook = {"name": "act", "dispatch": "singleton", "input_schema": schema, "output_schema": output}
    text = json.dumps({"kind": "thing", "kind_api_version": "1.0.0", "hooks": [hook]})
    return CompiledKind(build_kind(read_yaml(text), SchemaFiles(Path())), Validate.ALL).codecs["act"]


def long_way(codec: HookCodec, data: Any) -> Any:
    try:
        return codec._accept_any(data)
    except PayloadInvalid:
        return None


@settings(max_examples=400)
@given(object_schemas(), st.dictionaries(st.sampled_from([*NAMES, "other"]), VALUES, max_size=4))
@example({"type": "object", "properties": {"a": {"type": ["string", "null"], "default": None}}, "required": []}, {})
def test_it_answers_as_the_long_way_does(schema: dict[str, Any], data: dict[str, Any]) -> None:
    codec = codec_of(schema)
    assert codec.input.type is not None or not schema["properties"]
    short = shortcut(codec.hook.input_schema.body, codec.input, codec._check_input.is_valid)  # type: ignore[union-attr]
    if short is None:
        return
    answer, expected = short.from_dict(dict(data)), long_way(codec, data)
    if answer is not None:
        assert type(answer) is type(expected)
        assert answer.to_dict() == expected.to_dict()
        assert repr(answer) == repr(expected)
    if expected is not None:
        again = short.from_payload(expected)
        assert again is None or (again is not expected and again.to_dict() == expected.to_dict())


@given(object_schemas(), st.data())
def test_a_payload_that_was_changed_is_checked_again(schema: dict[str, Any], data: st.DataObject) -> None:
    codec = codec_of(schema)
    short = shortcut(codec.hook.input_schema.body, codec.input, codec._check_input.is_valid)  # type: ignore[union-attr]
    if short is None:
        return
    payload = codec.input.type.from_dict({name: data.draw(VALUES) for name in schema["properties"]})  # type: ignore[union-attr]
    answer = short.from_payload(payload)
    if answer is not None:
        expected = long_way(codec, payload.to_dict())
        assert expected is not None
        assert answer.to_dict() == expected.to_dict()


@settings(max_examples=400)
@given(object_schemas(), object_schemas(), st.booleans(), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_an_output_becomes_an_input_as_the_long_way_says(
    schema: dict[str, Any], other: dict[str, Any], same_names: bool, data: dict[str, Any]
) -> None:
    if same_names:  # of which most outputs are read like inputs
        properties = {name: other["properties"].get(name, {}) for name in schema["properties"]}
        required = [name for name in properties if name in other["required"]]
        other = {**schema, "properties": properties, "required": required}
    codec = codec_of(schema, other)
    try:
        output = codec.result(data, "p")
    except PayloadInvalid:
        return
    expected = long_way(codec, output)
    try:
        answer = codec.accept(output)
    except PayloadInvalid:
        answer = None
    assert (answer is None) == (expected is None)
    if answer is not None:
        assert type(answer) is type(expected)
        assert answer == expected
        assert repr(answer) == repr(expected)


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"a": {"type": "string"}}, {"a": "x"}),
        ({"a": {"type": "integer", "minimum": 0}, "b": {"type": "boolean", "default": True}}, {"a": 1}),
        ({"a": {"type": "string", "enum": ["x", "y"]}}, {"a": "y"}),
        ({"a": {"type": "string", "pattern": "^x"}}, {"a": "xy"}),
        ({"a": {"type": "array", "items": {"type": "string"}}}, {"a": ["x"]}),
    ],
)
def test_it_serves_the_common_payload(schema: dict[str, Any], data: dict[str, Any]) -> None:
    codec = codec_of({"type": "object", "required": ["a"], "properties": schema})
    short = shortcut(codec.hook.input_schema.body, codec.input, codec._check_input.is_valid)  # type: ignore[union-attr]
    assert short is not None
    assert short.from_dict(data) is not None
    assert short.from_dict({**data, "a": None}) is None
