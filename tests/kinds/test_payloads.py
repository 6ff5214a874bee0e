"""The classes made from object schemas: read by attribute and by item, and back to JSON without loss."""

from __future__ import annotations

import copy
import json
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagstack_plugins import Payload
from dagstack_plugins.errors import PayloadInvalid
from dagstack_plugins.kinds.hookspec import build_kind
from dagstack_plugins.kinds.payloads import PayloadTypes
from dagstack_plugins.kinds.schemas import SchemaFiles
from dagstack_plugins.kinds.yamldoc import YamlDocument

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def types_of(input_schema: Any) -> Any:
    """The classes of a kind that comes from no file."""
    hook = {"name": "act", "dispatch": "singleton", "input_schema": input_schema}
    data = {"kind": "sample", "kind_api_version": "1.0.0", "hooks": [hook]}
    return PayloadTypes(build_kind(YamlDocument(data, {}, []), SchemaFiles(None)))


# Reading


@pytest.fixture
def charge(workshop) -> Any:
    schema = workshop.object("amount", amount=WHOLE, note=TEXT, memo={"type": ["string", "null"]})
    return workshop.types(schema).ActInput


def test_both_ways_of_reading(charge) -> None:
    payload = charge.from_dict({"amount": 5, "note": "hi"})
    assert (payload.amount, payload["amount"]) == (5, 5)
    assert (payload.note, payload["note"]) == ("hi", "hi")
    assert isinstance(payload, Payload)


def test_what_was_left_out_reads_none_as_an_attribute_and_is_absent_from_the_mapping(charge) -> None:
    payload = charge.from_dict({"amount": 5})
    assert payload.note is None
    assert payload.memo is None
    assert "note" not in payload
    assert "memo" not in payload
    for name in ("note", "memo", "unheard-of"):
        with pytest.raises(KeyError, match=name):
            payload[name]
    assert list(payload) == ["amount"]
    assert len(payload) == 1
    assert payload.to_dict() == {"amount": 5}


def test_null_is_not_left_out(charge) -> None:
    payload = charge.from_dict({"amount": 5, "memo": None})
    assert payload.memo is None
    assert payload["memo"] is None
    assert "memo" in payload
    assert payload.to_dict() == {"amount": 5, "memo": None}
    assert payload != charge.from_dict({"amount": 5})


def test_mapping_use_is_items_in_len_iteration_and_equality(charge) -> None:
    payload = charge.from_dict({"note": "hi", "amount": 5, "own": [1]})
    assert list(payload) == ["amount", "note", "own"]  # declared ones first, in the schema's order
    assert len(payload) == 3
    assert {name: payload[name] for name in payload} == {"amount": 5, "note": "hi", "own": [1]}
    assert payload == {"own": [1], "amount": 5, "note": "hi"}
    assert payload == {"own": [1], "amount": 5, "note": "hi"}
    assert payload != {"amount": 5, "note": "hi"}
    assert payload == charge.from_dict({"note": "hi", "amount": 5, "own": [1]})
    assert payload != [("amount", 5)]
    assert payload is not None
    assert (5 in payload, None in payload, [] in payload) == (False, False, False)


def test_payloads_of_different_classes_are_equal_if_their_content_is(workshop) -> None:
    types = workshop.types(workshop.object(a=WHOLE), workshop.object(a=WHOLE, b=WHOLE))
    assert types.ActInput.from_dict({"a": 1}) == types.ActOutput.from_dict({"a": 1})
    assert types.ActInput.from_dict({"a": 1}) != types.ActOutput.from_dict({"a": 1, "b": 2})


def test_a_payload_that_can_change_has_no_hash(charge) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(charge(1))


def test_undeclared_properties_are_kept_and_read_by_item(charge) -> None:
    payload = charge.from_dict({"amount": 1, "x-y": {"deep": [1]}, "own": None})
    assert payload["x-y"] == {"deep": [1]}
    assert payload["own"] is None
    assert "own" in payload
    assert not hasattr(payload, "own")
    assert payload.to_dict() == {"amount": 1, "x-y": {"deep": [1]}, "own": None}


def test_repr_shows_what_is_there(charge) -> None:
    assert repr(charge.from_dict({"amount": 1, "memo": None, "x-y": 2})) == "ActInput(amount=1, memo=None, 'x-y'=2)"


