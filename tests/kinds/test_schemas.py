"""Where a hook's schemas come from: files beside the hookspec or the hookspec itself, and ``$ref`` between them."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest

from dagstack_plugins.errors import PayloadInvalid

TEXT = {"type": "string"}


@pytest.fixture
def no_network(monkeypatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"something connects to {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def only_fault(workshop, *args: Any, **fields: Any) -> str:
    """The message of the one fault that a hook's schema has."""
    error = workshop.refused(workshop.hook(*args, **fields))
    assert len(error.faults) == 1, error
    assert error.faults[0].line == 1
    assert error.faults[0].path.startswith("hooks[0].input_schema")
    return f"{error.faults[0].path}: {error.faults[0].message}"


# Where schemas come from


def test_no_schema_takes_any_object(workshop) -> None:
    act = workshop.seen()
    assert act() == {}
    assert act(a=1, b=[None]) == {"a": 1, "b": [None]}
    assert act({"class": {"x-y": 1}}) == {"class": {"x-y": 1}}
    assert list(workshop.registry(workshop.hook()).types("sample")) == []


@pytest.mark.parametrize("name", ["in.json", "schemas/in.json", "./schemas/../schemas/in.json", "ünicode/in out.json"])
def test_a_schema_in_a_file(workshop, name: str) -> None:
    act = workshop.seen(name, files={name: workshop.object("a", a=TEXT)})
    assert act("x").a == "x"
    with pytest.raises(PayloadInvalid):
        act(1)


def test_a_schema_file_may_have_a_byte_order_mark(workshop) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(workshop.object("a", a=TEXT)).encode()
    assert workshop.seen("in.json", files={"in.json": body})("x").a == "x"


def test_two_hooks_may_share_a_schema_file(workshop) -> None:
    hooks = [{"name": name, "dispatch": "chain", "input_schema": "in.json"} for name in ("one", "two")]
    types = workshop.registry(workshop.spec(*hooks, files={"in.json": workshop.object(a=TEXT)})).types("sample")
    assert list(types) == ["OneInput", "TwoInput"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no file"),
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "found []"),
        (b'"string"', "found 'string'"),
        (b'{"type": "strin"}', "at type: not a JSON Schema: 'strin'"),
        (b'{"properties": {"a": {"minimum": "1"}}}', "at properties.a.minimum: not a JSON Schema: expected a number"),
        (b'{"required": "a"}', "expected a list"),
        (b'{"pattern": "("}', "regex"),
        (b'{"$schema": "http://json-schema.org/draft-07/schema#"}', "draft-07"),
        (b'{"$schema": 5}', "found 5"),
        (b'{"default": NaN}', "NaN"),
        (b'{"const": -Infinity}', "Infinity"),
        (b'{"const": "\\ud800"}', "surrogate"),
        (b'{"const": ' + b"1" * 5000 + b"}", "4300"),
        (b"[" * 100_000, "recursion"),
        (b'{"items":' * 500 + b"{}" + b"}" * 500, ""),
        (b"false", "False"),
        (b'{"type": "array"}', "array"),
        (b'{"type": ["string", "null"]}', "string"),
    ],
)
def test_a_file_that_holds_no_schema_of_a_payload(workshop, content: bytes | None, said: str) -> None:
    message = only_fault(workshop, "schemas/in.json", files={} if content is None else {"schemas/in.json": content})
    assert "in.json" in message or "a payload is an object" in message
    assert said in message


@pytest.mark.parametrize(
    "name", ["", ".", "schemas", "a\0b.json", "x" * 5000, "/etc/hostname", "../in.json", "a/../../in.json"]
)
def test_names_that_are_no_file_of_the_kinds_folder(workshop, name: str) -> None:
    workshop.text("{}", "in.json")
    only_fault(workshop, name, files={"schemas/x.json": {}})


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_symbolic_links_do_not_lead_out_of_the_folder(workshop) -> None:
    workshop.text("{}", "outside.json")
    (workshop.folder / "sample").mkdir()
    (workshop.folder / "sample/out.json").symlink_to("../outside.json")
    (workshop.folder / "sample/loop.json").symlink_to("loop.json")
    (workshop.folder / "sample/in.json").symlink_to("real.json")
    assert "outside the kind's folder" in only_fault(workshop, "out.json")
    only_fault(workshop, "loop.json")
    assert workshop.seen("in.json", files={"real.json": workshop.object(a=TEXT)})("x").a == "x"


def test_all_slips_of_a_schema_are_told(workshop) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "strin"}, "b": {"minimum": "x"}, "c": {"$ref": "#/none"}}}
    inline = workshop.refused(workshop.hook(schema))
    assert [fault.path for fault in inline.faults] == [
        "hooks[0].input_schema.properties.a.type",
        "hooks[0].input_schema.properties.b.minimum",
    ]
    in_file = workshop.refused(workshop.hook("in.json", files={"in.json": schema}))
    assert ["in.json, at properties.a.type" in fault.message for fault in in_file.faults] == [True, False]
    assert "in.json, at properties.b.minimum" in in_file.faults[1].message


