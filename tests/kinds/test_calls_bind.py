"""How hooks are called, what is checked on the way in and out, and what is said when it does not fit."""

from __future__ import annotations

import asyncio
import gc
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagstack_plugins import PluginRegistry
from dagstack_plugins.errors import PayloadInvalid, PluginRegistryError

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
SCHEMA = {"type": "object", "properties": {"a": WHOLE, "b": TEXT, "class": WHOLE}, "required": ["a"]}
CLOSED = {**SCHEMA, "additionalProperties": False}


def refused(call: Any, *args: Any, **kwargs: Any) -> PayloadInvalid:
    with pytest.raises(PayloadInvalid) as caught:
        call(*args, **kwargs)
    return caught.value


# The forms of a call


@pytest.fixture
def act(workshop) -> Any:
    return workshop.seen(SCHEMA)


def test_all_forms_make_the_same_payload(workshop, act) -> None:
    made = workshop.types(SCHEMA)
    for payload in (
        act(1, "x"),
        act(1, b="x"),
        act(b="x", a=1),
        act({"a": 1, "b": "x"}),
        act(types.MappingProxyType({"b": "x", "a": 1})),
        act(made.ActInput(1, "x")),
        act(made.ActInput.from_dict({"a": 1, "b": "x"})),
        act(act(1, "x")),
    ):
        assert payload == {"a": 1, "b": "x"}
        assert list(payload) == ["a", "b"]
        assert type(payload) is type(act(1))


def test_a_payload_object_of_another_class_counts_by_its_content(workshop, act) -> None:
    other = workshop.types(workshop.object(b=TEXT, a=WHOLE, own={})).ActInput
    payload = act(other("x", 1, own=[2]))
    assert payload == {"a": 1, "b": "x", "own": [2]}
    assert type(payload) is type(act(1))
    assert refused(act, other("x")).path == "$"


def test_a_mapping_is_the_whole_payload_only_if_it_stands_alone(workshop) -> None:
    act = workshop.seen(workshop.object(a={"type": "object"}, b={}))
    assert act({"b": 1}) == {"b": 1}
    assert act({"x": 1}, 2) == {"a": {"x": 1}, "b": 2}
    assert act({"x": 1}, b=2) == {"a": {"x": 1}, "b": 2}
    assert act(a={"x": 1}) == {"a": {"x": 1}}


def test_an_empty_mapping_is_a_payload(workshop) -> None:
    assert workshop.seen(workshop.object(a={}))({}) == {}
    assert refused(workshop.seen(SCHEMA), {}).path == "$"


def test_too_many_arguments(act) -> None:
    error = refused(act, 1, "x", 2, 3)
    assert "at most 3" in str(error)
    assert "4 were given" in str(error)
    assert (error.side, error.path) == ("input", "$")


@pytest.mark.parametrize(
    "arguments",
    [((1,), {"a": 1}), ((1, "x"), {"b": "y"}), ((1, "x", 2), {"class_": 2}), ((), {"class": 1, "class_": 1})],
)
def test_an_argument_given_twice(act, arguments: Any) -> None:
    args, kwargs = arguments
    error = refused(act, *args, **kwargs)
    assert "twice" in str(error)
    assert error.path in ("$.a", "$.b", "$.class")


def test_a_property_named_like_a_keyword_goes_by_either_name(act) -> None:
    assert act(1, "x", class_=2) == act(1, "x", **{"class": 2}) == act(1, "x", 2) == {"a": 1, "b": "x", "class": 2}
    assert act(1, class_=2).class_ == 2


def test_a_positional_mapping_is_never_renamed(act) -> None:
    assert act({"a": 1, "class_": 2}) == {"a": 1, "class_": 2}


def test_keywords_beyond_the_properties_join_where_the_schema_admits_them(workshop, act) -> None:
    assert act(1, own=[1], **{"x-y": 2}) == {"a": 1, "own": [1], "x-y": 2}
    error = refused(workshop.seen(CLOSED), 1, own=[1])
    assert "'own'" in str(error)