# Making


def test_the_constructor_takes_attributes_by_position_and_keyword(charge) -> None:
    assert charge(5, "hi") == {"amount": 5, "note": "hi"}
    assert charge(amount=5) == {"amount": 5}
    assert charge(5, note=None) == {"amount": 5}  # a note is never null, so this one is left out
    assert charge(5, memo=None) == {"amount": 5, "memo": None}
    for wrong in (charge, lambda: charge(note="hi"), lambda: charge(1, unheard_of=2), lambda: charge(1, "a", None, 4)):
        with pytest.raises(TypeError, match="ActInput"):
            wrong()


def test_what_must_be_there_after_what_may_be_missing_goes_by_keyword(workshop) -> None:
    cls = workshop.types(workshop.object("b", a=WHOLE, b=WHOLE)).ActInput
    assert cls(b=2) == {"b": 2}
    assert cls(1, b=2) == {"a": 1, "b": 2}
    assert list(cls(b=2, a=1)) == ["a", "b"]


def test_a_property_with_a_default_may_be_left_out_of_the_constructor(workshop) -> None:
    act = workshop.seen(workshop.object("a b", a=WHOLE, b={"type": "integer", "default": 7}))
    cls = type(act(1))
    assert cls(1) == {"a": 1}
    assert act(cls(1)) == {"a": 1, "b": 7}


def test_attributes_can_be_set(charge) -> None:
    payload = charge(5)
    payload.note = "late"
    payload.memo = "m"
    assert payload == {"amount": 5, "note": "late", "memo": "m"}
    payload.note = None
    assert payload == {"amount": 5, "memo": "m"}


def test_copies_are_equal_and_apart(workshop) -> None:
    cls = workshop.types(workshop.object(items={"type": "array", "items": workshop.object(a=WHOLE)}, free={})).ActInput
    payload = cls.from_dict({"items": [{"a": 1}], "free": {"x": [1]}, "own": [2], "none": None})
    shallow, deep = copy.copy(payload), copy.deepcopy(payload)
    assert shallow == deep == payload
    assert type(shallow) is type(deep) is cls
    assert shallow["own"] is payload["own"]
    deep.items[0].a = 5
    deep.free["x"].append(2)
    deep["own"].append(3)
    assert payload == {"items": [{"a": 1}], "free": {"x": [1]}, "own": [2], "none": None}
    null = workshop.types(workshop.object(a={})).ActInput.from_dict({"a": None})
    assert copy.copy(null) == copy.deepcopy(null) == {"a": None}


def test_to_dict_is_plain_json_that_shares_nothing(workshop) -> None:
    cls = workshop.types(workshop.object(items={"type": "array", "items": workshop.object(a=WHOLE)}, free={})).ActInput
    payload = cls.from_dict({"items": [{"a": 1}], "free": {"x": [{"y": 1}]}, "own": [{}]})
    told = payload.to_dict()
    assert json.loads(json.dumps(told)) == told
    told["items"][0]["a"] = 2
    told["free"]["x"].append(1)
    told["own"].append(1)
    assert payload == {"items": [{"a": 1}], "free": {"x": [{"y": 1}]}, "own": [{}]}


def test_payload_objects_may_be_put_into_each_other(workshop) -> None:
    act = workshop.seen(workshop.object(card=workshop.object("n", n=TEXT), cards={"type": "array"}))
    types = workshop.types(workshop.object(card=workshop.object("n", n=TEXT), cards={"type": "array"}))
    card = types.ActInputCard(n="1")
    made = types.ActInput(card=card, cards=[card, {"n": "2"}])
    assert made.to_dict() == {"card": {"n": "1"}, "cards": [{"n": "1"}, {"n": "2"}]}
    assert act(made).card.n == "1"
    assert act(card=card).card.n == "1"
    assert act({"card": card}).card.n == "1"


