"""What changed between two versions of a kind: by example, and against what their validators admit."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagstack_plugins.kinds.evolution import Evolution, evolution
from dagstack_plugins.kinds.hookspec import build_kind
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.kinds.schema_changes import Effect, schema_changes
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles
from dagstack_plugins.kinds.yamldoc import YamlDocument

INPUT = {
    "type": "object",
    "required": ["amount"],
    "additionalProperties": False,
    "properties": {
        "amount": {"type": "integer", "minimum": 1},
        "currency": {"enum": ["USD", "EUR"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {"line": {"type": "object", "properties": {"text": {"type": "string"}}}},
}
OUTPUT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "state": {"enum": ["a", "b"]}}}
CHARGE = {"name": "charge", "dispatch": "singleton", "input_schema": INPUT, "output_schema": OUTPUT}
TOLD = {"name": "told", "dispatch": "broadcast_notify"}
DECLARED = {"kind": "payment", "kind_api_version": "1.2.3", "hooks": [CHARGE, TOLD]}


def kind(declared: dict[str, Any]) -> Kind:
    return build_kind(YamlDocument(json.loads(json.dumps(declared)), {}, []), SchemaFiles(None))


def changed(path: str, value: Any = None, *, version: str = "1.2.4") -> Evolution:
    """The kind with the value at a path set, or taken away where it is ``...``."""
    after = copy.deepcopy(DECLARED)
    after["kind_api_version"] = version
    at: Any = after
    *above, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    for step in above:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return evolution(kind(DECLARED), kind(after))


IN, OUT = "hooks/0/input_schema", "hooks/0/output_schema"


@pytest.mark.parametrize(
    ("path", "value", "level", "told"),
    [
        ("description", "Pays.", "patch", "payment is described otherwise"),
        (f"{IN}/title", "X", "patch", "charge input $ has another title"),
        (f"{IN}/properties/amount/description", "X", "patch", "charge input $.amount has another description"),
        (f"{IN}/properties/note", {"type": "string"}, "minor", "charge input $.note is a new optional property"),
        (f"{IN}/properties/amount/minimum", 0, "minor", "charge input $.amount minimum is 0, was 1"),
        (f"{IN}/properties/amount/minimum", 2, "major", "charge input $.amount minimum is 2, was 1"),
        (f"{IN}/properties/amount/type", "number", "minor", "charge input $.amount type is 'number', was 'integer'"),
        (f"{IN}/properties/amount/type", "string", "major", "charge input $.amount type is 'string', was 'integer'"),
        (f"{IN}/properties/currency/enum", ["USD"], "major", "charge input $.currency enum is"),
        (f"{IN}/properties/currency/enum", ["USD", "EUR", "GBP"], "minor", "charge input $.currency enum is"),
        (f"{IN}/properties/currency/default", "USD", "minor", "charge input $.currency default is 'USD' now"),
        (f"{IN}/properties/lines", ..., "major", "charge input $.lines is declared no more"),
        (f"{IN}/$defs/line/properties/text/maxLength", 5, "major", "charge input $.lines[0].text maxLength is 5 now"),
        (f"{IN}/required", ["amount", "currency"], "major", "charge input $.currency is required now"),
        (f"{IN}/required", [], "major", "charge input $.amount may be left out now"),
        (f"{IN}/additionalProperties", True, "minor", "charge input $['*'] admits something now"),
        (IN, ..., "minor", "charge input $ has no schema any more"),
        (f"{IN}/properties/amount/title", "X", "patch", "charge input $.amount has another title"),
        (
            f"{OUT}/properties/state",
            {"type": "object", "title": "S", "properties": {}},
            "major",
            "charge output $.state",
        ),
        (f"{IN}/properties/currency/enum", ["EUR", "USD"], "None", ""),
        (f"{IN}/properties/currency/minLength", 0, "None", ""),
        (f"{IN}/properties/note", {"not": {"$ref": "#/$defs/line"}}, "minor", "charge input $.note is a new optional"),
        (f"{IN}/patternProperties", {"^x": {"$ref": "#/$defs/line"}}, "major", "charge input $ patternProperties says"),
        (f"{OUT}/properties/when", {"type": "string"}, "minor", "charge output $.when is a new optional property"),
        (f"{OUT}/properties/state/enum", ["a", "b", "c"], "major", "charge output $.state enum is"),
        (f"{OUT}/properties/state/enum", ["a"], "major", "charge output $.state enum is"),
        (f"{OUT}/required", [], "major", "charge output $.id may be left out now"),
        (f"{OUT}/required", ["id", "state"], "major", "charge output $.state is required now"),
        (OUT, ..., "major", "charge output $ has no schema any more"),
        ("hooks/1", ..., "major", "told is gone"),
        ("hooks/0/dispatch", "chain", "major", "charge the dispatch class is 'chain', was 'singleton'"),
        ("hooks/0/async", True, "major", "charge the colour (async) is true, was left open"),
        ("hooks/0/selection", "named", "major", "charge selection by name is true, was false"),
        ("hooks/0/required", False, "major", "charge may be missing in a plugin now"),
        ("hooks/1/required", True, "major", "told must be had by each plugin now"),
        ("hooks/0/mcp_exposed", False, "major", "charge exists in process only now"),
        ("constraints", {"in_process_only": True}, "major", "payment constraint in_process_only is true, was false"),
    ],
)
def test_one_change(path: str, value: Any, level: str, told: str) -> None:
    found = changed(path, value)
    assert str(found.needed) == level, found.changes
    assert not told or any(f"{one.where} {one.told}".startswith(told) for one in found.changes), found.changes
    assert found.is_enough == (level in ("patch", "None"))


def test_new_hooks() -> None:
    hooks: list[dict[str, Any]] = [CHARGE, TOLD, {"name": "refund", "dispatch": "singleton"}]
    assert str(changed("hooks", hooks).needed) == "major"
    hooks[-1] = {"name": "refund", "dispatch": "singleton", "required": False}
    assert str(changed("hooks", hooks).needed) == "minor"
    assert str(changed("hooks", [TOLD, CHARGE]).needed) == "patch"


def test_arguments_bind_in_the_order_of_properties() -> None:
    names = INPUT["properties"]
    assert isinstance(names, dict)
    first = {"note": {"type": "string"}, **names}
    assert str(changed(f"{IN}/properties", first).needed) == "major"
    assert str(changed(f"{IN}/properties", {**names, "note": {"type": "string"}}).needed) == "minor"
    reordered = {"state": {"enum": ["a", "b"]}, "id": {"type": "string"}}
    assert changed(f"{OUT}/properties", reordered).needed is None


@pytest.mark.parametrize(
    ("version", "least", "enough"),
    [
        ("1.2.3", "1.3.0", False),
        ("1.2.9", "1.3.0", False),
        ("1.3.0", "1.3.0", True),
        ("2.0.0", "1.3.0", True),
        ("0.9.0", "1.3.0", False),
    ],
)
def test_the_version_must_rise_by_as_much(version: str, least: str, enough: bool) -> None:
    found = changed(f"{IN}/properties/note", {"type": "string"}, version=version)
    assert (found.least, found.is_enough) == (least, enough)


def test_nothing_changed() -> None:
    assert evolution(kind(DECLARED), kind(DECLARED)).is_enough
    assert evolution(kind(DECLARED), kind({**DECLARED, "kind_api_version": "1.3.0"})).is_enough
    assert not evolution(kind(DECLARED), kind({**DECLARED, "kind_api_version": "1.2.2"})).is_enough
    with pytest.raises(ValueError, match="these are two kinds: 'payment' and 'other'"):
        evolution(kind(DECLARED), kind({**DECLARED, "kind": "other"}))


# --- the law ----------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
LEAVES = st.sampled_from(
    [
        True,
        False,
        {},
        {"type": "string"},
        {"type": ["string", "null"]},
        {"type": "string", "maxLength": 1},
        {"type": "integer"},
        {"type": "number"},
        {"type": "integer", "minimum": 0},
        {"type": "integer", "minimum": 1, "maximum": 2},
        {"type": "integer", "multipleOf": 2},
        {"enum": ["a", 1]},
        {"enum": ["a"]},
        {"const": "a"},
        {"$ref": "#/$defs/d"},
        {"$ref": "#/$defs/d", "type": ["string", "object"]},
        {"contains": {"type": "string"}, "maxContains": 1},
        {"not": {"type": "string"}},
        {"type": "array", "minItems": 1},
        {"type": "array", "uniqueItems": True},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, required, more: {"properties": properties, "required": sorted(required), **more},
            st.dictionaries(NAMES, inner, max_size=3),
            st.sets(NAMES, max_size=2),
            st.sampled_from([{}, {"additionalProperties": False}, {"type": "object"}]),
        ),
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda item: {"additionalProperties": item}, inner),
        st.builds(
            lambda keyword, items: {keyword: items},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=2),
        ),
        st.builds(lambda items: {"prefixItems": items}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    st.sampled_from([None, True, "a", "ab", 0, 1, 2, 3, -1, 1.5]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def whole(body: Any, defs: Any) -> Schema:
    return Schema.document({**body, "$defs": {"d": defs}} if isinstance(body, dict) else body, "hookspec")


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two schemas that have much in common: most changes are small."""
    old = draw(SCHEMAS)
    new = json.loads(json.dumps(old))
    for _ in range(draw(st.integers(0, 2))):
        places = list(walked(new))
        at, key = draw(st.sampled_from(places)) if places else (None, None)
        if at is None:
            new = draw(SCHEMAS)
        else:
            at[key] = draw(SCHEMAS)
    return old, new