def test_without_properties_there_is_one_mapping_or_keywords(workshop) -> None:
    act = workshop.seen()
    assert act() == {}
    assert act({"a": 1}) == act(a=1) == {"a": 1}
    for wrong in (([],), (1,), ("x",), (None,), ({}, {})):
        assert "one mapping, or keywords" in str(refused(act, *wrong))


@pytest.mark.parametrize("wrong", [[], "x", 5.5, None, [("a", 1)], {"a"}, object()])
def test_other_things_are_no_whole_payload(workshop, wrong: Any) -> None:
    assert refused(workshop.seen(SCHEMA), wrong).path == "$.a"


def test_the_callers_data_is_not_changed_by_the_call(workshop) -> None:
    schema = workshop.object(a={"default": 1}, when={"type": "string"}, pair={})
    given = {"pair": (1, 2), "deep": {"list": [(1,)]}}
    before = {"pair": (1, 2), "deep": {"list": [(1,)]}}
    assert workshop.seen(schema)(given) == {"a": 1, "pair": [1, 2], "deep": {"list": [[1]]}}
    assert given == before
    act = workshop.caller(lambda self, payload: payload.update(more=1))
    given = {"a": 1}
    act(given)
    assert given == {"a": 1}


PROPERTIES = ["a", "b", "c", "class", "self_", "x"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_position_keyword_and_mapping_say_the_same(workshop, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(PROPERTIES), unique=True, min_size=1))
    required = data.draw(st.sets(st.sampled_from(names)))
    with_default = data.draw(st.sets(st.sampled_from(names)))
    bodies = {
        name: {"type": ["integer", "null"], **({"default": 99} if name in with_default else {})} for name in names
    }
    registry = PluginRegistry()
    registry.add_hookspecs(
        workshop.hook(
            {"type": "object", "properties": bodies, "required": sorted(required), "additionalProperties": False}
        )
    )
    load = registry.slot("sample").compiled.codecs["act"].load
    values = {name: data.draw(st.integers() | st.none()) for name in names}
    first_absent = next((index for index, name in enumerate(names) if name not in required), len(names))
    count = data.draw(st.integers(first_absent, len(names)))
    positional = [values[name] for name in names[:count]]
    kept = {name: values[name] for name in names[:count]}
    kept |= {name: values[name] for name in names[count:] if name in required or data.draw(st.booleans())}
    keywords = {name: value for name, value in kept.items() if name not in names[:count]}
    cls = registry.types("sample").ActInput
    forms = [
        load(tuple(positional), dict(keywords)),
        load((), dict(kept)),
        load((dict(kept),), {}),
        load((cls.from_dict(kept),), {}),
        load((), {f"{name}_" if name == "class" else name: value for name, value in kept.items()}),
    ]
    expected = {**dict.fromkeys(with_default, 99), **kept}
    for payload in forms:
        assert type(payload) is cls
        assert payload.to_dict() == expected


# What is checked


def test_a_fault_says_where_and_what(workshop) -> None:
    schema = workshop.object("items", items={"type": "array", "items": workshop.object("n", n=WHOLE)})
    registry = workshop.running(workshop.hook(schema, schema), lambda self, items: {"items": [{"n": 1}, {"n": "two"}]})
    act = registry.get_plugin("sample").act
    error = refused(act, [{"n": 1}, {"n": "2"}, {}])
    assert (error.kind, error.hook, error.plugin, error.side, error.path) == (
        "sample",
        "act",
        None,
        "input",
        "$.items[1].n",
    )
    assert [fault.path for fault in error.faults] == ["$.items[1].n", "$.items[2]"]
    assert "sample.act" in str(error)
    assert "$.items[1].n: expected an integer, found '2'" in str(error)
    assert isinstance(error, PluginRegistryError)
    error = refused(act, [])
    assert (error.kind, error.hook, error.plugin, error.side, error.path) == (
        "sample",
        "act",
        "p0",
        "output",
        "$.items[1].n",
    )
    assert "'p0'" in str(error)


def test_what_a_hook_takes_is_shown_with_a_fault(act) -> None:
    assert "it takes: a, [b], [class]" in str(refused(act))