# Names


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("class", "class_"),
        ("None", "None_"),
        ("async", "async_"),
        ("match", "match"),
        ("self", "self_"),
        ("to_dict", "to_dict_"),
        ("from_dict", "from_dict_"),
        ("_extra", "_extra_"),
        ("_nulls", "_nulls_"),
        ("_attributes", "_attributes_"),
        ("__class__", "__class___"),
        ("__dict__", "__dict___"),
        ("__init__", "__init___"),
        ("__slots__", "__slots___"),
        ("__weakref__", "__weakref___"),
        ("__debug__", "__debug___"),
        ("__attrs_attrs__", "__attrs_attrs___"),
        ("__typename", "__typename"),
        ("_", "_"),
        ("__", "__"),
        ("items", "items"),
        ("keys", "keys"),
        ("cls", "cls"),
        ("data", "data"),
        ("value", "value"),
        ("NOTHING", "NOTHING"),
        ("attr_dict", "attr_dict"),
        ("naïve", "naïve"),
        ("ﬁ", "fi"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_each_identifier_has_an_attribute(name: str, attribute: str, required: bool) -> None:
    cls = types_of({"type": "object", "properties": {name: TEXT}, "required": [name] if required else []}).ActInput
    payload = cls.from_dict({name: "x"})
    assert getattr(payload, attribute) == "x"
    assert payload[name] == "x"
    assert payload == cls(**{attribute: "x"}) == cls("x") == {name: "x"}
    assert copy.deepcopy(payload).to_dict() == {name: "x"}
    if not required:
        assert getattr(cls.from_dict({}), attribute) is None
        assert name not in cls()


def test_names_that_would_meet(workshop) -> None:
    names = ["class_", "class", "class__", "ﬁ", "fi", "self", "self_"]
    cls = types_of(workshop.object(**dict.fromkeys(names, TEXT))).ActInput
    payload = cls.from_dict({name: name for name in names})
    assert payload.to_dict() == {name: name for name in names}
    assert (payload.class_, payload.class__, payload.fi, payload.self_) == ("class_", "class__", "fi", "self_")
    attributes = [field.name for field in attrs.fields(cls)]
    assert sorted(getattr(payload, attribute) for attribute in attributes) == sorted(names)


@pytest.mark.parametrize("name", ["x-y", "", "1a", "a b", "a.b", "é́", "'", "\\", "\n", "{x}", "日本-"])
def test_a_property_that_is_no_identifier_is_read_by_item(name: str) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "object", "properties": {"a": WHOLE}}},
        "required": [name],
    }
    payload = types_of(schema).ActInput.from_dict({name: {"a": 1}})
    assert payload[name] == {"a": 1}
    assert list(payload) == [name]
    assert payload.to_dict() == {name: {"a": 1}}


# Classes


def test_classes_are_handed_out_by_attribute_and_by_item(workshop) -> None:
    hooks = [
        {
            "name": "charge",
            "dispatch": "chain",
            "input_schema": workshop.object(a=TEXT),
            "output_schema": workshop.object(b=TEXT),
        },
        {"name": "refund_all_2", "dispatch": "chain", "input_schema": workshop.object(a=TEXT)},
        {"name": "void", "dispatch": "chain", "input_schema": {"type": "object"}},
    ]
    types = workshop.registry(workshop.spec(*hooks)).types("sample")
    assert set(types) == {"ChargeInput", "ChargeOutput", "RefundAll2Input"}
    assert len(types) == 3
    assert types.ChargeInput is types["ChargeInput"]
    assert types.ChargeInput.__name__ == types.ChargeInput.__qualname__ == "ChargeInput"
    assert {"ChargeInput", "ChargeOutput"} <= set(dir(types))
    with pytest.raises(AttributeError, match="'ChargeInput'"):
        _ = types.ChargeInputs
    with pytest.raises(KeyError, match="ChargeOutput"):
        types["Nothing"]
    assert not hasattr(types, "__wrapped__")
    assert "ChargeInput" in repr(types)


def test_the_classes_of_a_kind_stay_the_same(workshop) -> None:
    registry = workshop.running(workshop.hook(workshop.object(a=TEXT)), lambda self, everything: everything)
    assert registry.types("sample").ActInput is registry.types("sample").ActInput
    assert type(registry.get_plugin("sample").act(a="x")) is registry.types("sample").ActInput