def walked(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return
    for name in schema.get("properties", {}):
        yield schema["properties"], name
        yield from walked(schema["properties"][name])
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield schema, keyword
            yield from walked(schema[keyword])
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for index, part in enumerate(schema.get(keyword, ())):
            yield schema[keyword], index
            yield from walked(part)


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(pairs(), LEAVES, LEAVES, st.lists(VALUES, min_size=1, max_size=12))
def test_what_is_said_of_schemas_holds_for_values(
    pair: tuple[Any, Any], one: Any, other: Any, values: list[Any]
) -> None:
    files = SchemaFiles(None)
    old, new = whole(pair[0], one), whole(pair[1], other)
    try:
        before, after = files.validator(old), files.validator(new)
    except Exception:  # a circle of references through nothing
        return
    effects = {effect for _, effect, _ in schema_changes(old, files, new, files)}
    for value in values:
        if not effects & {Effect.NARROWER, Effect.OTHER, Effect.OPTIONAL} and before.is_valid(value):
            assert after.is_valid(value), effects
        if not effects & {Effect.WIDER, Effect.OTHER, Effect.OPTIONAL, Effect.OMITTED} and after.is_valid(value):
            assert before.is_valid(value), effects


def test_what_is_referred_to_counts_wherever_the_reference_stands() -> None:
    """The texts are equal, and what they mean is not."""
    for keyword, body in (
        ("not", {"$ref": "#/$defs/line"}),
        ("patternProperties", {"^x": {"$ref": "#/$defs/line"}}),
        ("contains", {"$ref": "#/$defs/line"}),
        ("anyOf", [{"$ref": "#/$defs/line"}, {"type": "string"}]),
        ("allOf", [{"$ref": "#/$defs/line"}]),
    ):
        before = copy.deepcopy(DECLARED)
        before["hooks"][0]["input_schema"]["properties"]["amount"] = {keyword: body}  # type: ignore[index]
        after = copy.deepcopy(before)
        after["hooks"][0]["input_schema"]["$defs"]["line"]["required"] = ["text"]  # type: ignore[index]
        assert str(evolution(kind(before), kind(after)).needed) == "major", keyword
        if keyword == "anyOf":
            after["hooks"][0]["input_schema"]["properties"]["amount"]["anyOf"].append({"type": "null"})  # type: ignore[index]
            assert str(evolution(kind(before), kind(after)).needed) == "major"


def test_a_default_that_is_gone_or_new() -> None:
    before = copy.deepcopy(DECLARED)
    amount = before["hooks"][0]["input_schema"]["properties"]["amount"]  # type: ignore[index]
    amount["default"] = 5
    assert str(evolution(kind(before), kind(DECLARED)).needed) == "major"
    required = copy.deepcopy(before)
    required["hooks"][0]["input_schema"]["properties"]["new"] = {"type": "string", "default": "x"}  # type: ignore[index]
    required["hooks"][0]["input_schema"]["required"].append("new")  # type: ignore[index]
    assert str(evolution(kind(before), kind(required)).needed) == "minor"