def test_an_inline_schema_tells_the_line_of_the_slip(workshop) -> None:
    text = (
        "kind: sample\nkind_api_version: 1.0.0\nhooks:\n  - name: act\n    dispatch: singleton\n    input_schema:\n"
        "      type: object\n      properties:\n        a:\n          $ref: '#/$defs/none'\n"
        "        b:\n          default: 5\n          type: string\n"
    )
    (fault,) = workshop.refused(workshop.text(text)).faults
    assert fault.line == 10
    (fault,) = workshop.refused(workshop.text(text.replace("#/$defs/none", "#/properties/b"))).faults
    assert (fault.line, fault.path) == (12, "hooks[0].input_schema.properties.b.default")


@pytest.mark.parametrize("where", ["inline", "file", "deep"])
def test_a_default_that_its_own_schema_refuses(workshop, where: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"type": "string", "default": 5}},
    }
    files = {"in.json": schema, "top.json": {"$ref": "in.json"}}
    given = {"inline": schema, "file": "in.json", "deep": "top.json"}[where]
    assert "expected a string, found 5" in only_fault(workshop, given, files=files)


def test_a_property_called_default_is_no_default(workshop) -> None:
    assert workshop.seen(workshop.object(default={"type": "integer"}, const={}))(5).default == 5


# $ref


TREE = {
    "type": "object",
    "properties": {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
    "additionalProperties": False,
}


def both(schema: Any) -> list[Any]:
    """A schema inline, and in a file."""
    return [
        pytest.param(schema, {}, id="inline"),
        pytest.param("schemas/in.json", {"schemas/in.json": schema}, id="file"),
    ]


@pytest.mark.parametrize(("schema", "files"), both(TREE))
def test_a_schema_may_contain_itself(workshop, schema: Any, files: Any) -> None:
    act = workshop.seen(schema, files=files)
    root = act(name="a", children=[{"name": "b", "children": [{"name": "c"}]}])
    assert root.children[0].children[0].name == "c"
    assert type(root.children[0].children[0]) is type(root)
    with pytest.raises(PayloadInvalid) as caught:
        act(name="a", children=[{"name": "b", "children": [{"nam": "c"}]}])
    assert caught.value.path == "$.children[0].children[0]"


CHAINED = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}, "d": {"$ref": "#here"}},
    "$defs": {
        "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
        "B": {"type": "object", "properties": {"c": {"$ref": "#/$defs/a~1b~0%25"}}},
        "a/b~%": {"$anchor": "here", "type": "object", "properties": {"e": {"type": "integer"}}, "required": ["e"]},
    },
}


@pytest.mark.parametrize(("schema", "files"), both(CHAINED))
def test_defs_and_anchors_at_any_depth(workshop, schema: Any, files: Any) -> None:
    act = workshop.seen(schema, files=files)
    payload = act(a={"b": {"c": {"e": 1}}}, d={"e": 2})
    assert (payload.a.b.c.e, payload.d.e) == (1, 2)
    assert type(payload.d) is type(payload.a.b.c)
    with pytest.raises(PayloadInvalid) as caught:
        act(a={"b": {"c": {"e": "1"}}})
    assert caught.value.path == "$.a.b.c.e"


def test_references_between_files_start_from_their_own(workshop) -> None:
    files = {
        "schemas/in.json": {
            "type": "object",
            "properties": {"m": {"$ref": "common/money.json"}, "i": {"$ref": "../top.json#/$defs/id"}},
        },
        "schemas/common/money.json": {
            "type": "object",
            "properties": {"currency": {"$ref": "currency.json"}, "n": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "integer"}},
        },
        "schemas/common/currency.json": {"enum": ["EUR", "USD"]},
        "top.json": {"$defs": {"id": {"type": "string", "minLength": 2}}},
    }
    act = workshop.seen("schemas/in.json", files=files)
    assert act(m={"currency": "EUR", "n": 3}, i="ab").m.currency == "EUR"
    for wrong in ({"m": {"currency": "XXX"}}, {"m": {"n": "3"}}, {"i": "a"}):
        with pytest.raises(PayloadInvalid):
            act(wrong)


def test_an_inline_schema_refers_to_files_beside_the_hookspec(workshop) -> None:
    act = workshop.seen(
        {"type": "object", "properties": {"a": {"$ref": "schemas/a.json"}}}, files={"schemas/a.json": TEXT}
    )
    assert act("x").a == "x"
    with pytest.raises(PayloadInvalid):
        act(1)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("inline", [True, False])
def test_an_id_at_the_top_changes_nothing(workshop, inline: bool) -> None:
    schema = {
        "$id": "https://example.com/in.json",
        "type": "object",
        "properties": {"a": {"$ref": "a.json"}, "b": {"$ref": "#/$defs/b"}},
        "$defs": {"b": TEXT},
    }
    act = workshop.seen(schema if inline else "in.json", files={"in.json": schema, "a.json": {"$id": "x:y", **TEXT}})
    assert act("x", "y") == {"a": "x", "b": "y"}