def test_nested_objects_are_named_by_title_or_path(workshop) -> None:
    schema = workshop.object(
        card=workshop.object(number=TEXT),
        billing={"title": "postal address", **workshop.object(city=TEXT)},
        lines={"type": "array", "items": workshop.object(n=WHOLE)},
        by_name={"type": "object", "additionalProperties": workshop.object(n=WHOLE)},
        money={"$ref": "#/$defs/money"},
        file={"$ref": "schemas/some-file.json"},
    )
    schema["$defs"] = {"money": workshop.object(n=WHOLE)}
    types = workshop.types(schema, files={"schemas/some-file.json": workshop.object(n=WHOLE)})
    assert set(types) == {
        *("ActInput", "ActInputCard", "PostalAddress", "ActInputLinesItem", "ActInputByNameValue", "Money", "SomeFile")
    }


def test_names_of_classes_that_meet_are_told_apart(workshop) -> None:
    same = {"title": "Money", **workshop.object(n=WHOLE)}
    other = {"title": "Money", **workshop.object(m=WHOLE)}
    types = workshop.types(workshop.object(a=same, b=same, c=other, d={"title": "!?", **workshop.object(n=WHOLE)}))
    payload = types.ActInput.from_dict({"a": {"n": 1}, "b": {"n": 2}, "c": {"m": 3}})
    assert type(payload.a) is type(payload.b) is types.Money
    assert (type(payload.c), payload.c.m) == (types.ActInputC, 3)


def test_no_title_takes_the_name_of_a_hooks_own_class(workshop) -> None:
    titled = {"title": "ActOutput", **workshop.object(a=TEXT)}
    types = workshop.types(workshop.object(x=titled), workshop.object(b=TEXT))
    assert types.ActOutput.from_dict({"b": "x"}).b == "x"
    assert type(types.ActInput.from_dict({"x": {"a": "1"}}).x).__name__ == "ActInputX"


def test_a_title_that_means_two_things_in_two_files_is_two_classes(workshop) -> None:
    unit = {"title": "Unit", "properties": {"a": {"$ref": "#/$defs/a"}}}
    files = {
        "one.json": {**unit, "$defs": {"a": workshop.object(x=WHOLE)}},
        "two.json": {**unit, "$defs": {"a": workshop.object(y=WHOLE)}},
        "in.json": workshop.object(one={"$ref": "one.json"}, two={"$ref": "two.json"}),
    }
    payload = workshop.seen("in.json", files=files)(one={"a": {"x": 1}}, two={"a": {"y": 2}})
    assert (payload.one.a.x, payload.two.a.y) == (1, 2)


def test_all_of_and_ref_bring_properties_in(workshop) -> None:
    schema = {
        "allOf": [{"$ref": "base.json"}, {"properties": {"b": workshop.object(n=WHOLE)}, "required": ["b"]}],
        "properties": {"c": {"allOf": [{"$ref": "base.json"}, {"properties": {"d": WHOLE}}]}},
    }
    act = workshop.seen(schema, files={"base.json": workshop.object("a", a=TEXT)})
    payload = act("x", {"n": 1}, c={"a": "y", "d": 2})
    assert (payload.a, payload.b.n, payload.c.a, payload.c.d) == ("x", 1, "y", 2)
    with pytest.raises(PayloadInvalid):
        act("x")


OBJECT = {"type": "object", "properties": {"n": WHOLE}, "required": ["n"]}