def test_a_chain_names_the_plugin_that_passed_something_wrong_on(workshop) -> None:
    def act(self, payload):
        return {"a": "x"}

    registry = workshop.running(workshop.hook(SCHEMA, dispatch="chain"), act, act)
    error = refused(registry.kind("sample").act, 1)
    assert (error.plugin, error.side, error.path) == ("p0", "input", "$.a")


@pytest.mark.parametrize("method_is_async", [True, False])
async def test_async_calls_are_checked_alike(workshop, method_is_async: bool) -> None:
    async def coroutine_function(self, a):
        return {"a": "x" if a else 1}

    def function(self, a):
        return {"a": "x" if a else 1}

    registry = workshop.registry(workshop.hook(SCHEMA, SCHEMA, **{"async": True}))
    plugin = type("Plugin", (), {"act": coroutine_function if method_is_async else function})
    workshop.register(registry, plugin)
    async with registry.running():
        proxy = registry.get_plugin("sample")
        assert await proxy.act(0) == {"a": 1}
        for call, side in ((proxy.act, "input"), (lambda _: proxy.act(1), "output")):
            with pytest.raises(PayloadInvalid) as caught:
                await call("x")
            assert caught.value.side == side


MODES = ["all", "input", "off"]


def test_all_checks_both_input_only_input_and_off_nothing(workshop) -> None:
    schema = workshop.object("a", a=WHOLE, b={"default": 5})

    def act(self, payload):
        seen.append(payload)
        return {"a": "wrong"} if payload["a"] == 1 else {"a": 2}

    for mode in MODES:
        seen: list[Any] = []
        registry = workshop.running(workshop.hook(schema, schema), act, validate=mode)
        call, own = registry.get_plugin("sample").act, registry.types("sample")
        if mode == "all":
            assert refused(call, "x").side == "input"
            assert refused(call, 1).side == "output"
            assert call(2) == {"a": 2, "b": 5}
            assert type(call(2)) is own.ActOutput
            assert seen[0] == {"a": 1, "b": 5}
            assert type(seen[0]) is own.ActInput
        elif mode == "input":
            assert refused(call, "x").side == "input"
            assert call(1) == {"a": "wrong"}
            assert call(2) == {"a": 2}
            assert type(call(1)) is own.ActOutput
            assert seen[0] == {"a": 1, "b": 5}
        else:
            assert call("x") == {"a": 2}
            assert call(1) == {"a": "wrong"}
            assert type(call(1)) is dict
            assert seen[:2] == [{"a": "x"}, {"a": 1}]
            assert type(seen[0]) is dict
            given = own.ActInput(7)
            call(given)
            assert seen[-1] is given
            nan = {"a": float("nan"), "set": {1}}
            call(nan)
            assert seen[-1] == nan


def test_the_mode_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="'off'"):
        PluginRegistry(validate="none")


def test_arguments_that_cannot_be_bound_are_refused_even_if_nothing_is_checked(workshop) -> None:
    act = workshop.seen(SCHEMA, validate="off")
    assert refused(act, 1, 2, 3, 4).side == "input"
    assert refused(act, 1, a=1).side == "input"


def test_an_input_fault_never_reaches_the_plugin(workshop) -> None:
    calls: list[Any] = []
    act = workshop.caller(lambda self, payload: calls.append(payload), SCHEMA)
    refused(act, "x")
    assert calls == []


# What goes in and comes out


@dataclass
class Point:
    x: int
    y: int = 2
    tags: tuple[str, ...] = ()


@attrs.frozen
class Attributed:
    x: int
    _hidden: str = "h"


@dataclass
class Outer:
    point: Point
    rest: dict[str, Any] = field(default_factory=dict)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Pair(NamedTuple):
    one: int
    two: int


class OwnMapping(Mapping[str, Any]):
    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


class Failing(OwnMapping):
    def __getitem__(self, name: str) -> Any:
        raise RuntimeError("boom")


@attrs.define
class Unfinished:
    x: int = attrs.field(init=False)


