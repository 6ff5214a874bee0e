"""Emitted documents say what the hookspec says: round trips over generated hookspecs."""

from __future__ import annotations

import ast
import json
import keyword
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagstack_plugins import HookSpec, HookspecInvalid, PayloadInvalid, PluginRegistry
from dagstack_plugins.kinds.builtin import builtin_hookspecs
from dagstack_plugins.kinds.emit.bundle import CannotEmit, emit_jsonschema
from dagstack_plugins.kinds.emit.markdown import emit_markdown
from dagstack_plugins.kinds.emit.openrpc import emit_openrpc
from dagstack_plugins.kinds.emit.python import emit_python
from dagstack_plugins.kinds.hookspec import build_kind, hookspec_files, read_hookspec
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.kinds.schemas import SchemaFiles
from dagstack_plugins.kinds.yamldoc import YamlDocument

ROOT = Path(__file__).parents[2]
KINDS = [
    read_hookspec(file)
    for folder in (builtin_hookspecs(), ROOT / "examples/code_indexer/kinds", ROOT / "tests/contract/kinds")
    for file in hookspec_files(folder)
]

# --- hookspecs of all sorts -------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "class",
        "self",
        "payload",
        "with space",
        "é",
        "_x",
        "__x__",
        "more",
        "to_dict",
        "Any",
        "list",
        "1st",
        "a/b",
    ]
)
LEAVES = st.sampled_from(
    [
        True,
        {},
        {"type": "string"},
        {"type": "string", "format": "date-time"},
        {"type": ["string", "null"]},
        {"type": "integer", "minimum": 0},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["a", 'with "quotes"', "with ] | bracket"]},
        {"enum": [1, None, True]},
        {"enum": [{"a": 1}, [2], 1.5]},
        {"const": "only"},
        {"type": "object"},
        {"type": "array"},
        {"$ref": "#/$defs/node"},
        {"$ref": "shared.json"},
        {"$ref": "shared.json#/$defs/amount"},
        {"description": 'Ends with \\ and """', "type": "string"},
    ]
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(NAMES, inner, max_size=4)
    return st.one_of(
        st.builds(object_schema, properties, st.sets(NAMES, max_size=3), st.sampled_from([None, True, False])),
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda item: {"type": "object", "additionalProperties": item}, inner),
        st.builds(lambda items: {"anyOf": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items: {"oneOf": items}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda one, two: {"allOf": [one, two]}, inner, inner),
        st.builds(
            lambda title, item: {"title": title, **item},
            st.sampled_from(["Money", "list", "A b"]),
            inner.filter(is_dict),
        ),
    )


TITLES = st.sampled_from(["Money", "list", "A b"])
HOOKS = st.sampled_from(["charge", "refund", "list", "class_", "any"])


def is_dict(value: object) -> bool:
    return isinstance(value, dict)


def object_schema(properties: dict[str, Any], required: set[str], more: bool | None) -> dict[str, Any]:
    made = {"type": "object", "properties": properties, "required": sorted(required & properties.keys())}
    return made if more is None else {**made, "additionalProperties": more}


SCHEMAS = st.recursive(LEAVES, grown, max_leaves=8)
NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "value": {"type": "integer"}}}
SHARED = {
    "type": "object",
    "properties": {"amount": {"$ref": "#/$defs/amount"}, "again": {"$ref": "#"}},
    "$defs": {"amount": {"type": "integer"}},
}


@st.composite
def kinds(draw: st.DrawFn) -> Kind:
    hooks = []
    for name in draw(
        st.lists(st.sampled_from(["charge", "refund", "list", "class_", "any"]), min_size=1, max_size=3, unique=True)
    ):
        dispatch = draw(st.sampled_from(["singleton", "broadcast_collect", "broadcast_notify", "capability"]))
        hook: dict[str, Any] = {"name": name, "dispatch": dispatch}
        properties = draw(st.dictionaries(NAMES, SCHEMAS, max_size=4))
        required = draw(st.sets(NAMES, max_size=3))
        if draw(st.booleans()):
            body = object_schema(properties, required, draw(st.sampled_from([None, False])))
            hook["input_schema"] = {**body, "$defs": {"node": NODE}}
        if draw(st.booleans()):
            output = draw(SCHEMAS)
            hook["output_schema"] = {**(output if is_dict(output) else {}), "$defs": {"node": NODE}}
        for field, values in (("async", [True, False]), ("required", [True, False])):
            if (value := draw(st.sampled_from([None, *values]))) is not None:
                hook[field] = value
        hooks.append(hook)
    declared = {
        "kind": draw(st.sampled_from(["payment", "hook_spec", "x"])),
        "kind_api_version": "1.2.0",
        "hooks": hooks,
    }
    apart = json.loads(json.dumps(declared))  # as a file has it: no two schemas are one object
    return build_kind(YamlDocument(apart, {}, []), SchemaFiles(None, {"shared.json": SHARED}))