@pytest.mark.parametrize(
    ("schema", "value", "read"),
    [
        ({"type": "array", "items": OBJECT}, [{"n": 1}, {"n": 2}], lambda got: got[1].n == 2),
        ({"type": "array", "items": {"type": "array", "items": OBJECT}}, [[{"n": 1}]], lambda got: got[0][0].n == 1),
        ({"type": "object", "additionalProperties": OBJECT}, {"a": {"n": 1}}, lambda got: got["a"].n == 1),
        ({**OBJECT, "additionalProperties": OBJECT}, {"n": 1, "a": {"n": 2}}, lambda got: got["a"].n == 2),
        ({"anyOf": [OBJECT, {"type": "null"}]}, {"n": 1}, lambda got: got.n == 1),
        ({"anyOf": [OBJECT, {"type": "null"}]}, None, lambda got: got is None),
        ({"oneOf": [TEXT, OBJECT]}, {"n": 1}, lambda got: got.n == 1),
        ({"oneOf": [TEXT, OBJECT]}, "x", lambda got: got == "x"),
        ({"type": ["object", "null"], "properties": {"n": WHOLE}}, {"n": 1}, lambda got: got.n == 1),
        ({"type": ["object", "null"], "properties": {"n": WHOLE}}, None, lambda got: got is None),
        ({"properties": {"n": WHOLE}}, [1], lambda got: got == [1]),
        ({"oneOf": [OBJECT, {"type": "object", "required": ["m"]}]}, {"m": 1}, lambda got: got == {"m": 1}),
        (
            {"prefixItems": [{"properties": {"x": {}}}], "items": OBJECT},
            [{"x": 1}, {"n": 1}],
            lambda got: got[0]["x"] == 1,
        ),
        (
            {"patternProperties": {"^x": WHOLE}, "additionalProperties": OBJECT},
            {"x": 1, "y": {"n": 1}},
            lambda got: got["x"] == 1,
        ),
        (True, {"n": 1}, lambda got: got == {"n": 1}),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_values_are_of_the_schemas_own_types(workshop, schema: Any, value: Any, read: Any, required: bool) -> None:
    whole = {"type": "object", "properties": {"v": schema}, "required": ["v"] if required else []}
    payload = workshop.seen(whole)(v=value)
    assert read(payload["v"])
    assert payload.to_dict() == {"v": value}
    result = workshop.answered(whole)({"v": value})
    assert read(result["v"])
    assert result.to_dict() == {"v": value}


@pytest.mark.parametrize(
    ("schema", "value", "read"),
    [
        (TEXT, "x", lambda got: got == "x"),
        ({"type": "array", "items": OBJECT}, [{"n": 1}], lambda got: got[0].n == 1),
        ({"type": "object", "additionalProperties": OBJECT}, {"a": {"n": 1}}, lambda got: got["a"].n == 1),
        ({"type": ["object", "null"], "properties": {"n": WHOLE}}, None, lambda got: got is None),
        ({"anyOf": [{"type": "null"}, OBJECT]}, {"n": 1}, lambda got: got.n == 1),
        ({}, 5, lambda got: got == 5),
    ],
)
def test_a_result_need_not_be_an_object(workshop, schema: Any, value: Any, read: Any) -> None:
    assert read(workshop.answered(schema)(value))


# Defaults


def test_defaults_are_filled_in_at_any_depth(workshop) -> None:
    line = workshop.object("n", n=WHOLE, unit={"default": "kg"})
    schema = workshop.object(
        a={"default": 1},
        b=workshop.object(c={"default": None}),
        lines={"type": "array", "items": line},
        by_name={"type": "object", "additionalProperties": line},
        made={**line, "required": [], "default": {}},
        maybe={"anyOf": [line, {"type": "null"}]},
        plain={},
    )
    act, answer = workshop.seen(schema), workshop.answered(schema)
    for take in (act, answer):
        assert take({}) == {"a": 1, "made": {"unit": "kg"}}
        given = {
            "a": 2,
            "b": {},
            "lines": [{"n": 1}, {"n": 2, "unit": "g"}],
            "by_name": {"x": {"n": 3}},
            "maybe": {"n": 4},
        }
        before = copy.deepcopy(given)
        assert take(given).to_dict() == {
            "a": 2,
            "b": {"c": None},
            "lines": [{"n": 1, "unit": "kg"}, {"n": 2, "unit": "g"}],
            "by_name": {"x": {"n": 3, "unit": "kg"}},
            "made": {"unit": "kg"},
            "maybe": {"n": 4, "unit": "kg"},
        }
        assert given == before  # what was handed over is left alone
        assert take({"maybe": None}).maybe is None


def test_defaults_come_through_ref_and_all_of_and_for_undeclared_properties(workshop) -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/base"}],
        "properties": {"child": {"$ref": "#"}},
        "$defs": {"base": {"type": "object", "properties": {"level": {"default": 1}}}},
    }
    act = workshop.seen(schema)
    assert act({}) == {"level": 1}
    assert act({"child": {"child": {"level": 5}}}) == {"level": 1, "child": {"level": 1, "child": {"level": 5}}}
    others = {"type": "object", "properties": {"n": {}}, "additionalProperties": workshop.object(level={"default": 1})}
    assert workshop.seen(others)({"n": {}, "other": {}}) == {"n": {}, "other": {"level": 1}}


def test_each_call_has_a_default_of_its_own(workshop) -> None:
    act = workshop.caller(
        lambda self, got: [got.tags.append("more"), got.tags][1],
        workshop.object(tags={"type": "array", "default": ["one"]}),
    )
    assert act() == act() == ["one", "more"]


def test_a_default_satisfies_required(workshop) -> None:
    assert workshop.seen(workshop.object("a", a={"type": "integer", "default": 3}))() == {"a": 3}


# Laws

NAMES = st.sampled_from(["a", "b", "class", "self", "x-y", "to_dict", "_extra", "__typename", "__dict__", "ﬁ", "", "é"])
SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 0},
        {"type": ["string", "null"]},
        {"type": "null"},
        {"type": "boolean"},
        {"type": "number"},
        {"enum": [None, 1, "x", {"n": None}]},
        {"const": None},
        {"const": "c"},
        {},
        True,
    ]
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Object schemas of properties from ``inner``."""
    return st.builds(
        lambda properties, required, more, title: {
            "type": "object",
            "properties": properties,
            "required": sorted(set(properties) & required),
            **more,
            **title,
        },
        st.dictionaries(NAMES, inner, max_size=4),
        st.sets(NAMES),
        st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": {"type": ["integer", "null"]}}]),
        st.sampled_from([{}, {"title": "Thing"}, {"title": "class"}]),
    )


SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        objects(inner)
        | st.builds(lambda items: {"type": "array", "items": items, "maxItems": 3}, inner)
        | st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner)
        | st.builds(lambda one: {"allOf": [one]}, inner)
    ),
    max_leaves=6,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
BY_TYPE = {
    "string": st.text(max_size=5),
    "integer": st.integers(0),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "boolean": st.booleans(),
    "null": st.none(),
}


def instances(schema: Any) -> st.SearchStrategy[Any]:
    """What a schema of ``SCHEMAS`` admits."""
    if schema is True or schema == {}:
        return JSON
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if alternatives := schema.get("anyOf") or schema.get("allOf"):
        return st.one_of([instances(one) for one in alternatives])
    if schema["type"] == "array":
        return st.lists(instances(schema["items"]), max_size=3)
    if schema["type"] == "object":
        return object_instances(schema)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([BY_TYPE[kind] for kind in kinds])


def object_instances(schema: Any) -> st.SearchStrategy[Any]:
    values = {name: instances(body) for name, body in schema["properties"].items()}
    required = {name: values[name] for name in schema["required"]}
    optional = {name: value for name, value in values.items() if name not in required}
    declared = st.fixed_dictionaries(required, optional=optional)
    if schema.get("additionalProperties") is False:
        return declared
    more = instances(schema.get("additionalProperties", {}))
    names = (st.text(max_size=4) | NAMES).filter(lambda name: name not in values)
    return st.builds(lambda one, other: {**other, **one}, declared, st.dictionaries(names, more, max_size=2))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_payload_says_what_it_was_made_of(data: st.DataObject) -> None:
    schema = data.draw(objects(SCHEMAS))
    cls = types_of(schema)["ActInput"]
    values = instances(schema)
    for _ in range(3):
        value = data.draw(values)
        payload = cls.from_dict(copy.deepcopy(value))
        assert payload.to_dict() == value
        assert payload == value
        assert copy.copy(payload).to_dict() == copy.deepcopy(payload).to_dict() == value
        assert {name: name in payload for name in value} == dict.fromkeys(value, True)
        assert sorted(payload) == sorted(value)
        assert len(payload) == len(value)
        for name, there in value.items():
            assert payload[name] == there
        for name in schema["properties"]:
            assert (name in payload) is (name in value)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_two_payloads_are_equal_exactly_if_their_json_is(data: st.DataObject) -> None:
    schema = data.draw(objects(SCALARS))
    cls = types_of(schema)["ActInput"]
    values = instances(schema)
    one, other = data.draw(values), data.draw(values)
    assert (cls.from_dict(one) == cls.from_dict(other)) is (one == other)
    assert (cls.from_dict(one) == other) is (one == other)