GOOD = [
    (Point(1), {"x": 1, "y": 2, "tags": []}),
    (
        Outer(Point(1, tags=("a",)), {"p": Point(3)}),
        {"point": {"x": 1, "y": 2, "tags": ["a"]}, "rest": {"p": {"x": 3, "y": 2, "tags": []}}},
    ),
    (Attributed(1), {"x": 1, "hidden": "h"}),
    (OwnMapping({"a": (1, 2)}), {"a": [1, 2]}),
    ({Text("k"): Text("v")}, {"k": "v"}),
    ({"list": [Colour.RED, Level.HIGH, Word.YES, Count(4), True, None]}, {"list": ["red", 3, "yes", 4, True, None]}),
    ({Word.YES: Pair(1, 2)}, {"yes": [1, 2]}),
    (
        {"big": 10**4000, "float": 1e308, "small": 5e-324, "zero": -0.0},
        {"big": 10**4000, "float": 1e308, "small": 5e-324, "zero": -0.0},
    ),
    ({"\U0001f600": "é", "": "\0"}, {"\U0001f600": "é", "": "\0"}),
]


@pytest.mark.parametrize(("value", "told"), GOOD, ids=range(len(GOOD)))
def test_what_has_a_form_in_json(workshop, value: Any, told: Any) -> None:
    act, answer = workshop.seen(workshop.object(v={})), workshop.answered(workshop.object(v={}))
    assert act(v=value) == {"v": told}
    assert act({"v": [value]}) == {"v": [told]}
    assert answer({"v": value}) == {"v": told}
    whole = workshop.answered({"type": "object"})(value)
    assert whole == told
    assert type(whole) is dict


def cycle() -> Any:
    ring: dict[str, Any] = {}
    ring["a"] = [ring]
    return ring


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


BAD = [
    (float("nan"), "", "nan"),
    ([1, float("inf")], "[1]", "inf"),
    ({"x": {"y": -float("inf")}}, ".x.y", "inf"),
    ("\ud800", "", "surrogate"),
    (Text("\udfff"), "", "surrogate"),
    ({"\ud800": 1}, "", "surrogate"),
    ({1: 2}, "", "key 1"),
    ({None: 2}, "", "key None"),
    ({"x": {(1, 2): 3}}, ".x", "(1, 2)"),
    ({1, 2}, "", "a set"),
    (frozenset(), "", "a frozenset"),
    (b"x", "", "a bytes"),
    (bytearray(b"x"), "", "a bytearray"),
    (1j, "", "a complex"),
    (object(), "", "an object"),
    (int, "", "class int"),
    (Point, "", "class Point"),
    (print, "", "builtin"),
    (iter([]), "", "a list_iterator"),
    (range(3), "", "a range"),
    (10**5000, "", "digits"),
    (-(10**5000), "", "digits"),
    (Count(10**5000), "", "digits"),
    (cycle(), "", "contains itself"),
    (deep(100_000), "", "deeply"),
    (Outer(Point(1), {"s": {1}}), ".rest.s", "a set"),
    (Failing({"a": 1}), None, "boom"),
    (Unfinished(), None, "'x'"),
]


@pytest.mark.parametrize(
    ("value", "path", "said"), BAD, ids=[f"{index}-{said}" for index, (_, _, said) in enumerate(BAD)]
)
def test_what_has_none(workshop, value: Any, path: str | None, said: str) -> None:
    act, answer = workshop.seen(workshop.object(v={})), workshop.answered(workshop.object(v={}))
    for error, side in ((refused(act, v=value), "input"), (refused(answer, {"v": value}), "output")):
        assert error.side == side
        assert said in str(error)
        if path is not None and "deeply" not in str(error):
            assert error.path == f"$.v{path}"
    assert refused(workshop.seen(), v=value).side == "input"
    assert refused(workshop.answered({}), value).side == "output"


def test_a_mapping_that_fails_is_a_fault_of_the_payload(act) -> None:
    error = refused(act, Failing({"a": 1}))
    assert "boom" in str(error)
    assert error.side == "input"