def test_an_id_further_down_is_refused(workshop) -> None:
    schema = {"type": "object", "properties": {"a": {"$id": "https://example.com/a", "type": "string"}}}
    assert "'$id'" in only_fault(workshop, schema)


LEAVING = [
    "http://example.com/a.json",
    "https://example.com/a.json#/$defs/a",
    "file:///etc/passwd",
    "//example.com/a.json",
    "/etc/passwd",
    "../outside.json",
    "%2e%2e/outside.json",
    "a/../../outside.json",
    "urn:example:a",
    "kind:///in.json",
    "json-schema:///a",
]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("ref", LEAVING)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_references_do_not_leave_the_folder(workshop, ref: str, keyword: str, depth: int) -> None:
    """At any distance from the hookspec: inline, in its schema's file, in a file that this one refers to."""
    workshop.text("{}", "outside.json")
    bad = {"type": "object", "properties": {"a": {keyword: ref}}}
    files = [{}, {"in.json": bad}, {"in.json": {"$ref": "next.json"}, "next.json": bad}][depth]
    message = only_fault(workshop, "in.json" if files else bad, files=files)
    assert keyword in message
    assert "folder" in message


@pytest.mark.parametrize(
    "ref", ["#/$defs/none", "#none", "none.json", "there.json#/$defs/none", "#/properties/a/enum/5", "#/properties/~2"]
)
@pytest.mark.parametrize("place", ["properties", "definitions", "items", "allOf", "beyond"])
def test_references_to_nothing(workshop, ref: str, place: str) -> None:
    bad = {"$ref": ref}
    schema = {
        "properties": {"properties": {"b": bad}},
        "definitions": {"definitions": {"b": bad}},
        "items": {"properties": {"a": {"items": {"items": bad}}}},
        "allOf": {"allOf": [{"properties": {"b": bad}}]},
        "beyond": {"x-own": {"deep": {"properties": {"c": bad}}}, "properties": {"b": {"$ref": "#/x-own/deep"}}},
    }[place]
    message = only_fault(workshop, {"type": "object", **schema}, files={"there.json": TEXT})
    assert "$ref" in message


def test_a_faulty_file_that_is_only_referred_to(workshop) -> None:
    files = {"in.json": {"type": "object", "properties": {"a": {"$ref": "a.json"}}}, "a.json": {"type": "strin"}}
    assert "a.json, at type" in only_fault(workshop, "in.json", files=files)


ENDLESS = {
    "itself": {"$ref": "#"},
    "through allOf": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "through anyOf": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}},
    },
    "in a ring": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "through files": {"$ref": "one.json"},
}


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize("inline", [True, False])
def test_references_in_circles_end(workshop, schema: Any, inline: bool) -> None:
    files = {"in.json": schema, "one.json": {"$ref": "two.json"}, "two.json": {"$ref": "one.json"}}
    act = workshop.seen(schema if inline else "in.json", files=files)
    assert act(b=1) == {"b": 1}


def test_all_of_many_is_quick(workshop) -> None:
    """Each level refers twice to the next: two to the power of thirty ways down."""
    defs: dict[str, Any] = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(30)}
    defs["l30"] = {"properties": {"a": TEXT}}
    types = workshop.types(
        "in.json", files={"in.json": {"type": "object", "allOf": [{"$ref": "#/$defs/l0"}], "$defs": defs}}
    )
    assert list(types) == ["ActInput"]


# What they check


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [
        ("date-time", "2024-01-01T00:00:00Z", "2024-01-01"),
        ("date", "2024-02-29", "2023-02-29"),
        ("email", "a@example.com", "a"),
        ("uuid", "12345678-1234-1234-1234-123456789abc", "1234"),
        ("uri", "https://example.com/a", "not a uri"),
        ("ipv4", "127.0.0.1", "300.0.0.1"),
        ("regex", "a+", "("),
    ],
)
def test_formats_are_checked(workshop, format: str, good: str, bad: str) -> None:
    schema = workshop.object("a", a={"type": "string", "format": format})
    act, answer = workshop.seen(schema), workshop.answered(schema)
    assert act(good).a == good
    assert answer({"a": good}).a == good
    for wrong in (lambda: act(bad), lambda: answer({"a": bad})):
        with pytest.raises(PayloadInvalid, match=format) as caught:
            wrong()
        assert caught.value.path == "$.a"


def test_an_unknown_format_is_only_a_note(workshop) -> None:
    assert workshop.seen(workshop.object(a={"type": "string", "format": "own"}))("x").a == "x"


def test_the_whole_of_2020_12_is_there(workshop) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "allOf": [{"properties": {"b": TEXT}}],
        "dependentRequired": {"a": ["b"]},
        "unevaluatedProperties": False,
    }
    act = workshop.seen(schema)
    assert act(a=1, b="x") == {"a": 1, "b": "x"}
    for wrong in ({"a": 1}, {"b": "x", "c": 1}):
        with pytest.raises(PayloadInvalid):
            act(wrong)