def module_of(text: str) -> ModuleType:
    module = ModuleType("emitted")
    exec(compile(text, "emitted.py", "exec"), vars(module))
    return module


def hookspec_of(text: str) -> Any:
    module = module_of(text)
    [found] = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, HookSpec) and one is not HookSpec
    ]
    return found


# --- Python -----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(kinds())
def test_the_emitted_class_gives_the_same_kind(kind: Kind) -> None:
    text = emit_python(kind)
    again = hookspec_of(text)
    assert again.kind.content == kind.content
    assert list(again.kind.hooks) == list(kind.hooks)
    assert emit_python(again.kind) == text
    annotated = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert not [name for name in annotated if keyword.iskeyword(name)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_all_kinds_here_go_there_and_back(kind: Kind) -> None:
    text = emit_python(kind)
    again = hookspec_of(text)
    assert again.kind.content == kind.content
    assert list(again.types) == [name for name in vars(module_of(text)) if name in list(again.types)]


def test_what_is_emitted_works_beside_the_file_it_came_from() -> None:
    kind = next(kind for kind in KINDS if kind.name == "index_store")
    hookspec = hookspec_of(emit_python(kind))
    registry = PluginRegistry()
    assert registry.add_hookspecs(hookspec) == ["index_store"]
    assert kind.file is not None
    assert registry.add_hookspecs(kind.file) == ["index_store"]
    other = PluginRegistry()
    other.add_hookspecs(kind.file)
    assert list(other.types(hookspec)) == list(hookspec.types)
    assert other.types("index_store") is hookspec.types


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_a_class_without_a_declaration_or_with_a_faulty_one() -> None:
    with pytest.raises(HookspecInvalid, match="Empty has no declaration"):
        type("Empty", (HookSpec,), {})
    with pytest.raises(HookspecInvalid, match="did you mean 'dispatch'") as raised:
        type("Odd", (HookSpec,), {"declaration": {"kind": "k", "kind_api_version": "1.0.0", "hooks": [{"dispach": 1}]}})
    assert "'name' is missing" in str(raised.value)


def test_declarations_are_plain_json() -> None:
    hooks = ({"name": "greet", "dispatch": "singleton", "input_schema": "./schemas/a.json"},)
    body = {"declaration": {**declared(), "hooks": hooks}, "schemas": {"./schemas/a.json": {"type": "object"}}}
    assert list(type("Tuples", (HookSpec,), body).kind.hooks) == ["greet"]  # type: ignore[attr-defined]
    with pytest.raises(HookspecInvalid, match="Sets: declaration and schemas are plain JSON"):
        type("Sets", (HookSpec,), {"declaration": {**declared(), "hooks": {1}}})


def test_a_title_that_the_module_needs_itself() -> None:
    inner = {"type": "object", "title": "Mapping", "properties": {"a": {"type": "string"}}}
    schema = {"type": "object", "properties": {"inner": inner}}
    spec = {**declared(), "hooks": [{"name": "go", "dispatch": "singleton", "input_schema": schema}]}
    with pytest.raises(CannotEmit, match="a schema's title is 'Mapping'"):
        emit_python(build_kind(YamlDocument(spec, {}, []), SchemaFiles(None)))


def test_a_module_or_class_that_declares_nothing() -> None:
    registry = PluginRegistry()
    with pytest.raises(HookspecInvalid, match="class str declares no kind"):
        registry.add_hookspecs(str)  # type: ignore[arg-type]
    with pytest.raises(HookspecInvalid, match="module json declares no kind"):
        registry.add_hookspecs(json)
    with pytest.raises(TypeError, match="takes the path of a hookspec"):
        registry.add_hookspecs(3)  # type: ignore[arg-type]


def declared(name: str = "greet") -> dict[str, Any]:
    return {"kind": "greeter", "kind_api_version": "1.0.0", "hooks": [{"name": name, "dispatch": "singleton"}]}


def test_a_class_that_is_stale_is_told() -> None:
    old = type("Old", (HookSpec,), {"declaration": declared()})
    new = type("New", (HookSpec,), {"declaration": declared("welcome")})
    registry = PluginRegistry()
    registry.add_hookspecs(new)
    with pytest.raises(
        HookspecInvalid, match=r"Old declares kind 'greeter' 1\.0\.0 otherwise than the class that was added"
    ):
        registry.get_plugin(old)
    with pytest.raises(HookspecInvalid, match="known with other content"):
        registry.add_hookspecs(old)


def test_references_that_one_document_cannot_say() -> None:
    body = {"type": "object", "properties": {"a": {"$dynamicRef": "#node"}}, "$defs": {"n": {"$dynamicAnchor": "node"}}}
    spec = {
        "kind": "k",
        "kind_api_version": "1.0.0",
        "hooks": [{"name": "go", "dispatch": "singleton", "input_schema": body}],
    }
    kind = build_kind(YamlDocument(spec, {}, []), SchemaFiles(None))
    with pytest.raises(CannotEmit, match=r"hookspec: \$dynamicRef '#node' depends on who refers to it"):
        emit_jsonschema(kind)
    assert "class GoInput(Payload)" in emit_python(kind)


# --- documents --------------------------------------------------------------------------------------------------------

KEYS = NAMES | st.sampled_from(["next", "amount", "value"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "only", "2000-01-01T00:00:00Z", 1.5]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(NAMES | st.sampled_from(["next", "amount", "value"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(kinds(), st.lists(VALUES, min_size=1, max_size=8))
def test_bundled_schemas_admit_the_same(kind: Kind, values: list[Any]) -> None:
    document = json.loads(json.dumps(emit_jsonschema(kind)))
    openrpc = json.loads(json.dumps(emit_openrpc(kind)))
    for hook in kind.hooks.values():
        method = next(one for one in openrpc["methods"] if one["name"] == f"{kind.name}.{hook.name}")
        for side, schema in (("Input", hook.input_schema), ("Output", hook.output_schema)):
            if schema is None:
                continue
            ours = kind.schemas.validator(schema)
            name = "".join(word.capitalize() for word in hook.name.split("_")) + side
            reference = {"$ref": f"#/$defs/{name}", "$defs": document["$defs"]}
            theirs = jsonschema_rs.Draft202012Validator(reference, validate_formats=True)
            for value in values:
                assert theirs.is_valid(value) == ours.is_valid(value)
        for parameter in method["params"]:  # each reference leads somewhere
            jsonschema_rs.Draft202012Validator({**openrpc, "allOf": [parameter["schema"]]})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_page_names_all_hooks_and_properties(kind: Kind) -> None:
    page = emit_markdown(kind)
    for hook in kind.hooks.values():
        assert f"## `{hook.name}`\n" in page
        for schema in (hook.input_schema, hook.output_schema):
            body = schema.body if schema is not None else {}
            for name in body.get("properties", {}) if schema is not hook.output_schema or page else ():
                assert f"| `{name}` | " in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)


def test_payloads_of_the_emitted_class_are_taken_and_given() -> None:
    kind = next(kind for kind in KINDS if kind.name == "index_store")
    module = module_of(emit_python(kind))
    hookspec = hookspec_of(emit_python(kind))

    class Store:
        def files(self, payload: Any) -> Any:
            return {"files": []}

        def save(self, entries: Any, gone: Any) -> None:
            assert type(entries[0]).__name__ == "FileEntry" or entries

        def search(self, word: str) -> Any:
            return {"matches": []}

    registry = PluginRegistry()
    registry.add_hookspecs(hookspec)
    manifest = {"name": "store", "kind": "index_store", "runtime": "in_process", "core_version": ">=0.1"}
    registry.register(Store, manifest)
    with registry.running():
        store = registry.get_plugin(hookspec)
        found = store.sync.search(module.SearchInput(word="a"))
        assert type(found) is module.SearchOutput
        assert registry.kind(hookspec).sync.files({}).files == []
        with pytest.raises(PayloadInvalid):
            store.sync.search(word=3)
        registry.set_active(hookspec, "store")