@pytest.mark.parametrize(
    "limit",
    [{"maximum": 5}, {"type": "string"}, {"type": "null"}, {"multipleOf": 2}, {"enum": [1]}, {"type": "integer"}],
)
@pytest.mark.parametrize("digits", [4300, 4301, 5001])
def test_no_number_is_too_large_to_be_refused(workshop, limit: Any, digits: int) -> None:
    act, number = workshop.seen(workshop.object(v=limit)), 10 ** (digits - 1)
    fits = digits == 4300 and limit in ({"multipleOf": 2}, {"type": "integer"})
    if fits:
        assert act(v=number).v == number
    else:
        assert refused(act, v=number).path == "$.v"


def test_a_recursive_payload_too_deep_for_anyone(workshop) -> None:
    act = workshop.seen({"type": "object", "properties": {"next": {"$ref": "#"}}})
    value: dict[str, Any] = {}
    for _ in range(5_000):
        value = {"next": value}
    assert refused(act, value).side == "input"


def test_long_values_are_cut_in_messages(act) -> None:
    assert len(str(refused(act, "x" * 100_000))) < 500


# Results


@pytest.mark.parametrize("value", [None, [], "x", 5, [{"a": 1}], {"a": "1"}, {"b": "x"}, {"a": None}])
def test_results_of_the_wrong_shape(workshop, value: Any) -> None:
    assert refused(workshop.answered(SCHEMA), value).side == "output"


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), None, lambda: 1, Point(1), {"a": (1,)}])
def test_without_output_schema_a_result_is_handed_back_as_it_is(workshop, value: Any) -> None:
    assert workshop.answered(None)(value) is value


def test_whatever_object_a_plugin_makes_the_caller_gets_the_kinds_own_type(workshop) -> None:
    schema = workshop.object("x y", x=WHOLE, y=WHOLE, tags={"type": "array"})
    answer = workshop.answered(schema)
    theirs = workshop.types(workshop.object(y=WHOLE, x=WHOLE)).ActInput
    results = [
        answer(value) for value in (Point(1), {"x": 1, "y": 2, "tags": []}, OwnMapping({"y": 2, "x": 1, "tags": ()}))
    ]
    results.append(answer(theirs.from_dict({"x": 1, "y": 2, "tags": []})))
    for result in results:
        assert result == results[0] == {"x": 1, "y": 2, "tags": []}
        assert type(result) is type(results[0])
        assert (result.x, result["y"], result.tags) == (1, 2, [])


def test_a_plugin_may_hand_its_input_on(workshop) -> None:
    registry = workshop.running(workshop.hook(SCHEMA, SCHEMA), lambda self, payload: payload)
    result = registry.get_plugin("sample").act(1, "x")
    assert type(result) is registry.types("sample").ActOutput
    assert result == {"a": 1, "b": "x"}


@pytest.mark.parametrize("schema", [SCHEMA, {}])
def test_a_coroutine_that_nobody_awaits_is_refused_and_closed(workshop, schema: Any) -> None:
    async def coroutine() -> dict[str, Any]:
        return {"a": 1}

    error = refused(workshop.answered(schema), coroutine())
    assert "async def" in str(error)
    refused(workshop.answered(schema), {"a": 1, "more": [coroutine()]})
    gc.collect()  # a coroutine left open would warn here, and warnings are errors


def test_a_future_that_nobody_awaits(workshop) -> None:
    loop = asyncio.new_event_loop()
    try:
        assert "awaits" in str(refused(workshop.answered({}), loop.create_future()))
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [({"nme": "Ada"}, "'name' is missing (is it 'nme'?)"), ({"name": "Ada", "polit": True}, "did you mean 'polite'?")],
)
def test_slips_of_the_pen_are_recognised(workshop, given: dict[str, Any], said: str) -> None:
    schema = workshop.object("name", name={"type": "string"}, polite={"type": "boolean", "default": True})
    registry = workshop.running(
        workshop.hook({**schema, "additionalProperties": False}), lambda self, everything: everything
    )
    with pytest.raises(PayloadInvalid) as caught:
        registry.get_plugin("sample").act(**given)
    assert said in str(caught.value)
