"""Reading, checking and describing one manifest."""

from __future__ import annotations

import doctest
import errno
import json
import math
import os
import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, meta

from dagstack_plugins import manifest as manifest_module
from dagstack_plugins.errors import ManifestInvalid
from dagstack_plugins.manifest import (
    MANIFEST_FILES,
    ChainWrap,
    Dependency,
    McpHttp,
    McpStdio,
    PluginManifest,
    ResourceNeeds,
    UnitOfWork,
    find_manifest,
    load_manifest,
    manifest_schema,
)

MINIMAL: dict[str, Any] = {"name": "echo", "kind": "tool", "core_version": ">=0.1.0,<1.0.0", "runtime": "in_process"}

TOML = """\
[plugin]
name = "echo"
kind = "tool"
core_version = ">=0.1.0,<1.0.0"
runtime = "in_process"
"""

FULL = """\
[plugin]
schema_version = "1"
name = "echo-2"
kind = "horizontal_middleware"
kind_api_version = "1.2.3"
core_version = ">=0.1.0,<1.0.0"
runtime = ["in_process", "mcp_stdio", "mcp_http"]
entry_point = "sub.module:Echo"
version = "0.1.0"
description = "Fixed — says it again."
license = "Apache-2.0"
homepage = "https://example.com"
maintainer = "Ada"
authors = ["Ada", "Grace"]
keywords = ["echo"]
priority = 1000
depends_on = ["fixed", { kind = "chunker", name = "echo-2" }]
trylast = true
startup_timeout_sec = 0.5
teardown_timeout_sec = 20
call_timeout_sec = 7
max_concurrency = 4
execution_model = "thread_cpu_bound"
supports_languages = ["python"]
supports_extensions = [".py", "pyi"]
supports_mime_types = ["text/*"]
supports = { region = ["eu"] }
capabilities = ["pii"]
fallback = true

[plugin.config_schema]
type = "object"

[plugin.resources]
required = ["clock", "rng"]
optional = ["http_client"]

[plugin.unit_of_work]
declared = true
partition_key = "tenant"
estimated_duration_sec = 90
idempotency_mode = "output_hash"
checkpointable = true
content_hash = ["text"]

[plugin.mcp_stdio]
command = ["python", "server.py"]
working_dir = "server"
env = { LANG = "C" }
inherit_env = ["PATH"]
startup_timeout_sec = 5
max_restarts = 0
backoff_sec = 0

[plugin.mcp_http]
url = "https://tools.example.com/mcp"
auth_header = "Authorization"
auth_secret_env = "TOKEN"
timeout_sec = 1.5
tls_ca_bundle = "ca.pem"
tls_verify = false
max_retries = 1
backoff_sec = 2

[plugin.chain_wrap]
kinds = ["tool"]
hooks = "*"

[plugin.contract]
examples = { before = [{ kind = "tool" }], after = { kind = "tool" } }
config = { size = 3 }
excused = { determinism = "asks a model" }

[plugin.metadata]
released = 2024-05-01T00:00:00Z
"""


def faults_of(data: Any, **kwargs: Any) -> list[tuple[str, str]]:
    with pytest.raises(ManifestInvalid) as caught:
        PluginManifest.from_dict(data, **kwargs)
    return [(fault.path, fault.message) for fault in caught.value.faults]


def load_error(path: Path) -> ManifestInvalid:
    with pytest.raises(ManifestInvalid) as caught:
        load_manifest(path)
    return caught.value


def write(folder: Path, text: str | bytes, name: str = "dagstack.toml") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


# --- What a manifest says ---------------------------------------------------------------------------------------------


def test_a_minimal_manifest_has_the_documented_defaults(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, TOML))

    assert manifest == PluginManifest(
        name="echo",
        kind="tool",
        core_version=">=0.1.0,<1.0.0",
        runtime=("in_process",),
        file=tmp_path / "dagstack.toml",
        folder=tmp_path,
    )
    assert manifest.key == ("tool", "echo")
    assert (manifest.startup_timeout_sec, manifest.teardown_timeout_sec, manifest.call_timeout_sec) == (30, 15, None)
    assert manifest.resources.declared == frozenset()
    assert manifest.chain_wrap == ChainWrap(kinds=("*",), hooks=("*",))


def test_every_field_arrives(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, FULL))

    assert manifest.runtime == ("in_process", "mcp_stdio", "mcp_http")
    assert manifest.depends_on == (Dependency(None, "fixed"), Dependency("chunker", "echo-2"))
    assert [str(need) for need in manifest.depends_on] == ["fixed", "chunker/echo-2"]
    assert manifest.resources == ResourceNeeds(required=("clock", "rng"), optional=("http_client",))
    assert manifest.resources.declared == {"clock", "rng", "http_client"}
    assert manifest.unit_of_work == UnitOfWork(
        declared=True,
        partition_key="tenant",
        estimated_duration_sec=90,
        idempotency_mode="output_hash",
        checkpointable=True,
        content_hash=("text",),
    )
    assert manifest.mcp_stdio == McpStdio(
        command=("python", "server.py"),
        working_dir="server",
        env={"LANG": "C"},
        inherit_env=("PATH",),
        startup_timeout_sec=5,
        max_restarts=0,
        backoff_sec=0,
    )
    assert manifest.mcp_http == McpHttp(
        url="https://tools.example.com/mcp",
        auth_header="Authorization",
        auth_secret_env="TOKEN",
        timeout_sec=1.5,
        tls_ca_bundle="ca.pem",
        tls_verify=False,
        max_retries=1,
        backoff_sec=2,
    )
    assert manifest.chain_wrap == ChainWrap(kinds=("tool",), hooks=("*",))
    assert manifest.contract["examples"] == {"before": [{"kind": "tool"}], "after": [{"kind": "tool"}]}
    assert manifest.metadata == {"released": datetime(2024, 5, 1, tzinfo=UTC)}
    assert manifest.supports_extensions == (".py", "pyi")
    assert manifest.config_schema == {"type": "object"}
    left_out = {"in_process_only", "tryfirst"}  # true in no manifest that has all the rest
    unchanged = {
        field.name
        for field in attrs.fields(PluginManifest)
        if getattr(manifest, field.name) == getattr(PluginManifest.from_dict(MINIMAL), field.name)
    }
    assert unchanged == left_out | {"schema_version", "core_version"}


def test_a_manifest_is_frozen_and_hashable(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, FULL))

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        manifest.name = "other"  # type: ignore[misc]
    assert len({manifest, load_manifest(tmp_path)}) == 1


def test_the_input_is_copied_and_never_changed() -> None:
    data = {**MINIMAL, "supports": {"region": ["eu"]}, "metadata": {"tags": ["a"]}, "contract": {"config": {"n": [1]}}}
    before = json.dumps(data)
    manifest = PluginManifest.from_dict(data)

    manifest.to_dict()["supports"]["region"].append("x")
    assert json.dumps(data) == before
    data["supports"]["region"].append("us")
    data["metadata"]["tags"].clear()
    data["contract"]["config"]["n"].clear()

    assert manifest.supports == {"region": ["eu"]}
    assert manifest.metadata == {"tags": ["a"]}
    assert manifest.contract == {"config": {"n": [1]}}


@pytest.mark.parametrize(
    "data",
    [
        {"plugin": MINIMAL},
        types.MappingProxyType({"plugin": types.MappingProxyType(MINIMAL)}),
        {**MINIMAL, "runtime": ("in_process",)},
        {**MINIMAL, "priority": 0.0},
    ],
    ids=["nested", "read-only", "tuples", "whole float"],
)
def test_the_forms_of_a_dict(data: Any) -> None:
    manifest = PluginManifest.from_dict(data)

    assert manifest == PluginManifest.from_dict(MINIMAL)
    assert type(manifest.priority) is int


def test_a_dict_can_say_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    manifest = PluginManifest.from_dict(MINIMAL, file=Path("a/dagstack.toml"))
    assert (manifest.file, manifest.folder) == (tmp_path / "a/dagstack.toml", tmp_path / "a")
    assert PluginManifest.from_dict(MINIMAL, folder=Path("b")).folder == tmp_path / "b"
    assert PluginManifest.from_dict(MINIMAL).folder is None


def test_answering_order() -> None:
    def plugin(name: str, **fields: Any) -> PluginManifest:
        return PluginManifest.from_dict({**MINIMAL, "name": name, **fields})

    plugins = [
        plugin("last", trylast=True, priority=100),
        plugin("b"),
        plugin("high", priority=9),
        plugin("a"),
        plugin("first", tryfirst=True),
        plugin("first-high", tryfirst=True, priority=1),
    ]

    in_order = sorted(plugins, key=lambda one: one.sort_key)
    assert [one.name for one in in_order] == ["first-high", "first", "high", "a", "b", "last"]
    assert [one.band for one in in_order] == [0, 0, 1, 1, 1, 2]


def test_core_specifiers_take_prereleases() -> None:
    specifiers = PluginManifest.from_dict(MINIMAL).core_specifiers

    assert specifiers.contains("0.2.0rc1", prereleases=True)
    assert not specifiers.contains("1.0.0")


def test_metadata_takes_anything() -> None:
    odd = {"when": datetime(2024, 5, 1, tzinfo=UTC), "not a number": math.nan, "set": {1}, 5: object}

    assert set(PluginManifest.from_dict({**MINIMAL, "metadata": odd}).metadata) == set(odd)


# --- Round trip -------------------------------------------------------------------------------------------------------

words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-.", min_size=1, max_size=8)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
kinds = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
word_lists = st.lists(words, max_size=3)
seconds = st.floats(min_value=0, max_value=1e6, exclude_min=True) | st.integers(1, 1000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
tables = st.dictionaries(words, json_values, max_size=3)


def some_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def needs_only_others(data: Any) -> bool:
    needed = [need if isinstance(need, str) else need["name"] for need in data.get("depends_on", [])]
    return data["name"] not in needed


good_manifests: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": names,
        "kind": kinds,
        "core_version": st.sampled_from([">=0.1", "==1.*", "~=2.0", ">=0.1,<9"]),
        "runtime": st.sampled_from(
            ["in_process", ["in_process"], ["mcp_stdio", "in_process"], ["in_process", "mcp_http"]]
        ),
        "mcp_stdio": st.fixed_dictionaries(
            {"command": st.lists(words, min_size=1, max_size=3)},
            optional={
                "env": st.dictionaries(words, words, max_size=2),
                "max_restarts": st.integers(0, 9),
                "startup_timeout_sec": seconds,
            },
        ),
        "mcp_http": st.fixed_dictionaries(
            {"url": st.just("https://a.example/x")}, optional={"tls_verify": st.booleans()}
        ),
    },
    optional={
        "kind_api_version": st.sampled_from(["0", "1", "1.2", "10.0.3"]),
        "entry_point": st.sampled_from(["plugin:Echo", "a.b_c:D", "größe:Überall"]),
        "description": st.text(st.characters(exclude_categories=["Cs"])),
        "authors": word_lists,
        "priority": st.integers(0, 100),
        "depends_on": st.lists(
            names | st.fixed_dictionaries({"kind": kinds, "name": names}),
            max_size=3,
        ),
        "tryfirst": st.booleans(),
        "call_timeout_sec": seconds,
        "max_concurrency": st.integers(1, 9),
        "supports_languages": word_lists,
        "supports": tables,
        "config_schema": tables,
        "resources": some_of(required=word_lists, optional=word_lists),
        "unit_of_work": some_of(declared=st.booleans(), partition_key=words, content_hash=word_lists),
        "contract": some_of(examples=st.dictionaries(kinds, tables | st.lists(tables, max_size=2)), config=tables),
        "metadata": tables,
    },
).filter(needs_only_others)


@given(good_manifests)
def test_round_trip(data: dict[str, Any]) -> None:
    manifest = PluginManifest.from_dict(data)
    told = manifest.to_dict()

    assert PluginManifest.from_dict(told) == manifest
    assert PluginManifest.from_dict(json.loads(json.dumps({"plugin": told}))) == manifest
    assert PluginManifest.from_dict(told).to_dict() == told


def test_to_dict_tells_no_defaults(tmp_path: Path) -> None:
    assert load_manifest(write(tmp_path, TOML)).to_dict() == MINIMAL
    defaults = {"priority": 0, "resources": {"required": []}, "chain_wrap": {"kinds": "*"}, "schema_version": "1"}
    chain = {**MINIMAL, "kind": "horizontal_middleware"}
    assert PluginManifest.from_dict(chain | defaults).to_dict() == chain


def test_a_full_manifest_survives_the_round_trip(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, FULL))

    assert PluginManifest.from_dict(manifest.to_dict(), file=manifest.file) == manifest


# --- Wrong manifests --------------------------------------------------------------------------------------------------

MCP_STDIO = {"runtime": "mcp_stdio", "mcp_stdio": {"command": ["x"]}}
MCP_HTTP = {"runtime": "mcp_http", "mcp_http": {"url": "https://a.example"}}
LACKS = object()

WRONG: list[tuple[dict[Any, Any], str, str]] = [
    # fields that are changed, path of the fault, what its message must say
    ({"name": LACKS}, "plugin.name", 'is missing; write for example name = "echo"'),
    ({"kind": LACKS}, "plugin.kind", "is missing"),
    ({"core_version": LACKS}, "plugin.core_version", 'core_version = ">=0.1.0,<1.0.0"'),
    ({"runtime": LACKS}, "plugin.runtime", 'runtime = "in_process"'),
    ({"schema_version": "2"}, "plugin.schema_version", "expected '1', found '2' (string)"),
    ({"schema_version": 1}, "plugin.schema_version", "expected '1', found 1 (int)"),
    ({"name": 5}, "plugin.name", "expected a string, found 5 (int)"),
    ({"name": "Echo Tool"}, "plugin.name", "lower-case letters, digits, '-' and '_'"),
    ({"name": "-echo"}, "plugin.name", "a letter or digit first, found '-echo'"),
    ({"name": "echo\n"}, "plugin.name", r"found 'echo\n'"),
    ({"kind": "payment-provider"}, "plugin.kind", "snake_case"),
    ({"kind": "Tool"}, "plugin.kind", "found 'Tool'"),
    ({"kind_api_version": "v1"}, "plugin.kind_api_version", "'1', '1.2' or '1.2.3'"),
    ({"kind_api_version": "1.2.3.4"}, "plugin.kind_api_version", "one to three numbers"),
    ({"kind_api_version": 1.2}, "plugin.kind_api_version", "expected a string, found 1.2 (float)"),
    ({"core_version": ""}, "plugin.core_version", "is empty"),
    ({"core_version": " , "}, "plugin.core_version", "PEP 440"),
    ({"core_version": "^1.0"}, "plugin.core_version", "'^1.0' is no list of PEP 440 version specifiers"),
    ({"core_version": "1.0"}, "plugin.core_version", "write for example '>=0.1.0,<1.0.0'"),
    ({"runtime": "inprocess"}, "plugin.runtime", "did you mean 'in_process'?"),
    ({"runtime": 5}, "plugin.runtime", "expected a string or a list, found 5 (int)"),
    ({"runtime": []}, "plugin.runtime", "is an empty list"),
    ({"runtime": ["in_process", "in_process"]}, "plugin.runtime[1]", "'in_process' stands twice"),
    ({"runtime": ["in_process", "wasm"]}, "plugin.runtime[1]", "'in_process', 'mcp_stdio' or 'mcp_http', found 'wasm'"),
    ({"runtime": "mcp_stdio"}, "plugin.runtime", "'mcp_stdio' needs a table [plugin.mcp_stdio]"),
    ({"runtime": ["in_process", "mcp_http"]}, "plugin.runtime", "'mcp_http' needs a table [plugin.mcp_http]"),
    ({**MCP_STDIO, "in_process_only": True}, "plugin.runtime", "in_process_only = true refuses 'mcp_stdio'"),
    ({**MCP_HTTP, "entry_point": "plugin:Echo"}, "plugin.entry_point", "only for the runtime 'in_process'"),
    ({"entry_point": "plugin"}, "plugin.entry_point", "'plugin' has no ':'"),
    ({"entry_point": "../plugin:Echo"}, "plugin.entry_point", "is a path"),
    ({"entry_point": "sub/plugin:Echo"}, "plugin.entry_point", "name the module with dots"),
    ({"entry_point": "sub\\plugin:Echo"}, "plugin.entry_point", "is a path"),
    ({"entry_point": "..plugin:Echo"}, "plugin.entry_point", "dots that lead nowhere"),
    ({"entry_point": ".plugin:Echo"}, "plugin.entry_point", "dots that lead nowhere"),
    ({"entry_point": "a..b:Echo"}, "plugin.entry_point", "dots that lead nowhere"),
    ({"entry_point": "plugin:Outer.Echo"}, "plugin.entry_point", "'Outer.Echo' is no class at the top of a module"),
    ({"entry_point": "class.plugin:Echo"}, "plugin.entry_point", "'class' in 'class.plugin:Echo' is a keyword"),
    ({"entry_point": "plugin:None"}, "plugin.entry_point", "'None' in 'plugin:None' is a keyword"),
    (
        {"entry_point": "fixed-chunker:Echo"},
        "plugin.entry_point",
        "'fixed-chunker' in 'fixed-chunker:Echo' is no Python name",
    ),
    ({"entry_point": "plugin:"}, "plugin.entry_point", "no Python name"),
    ({"entry_point": ":Echo"}, "plugin.entry_point", "no Python name"),
    ({"entry_point": ""}, "plugin.entry_point", "has no ':'"),
    ({"version": datetime(2024, 5, 1, tzinfo=UTC)}, "plugin.version", "found 2024-05-01 00:00:00+00:00 (datetime)"),
    ({"name": "\ud800"}, "plugin.name", "half a surrogate pair, which is no text"),
    ({"supports": {"x": "\ud800"}}, "plugin.supports.x", "half a surrogate pair, which is no text"),
    ({"description": 5}, "plugin.description", "expected a string, found 5 (int)"),
    ({"authors": "Ada"}, "plugin.authors", "expected a list, found 'Ada' (string)"),
    ({"authors": {"Ada"}}, "plugin.authors", "expected a list, found {'Ada'} (set)"),
    ({"keywords": ["a", None]}, "plugin.keywords[1]", "expected a string, found null"),
    ({"priority": True}, "plugin.priority", "expected an integer, found true (bool)"),
    ({"priority": 0.5}, "plugin.priority", "expected an integer, found 0.5 (float)"),
    ({"priority": -1}, "plugin.priority", "expected 0 or more, found -1 (int)"),
    ({"priority": 101}, "plugin.priority", "expected 0 to 100, found 101 (int)"),
    ({"priority": 1000}, "plugin.priority", "1000 and up is for the kind horizontal_middleware"),
    ({"kind": "horizontal_middleware", "priority": 500}, "plugin.priority", "0 to 100, or 1000 and up"),
    ({"depends_on": "fixed"}, "plugin.depends_on", "expected a list"),
    ({"depends_on": [5]}, "plugin.depends_on[0]", "expected a string or a table, found 5 (int)"),
    ({"depends_on": ["chunker/fixed"]}, "plugin.depends_on[0]", '{ kind = "chunker", name = "fixed" }'),
    ({"depends_on": [{"kind": "tool"}]}, "plugin.depends_on[0].name", "is missing"),
    ({"depends_on": [{"kind": "tool", "name": "a", "nmae": "b"}]}, "plugin.depends_on[0].nmae", "did you mean 'name'?"),
    ({"depends_on": ["a", "echo"]}, "plugin.depends_on[1]", "depends on itself"),
    (
        {"depends_on": [{"kind": "tool", "name": "echo"}]},
        "plugin.depends_on[0]",
        "depends on itself (tool/echo); remove it",
    ),
    ({"tryfirst": True, "trylast": True}, "plugin.trylast", "can't both be true"),
    ({"tryfirst": "yes"}, "plugin.tryfirst", "expected true or false, found 'yes' (string)"),
    ({"startup_timeout_sec": 0}, "plugin.startup_timeout_sec", "expected more than 0, found 0 (int)"),
    ({"teardown_timeout_sec": "15"}, "plugin.teardown_timeout_sec", "expected a number, found '15' (string)"),
    ({"call_timeout_sec": math.inf}, "plugin.call_timeout_sec", "expected a number, found inf (float)"),
    ({"call_timeout_sec": True}, "plugin.call_timeout_sec", "expected a number, found true (bool)"),
    ({"max_concurrency": 0}, "plugin.max_concurrency", "expected 1 or more, found 0 (int)"),
    ({"execution_model": "thread_bound"}, "plugin.execution_model", "did you mean 'thread_cpu_bound'?"),
    ({"supports_extensions": [""]}, "plugin.supports_extensions[0]", "is empty"),
    ({"supports": {"since": datetime(2024, 5, 1, tzinfo=UTC)}}, "plugin.supports.since", "expected a JSON value"),
    ({"supports": {"a b": [math.nan]}}, 'plugin.supports."a b"[0]', "expected a JSON value, found nan (float)"),
    ({"supports": {5: "x"}}, "plugin.supports", "the key 5 (int) is not a string"),
    ({"config_schema": 5}, "plugin.config_schema", "expected a table or a string, found 5 (int)"),
    ({"config_schema": {"enum": [b"x"]}}, "plugin.config_schema.enum[0]", "expected a JSON value, found b'x' (bytes)"),
    ({"config_schema": "config.json"}, "plugin.config_schema", "the plugin has no folder"),
    ({"resources": ["clock"]}, "plugin.resources", "expected a table, found a list"),
    ({"resources": {"required": ["clock", 5]}}, "plugin.resources.required[1]", "expected a string, found 5 (int)"),
    ({"resources": {"requires": []}}, "plugin.resources.requires", "unknown field; did you mean 'required'?"),
    ({"resources": {"xyz": []}}, "plugin.resources.xyz", "unknown field; known here: required, optional"),
    ({"unit_of_work": {"idempotency_mode": "input"}}, "plugin.unit_of_work.idempotency_mode", "'input_hash'"),
    (
        {
            "unit_of_work": {"idempotency_mode": "output_hash"},
            "resources": {"required": ["rng"], "optional": ["clock"]},
        },
        "plugin.unit_of_work.idempotency_mode",
        "needs clock and rng in resources.required; missing there: clock",
    ),
    ({**MCP_STDIO, "mcp_stdio": {}}, "plugin.mcp_stdio.command", "is missing; only a plugin that also runs as"),
    ({"mcp_stdio": {"command": []}}, "plugin.mcp_stdio.command", "is an empty list"),
    ({"mcp_stdio": {"command": "python server.py"}}, "plugin.mcp_stdio.command", "expected a list"),
    ({"mcp_stdio": {"command": ["x"], "env": {"A": 1}}}, "plugin.mcp_stdio.env.A", "expected a string, found 1 (int)"),
    ({"mcp_stdio": {"command": ["x"], "max_restarts": -1}}, "plugin.mcp_stdio.max_restarts", "expected 0 or more"),
    ({"mcp_http": {"url": "ftp://x"}}, "plugin.mcp_http.url", "begins with http:// or https://"),
    ({"mcp_http": {"url": "https://"}}, "plugin.mcp_http.url", "names a host"),
    ({"chain_wrap": {}}, "plugin.chain_wrap", "only for the kind horizontal_middleware; this is a tool"),
    ({"kind": "horizontal_middleware", "chain_wrap": {"kinds": []}}, "plugin.chain_wrap.kinds", "is an empty list"),
    (
        {"kind": "horizontal_middleware", "chain_wrap": {"hooks": ["a*"]}},
        "plugin.chain_wrap.hooks[0]",
        "or '*' for all",
    ),
    ({"contract": {"examples": {"execute": 5}}}, "plugin.contract.examples.execute", "expected a table or a list"),
    (
        {"contract": {"excused": {"determinsm": "x"}}},
        "plugin.contract.excused.determinsm",
        "did you mean 'determinism'?",
    ),
    ({"contract": {"excused": {"chain": ""}}}, "plugin.contract.excused.chain", "is empty"),
    ({"contract": {"config": {"d": {1, 2}}}}, "plugin.contract.config.d", "expected a JSON value"),
    ({"metadata": []}, "plugin.metadata", "expected a table, found an empty list"),
    ({"entrypoint": "plugin:Echo"}, "plugin.entrypoint", "unknown field; did you mean 'entry_point'?"),
    ({"command": ["x"]}, "plugin.command", "did you mean plugin.mcp_stdio.command?"),
    (
        {"backoff_sec": 1},
        "plugin.backoff_sec",
        "did you mean plugin.mcp_stdio.backoff_sec or plugin.mcp_http.backoff_sec?",
    ),
    ({5: "x"}, "plugin.5", "unknown field"),
]


@pytest.mark.parametrize(("changes", "path", "phrase"), WRONG, ids=[f"{n}-{row[1]}" for n, row in enumerate(WRONG)])
def test_a_wrong_manifest_names_its_one_fault(changes: dict[str, Any], path: str, phrase: str) -> None:
    data = {key: value for key, value in {**MINIMAL, **changes}.items() if value is not LACKS}

    [(found_path, message)] = faults_of(data)

    assert found_path == path
    assert phrase in message
    assert faults_of({"plugin": data}) == [(found_path, message)]


@pytest.mark.parametrize("data", [5, "text", None, ["a"]])
def test_what_is_no_table_is_told_so(data: Any) -> None:
    [(path, message)] = faults_of(data)

    assert path == "plugin"
    assert message.startswith("expected a table, found ")


def test_what_stands_beside_the_plugin_table_is_unknown() -> None:
    assert faults_of({"plugin": MINIMAL, "resources": {}, "plugn": {}}) == [
        ("resources", "unknown field; did you mean plugin.resources?"),
        ("plugn", "unknown field; did you mean 'plugin'?"),
    ]


def test_a_table_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop

    for field in ("metadata", "supports", "contract", "surplus"):
        assert "contains itself" in faults_of({**MINIMAL, field: loop})[0][1]


def test_all_faults_are_told_in_the_order_of_the_document(tmp_path: Path) -> None:
    text = """\
    [plugin]
    name = "Echo"
    kind = "tool"
    runtime = ["in_process", "mcp_http", 7]
    depends_on = ["ok", 5, { kind = "tool", name = "x", why = "" }]
    priority = 200
    [plugin.unit_of_work]
    idempotency_mode = "output_hash"
    [plugin.resources]
    required = ["clock", ""]
    surplus = 1
    """
    error = load_error(write(tmp_path, text))

    assert [(fault.line, fault.path) for fault in error.faults] == [
        (2, "plugin.name"),
        (4, "plugin.runtime"),
        (4, "plugin.runtime[2]"),
        (5, "plugin.depends_on[1]"),
        (5, "plugin.depends_on[2].why"),
        (6, "plugin.priority"),
        (8, "plugin.unit_of_work.idempotency_mode"),
        (10, "plugin.resources.required[1]"),
        (11, "plugin.resources.surplus"),
        (None, "plugin.core_version"),
    ]
    assert error.file == str(tmp_path / "dagstack.toml")
    assert "tool/Echo has 10 faults:\n  - line 2: plugin.name: " in str(error)


def test_a_fault_does_not_hide_those_of_other_items() -> None:
    paths = [path for path, _ in faults_of({**MINIMAL, "depends_on": [5, "echo", {"kind": "tool"}, "a", "echo"]})]

    assert paths == [
        "plugin.depends_on[0]",
        "plugin.depends_on[1]",
        "plugin.depends_on[2].name",
        "plugin.depends_on[4]",
    ]


def test_a_faulty_table_does_not_count_as_missing() -> None:
    assert [path for path, _ in faults_of({**MINIMAL, "runtime": "mcp_stdio", "mcp_stdio": 5})] == ["plugin.mcp_stdio"]


@pytest.mark.parametrize(
    ("changes", "kind", "plugin"),
    [
        ({"priority": "x"}, "tool", "echo"),
        ({"kind": "No Kind"}, "No Kind", "echo"),
        ({"name": 5}, "tool", None),
        ({"kind": ["a"]}, None, "echo"),
    ],
)
def test_the_error_knows_kind_and_name_where_they_can_be_read(
    changes: dict[str, Any], kind: str | None, plugin: str | None
) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        PluginManifest.from_dict({**MINIMAL, **changes})

    assert (caught.value.kind, caught.value.plugin, caught.value.file) == (kind, plugin, None)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["in_process", "mcp_stdio", "echo", "tool", "*", b"x", datetime(2024, 1, 1, tzinfo=UTC), object()]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["kind", "name", "required"]) | st.integers(), inner, max_size=3
        )
    ),
    max_leaves=6,
)
fields = st.sampled_from([field.name for field in attrs.fields(PluginManifest)] + ["nonsense"])


@given(good_manifests, st.dictionaries(fields, anything, max_size=3))
def test_whatever_is_wrong_ends_as_manifest_invalid(data: dict[str, Any], changes: dict[str, Any]) -> None:
    told: ManifestInvalid | None = None
    try:
        manifest = PluginManifest.from_dict(data | changes)
    except ManifestInvalid as error:
        told = error
    if told is None:
        assert PluginManifest.from_dict(manifest.to_dict()).key == manifest.key
    else:
        assert told.faults
        assert all(fault.path.startswith("plugin") and fault.message for fault in told.faults)
        str(told).encode()  # it can be printed


# --- Files ------------------------------------------------------------------------------------------------------------


def test_three_forms_of_one_manifest(tmp_path: Path) -> None:
    forms = {
        "dagstack.toml": TOML,
        "dagstack.json": json.dumps({"$schema": "manifest.schema.json", "plugin": MINIMAL}),
        "pyproject.toml": '[project]\nname = "x"\n\n' + TOML.replace("[plugin]", "[tool.dagstack.plugin]"),
    }
    for name, text in forms.items():
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        file = write(folder, text, name)

        manifest = load_manifest(folder)

        assert manifest == load_manifest(str(file))
        assert (manifest.file, manifest.folder) == (file, folder)
        assert manifest.to_dict() == MINIMAL


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, TOML)
    monkeypatch.chdir(tmp_path)

    assert load_manifest("dagstack.toml").folder == tmp_path
    assert load_manifest(".").file == tmp_path / "dagstack.toml"


def test_the_first_file_wins(tmp_path: Path) -> None:
    assert find_manifest(tmp_path) is None
    for name in reversed(MANIFEST_FILES):
        write(tmp_path, "[tool.dagstack.plugin]", name)
        assert find_manifest(tmp_path) == tmp_path / name


def test_a_listing_spares_the_look(tmp_path: Path) -> None:
    write(tmp_path, TOML)
    write(tmp_path, "{}", "dagstack.json")

    assert find_manifest(tmp_path, {"dagstack.json", "plugin.py"}) == tmp_path / "dagstack.json"
    assert find_manifest(tmp_path, ["plugin.py"]) is None


def test_a_folder_named_like_a_manifest_is_none(tmp_path: Path) -> None:
    (tmp_path / "dagstack.toml").mkdir()

    assert find_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (b"[project]\nname = 'x'", False),
        (b"[tool.dagstack]\nother = 1", False),
        (b"[tool.dagstack.plugin]\nname = 'x'", True),
        (b"[tool.dagstack.plugin]", True),
        (b"[tool]\ndagstack.plugin.name = 'x'", True),
        (b"[tool.dagstack]\nplugin = 5", True),
        (b"[project]\ndescription = 'uses dagstack'", False),
        (b"tool = 5 # dagstack", False),
        (b"[project\n", False),
        (b"[tool.dagstack.plugin\n", True),
        (b"[tool.dagstack.plugin]\nname = '\xff'", True),
        (b"[project]\nname = '\xff' # dagstack", False),
        (b"\xef\xbb\xbf[tool.dagstack.plugin]", True),
    ],
)
def test_when_a_pyproject_counts(tmp_path: Path, text: bytes, counts: bool) -> None:
    file = write(tmp_path, text, "pyproject.toml")

    assert find_manifest(tmp_path) == (file if counts else None)


def test_paths_in_a_pyproject_begin_at_its_top(tmp_path: Path) -> None:
    file = write(tmp_path, "[tool.dagstack.plugin]\nname = 5\n[tool.other]\nname = 5", "pyproject.toml")

    fault = load_error(file).faults[0]
    assert (fault.path, fault.line) == ("tool.dagstack.plugin.name", 2)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"dagstack\.toml"):
        load_manifest(tmp_path / "dagstack.toml")
    with pytest.raises(FileNotFoundError, match=r"looked for dagstack\.toml, dagstack\.json, pyproject\.toml"):
        load_manifest(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "dagstack.toml"
    file.symlink_to(file)  # unlike file modes, a loop stops every user

    error = load_error(file)
    assert f"cannot be read: {os.strerror(errno.ELOOP)}" in str(error)
    assert error.file == str(file)


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_marks_and_line_ends(tmp_path: Path, prefix: bytes, newline: str) -> None:
    def raw(text: str) -> bytes:
        return prefix + text.replace("\n", newline).encode()

    assert load_manifest(write(tmp_path, raw(TOML))).to_dict() == MINIMAL
    assert [fault.line for fault in load_error(write(tmp_path, raw(TOML + "priority = 7.5\n"))).faults] == [6]
    assert [fault.line for fault in load_error(write(tmp_path, raw(TOML + "priority = \n"))).faults] == [6]
    file = write(tmp_path, raw(json.dumps({"plugin": MINIMAL}, indent=1)), "dagstack.json")
    assert load_manifest(file).to_dict() == MINIMAL


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("name", ["dagstack.toml", "dagstack.json", "pyproject.toml"])
def test_what_is_not_utf_8(tmp_path: Path, name: str, prefix: bytes) -> None:
    raw = prefix + b"# tool.dagstack\n# caf\xe9\n"

    error = load_error(write(tmp_path, raw, name))

    [fault] = error.faults
    assert fault.line == 2
    assert f"byte 0xe9 at offset {raw.index(0xE9)} is not UTF-8" in fault.message
    assert error.file == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "line", "phrase"),
    [
        ("dagstack.toml", '[plugin]\nname = "a"\nkind = ?\n', 3, "is not valid TOML"),
        ("dagstack.toml", '[plugin]\nname = "a"\nname = "b"\nkind = "x"\n', None, "is not valid TOML"),
        ("dagstack.toml", "x = " + "[" * 100_000, None, "is nested too deeply"),
        ("pyproject.toml", "[tool.dagstack.plugin]\nname = \n", 2, "is not valid TOML"),
        ("dagstack.json", '{"plugin": {\n"name": "a"\n"kind"}}', 3, "is not valid JSON"),
        ("dagstack.json", '{"plugin": {"name": "a", "name": "b"}}', None, "the key 'name' stands twice"),
        ("dagstack.json", '{"plugin": {"priority": NaN}}', None, "NaN is no JSON value"),
        ("dagstack.json", '{"plugin": {"priority": 1' + "0" * 5000 + "}}", None, "is not valid JSON"),
        ("dagstack.json", "[" * 100_000, None, "is nested too deeply"),
        ("dagstack.json", "[]", None, "expected an object, found an empty list"),
        ("dagstack.json", "", 1, "is not valid JSON"),
    ],
)
def test_broken_syntax(tmp_path: Path, name: str, text: str, line: int | None, phrase: str) -> None:
    [fault] = load_error(write(tmp_path, text, name)).faults

    assert phrase in fault.message
    assert fault.path == ""
    if line:
        assert fault.line == line


@pytest.mark.parametrize(
    ("name", "text", "phrases"),
    [
        ("dagstack.toml", "", ["the file is empty", "[plugin]"]),
        ("dagstack.toml", " \n\t\n", ["the file is empty"]),
        ("dagstack.toml", "# nothing yet", ["no plugin is described", "a table [plugin] with the fields name, kind"]),
        ("dagstack.toml", 'name = "echo"', ["no plugin is described"]),
        ("dagstack.toml", "[plugins]", ["found 'plugins', did you mean 'plugin'?"]),
        ("dagstack.json", "{}", ["the file is empty", 'an object "plugin"']),
        ("dagstack.json", json.dumps(MINIMAL), ["no plugin is described", 'an object "plugin"']),
        ("pyproject.toml", "", ["the file is empty", "[tool.dagstack.plugin]"]),
        ("pyproject.toml", "[tool.dagstack]", ["no plugin is described", "a table [tool.dagstack.plugin]"]),
    ],
)
def test_a_file_without_a_plugin_says_what_to_write(tmp_path: Path, name: str, text: str, phrases: list[str]) -> None:
    [fault] = load_error(write(tmp_path, text, name)).faults

    assert all(phrase in fault.message for phrase in phrases)


DECOYS = [
    ("[plugin]\npriority = 7.5\n", 2),
    ("# priority = 7.5\n[plugin]\n# priority\npriority = 7.5\n", 4),
    ("[plugin]\ndescription = '''\npriority = 7.5\n'''\npriority = 7.5 # priority\n", 5),
    ('[plugin]\n"priority" = 7.5\n', 2),
    ("plugin.priority = 7.5\n", 1),
    ("plugin = { priority = 7.5 }\n", 1),
    ("[plugin.metadata]\npriority = 7.5\n[plugin]\npriority = 7.5\n", 4),
    ("[plugin.metadata.plugin]\npriority = 7.5\n[plugin]\n\n'priority'=7.5", 5),
    ('[plugin]\n"prio\\u0072ity" = 7.5\n', None),
]


@pytest.mark.parametrize(("text", "line"), DECOYS)
def test_lines_are_right_or_left_out(tmp_path: Path, text: str, line: int | None) -> None:
    faults = load_error(write(tmp_path, text)).faults

    assert [fault.line for fault in faults if fault.path == "plugin.priority"] == [line]


ITEMS = """\
keywords = [
  "5",
  "a", # 5
  5,
  true,
  "5",
]
authors = [[]]
[plugin.resources]
required = [
  "",
  ""]
"""


def test_lines_of_list_items(tmp_path: Path) -> None:
    faults = load_error(write(tmp_path, TOML + ITEMS)).faults

    assert [(fault.path, fault.line) for fault in faults] == [
        ("plugin.keywords[2]", 9),
        ("plugin.keywords[3]", 10),
        ("plugin.authors[0]", None),
        ("plugin.resources.required[0]", 16),
        ("plugin.resources.required[1]", 17),
    ]


@given(good_manifests, st.integers(0, 3), st.sampled_from(["name", "resources", "a"]), json_values)
def test_lines_in_json(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], blank: int, word: str, value: Any
) -> None:
    """However the rest of the file reads, the line told is the line where the field stands."""
    field = f"{word}_unknown"
    plugin = {**data, "metadata": {field: [field, value]}, field: value, "license": field}
    text = "\n" * blank + json.dumps({"plugin": plugin}, indent=1)
    faults = load_error(write(tmp_path_factory.getbasetemp(), text, "dagstack.json")).faults

    [line] = [fault.line for fault in faults if fault.path == f"plugin.{field}"]
    assert line is not None
    assert text.splitlines()[line - 1].startswith(f'  "{field}": ')


# --- The configuration's schema ---------------------------------------------------------------------------------------


def with_config(folder: Path, name: str) -> Path:
    return write(folder, TOML + f"config_schema = {json.dumps(name)}\n")


def test_a_config_schema_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    write(tmp_path / "schemas", b'\xef\xbb\xbf{"type": "object"}', "config.json")

    assert load_manifest(with_config(tmp_path, "schemas/config.json")).config_schema == {"type": "object"}
    given_folder = PluginManifest.from_dict({**MINIMAL, "config_schema": "schemas/config.json"}, folder=tmp_path)
    assert given_folder.config_schema == {"type": "object"}
    assert given_folder.to_dict()["config_schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("name", "content", "phrase"),
    [
        ("missing.json", None, "there is no such file in the plugin's folder"),
        (".", None, "there is no such file"),
        ("a\0b", None, "'a\\x00b': "),
        ("../outside.json", None, "inside the plugin's folder"),
        ("..\\outside.json", None, "inside the plugin's folder"),
        ("/etc/config.json", None, "inside the plugin's folder"),
        ("C:\\config.json", None, "inside the plugin's folder"),
        ("config.json", '{\n"a": }', "line 2: is not valid JSON"),
        ("config.json", "[1]", "expected a JSON object, found a list"),
        ("config.json", b"{\n\xff}", "line 2: byte 0xff at offset 2 is not UTF-8"),
        ("config.json", "", "is not valid JSON"),
    ],
)
def test_a_config_schema_that_cannot_be_read(tmp_path: Path, name: str, content: Any, phrase: str) -> None:
    folder = tmp_path / "plugin"
    folder.mkdir()
    write(tmp_path, "{}", "outside.json")
    if content is not None:
        write(folder, content, name)

    error = load_error(with_config(folder, name))

    assert [fault.path for fault in error.faults] == ["plugin.config_schema"]
    assert phrase in str(error)
    assert (error.kind, error.plugin) == ("tool", "echo")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_may_not_lead_a_config_schema_out(tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    folder.mkdir()
    write(tmp_path, "{}", "outside.json")
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    (folder / "loop.json").symlink_to(folder / "loop.json")

    assert "inside the plugin's folder" in str(load_error(with_config(folder, "link.json")))
    assert "'loop.json': " in str(load_error(with_config(folder, "loop.json")))
    (tmp_path / "alias").symlink_to(folder)
    write(folder, "{}", "config.json")
    with_config(folder, "config.json")
    assert load_manifest(tmp_path / "alias").config_schema == {}


def test_a_config_schema_is_checked_along_with_the_rest(tmp_path: Path) -> None:
    file = write(tmp_path, TOML + 'config_schema = "none.json"\npriority = 7.5\n')

    assert [fault.path for fault in load_error(file).faults] == ["plugin.config_schema", "plugin.priority"]


# --- The schema -------------------------------------------------------------------------------------------------------


def properties_of(node: Any, path: str = "") -> Any:
    if isinstance(node, dict):
        for name, field in node.get("properties", {}).items():
            yield f"{path}.{name}", field
        for key, value in node.items():
            yield from properties_of(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from properties_of(value, path)


def test_the_schema_is_valid_and_tells_of_every_field() -> None:
    schema = manifest_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert meta.is_valid(schema)
    found = list(properties_of(schema))
    assert len(found) > 60
    assert [path for path, field in found if not field.get("description")] == []


def test_the_schema_is_handed_out_as_a_copy() -> None:
    manifest_schema().clear()

    assert manifest_schema()["title"] == "Plugin manifest"
    assert PluginManifest.from_dict(MINIMAL).name == "echo"


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (PluginManifest, ()),
        (ResourceNeeds, ("resources",)),
        (UnitOfWork, ("unit_of_work",)),
        (McpStdio, ("mcp_stdio",)),
        (McpHttp, ("mcp_http",)),
        (ChainWrap, ("chain_wrap",)),
    ],
)
def test_schema_and_model_agree(model: type[attrs.AttrsInstance], place: tuple[str, ...]) -> None:
    schema = manifest_schema()
    table = schema["properties"]["plugin"]
    for name in place:
        table = table["properties"][name]
    fields = {field.name: field for field in attrs.fields(model) if field.name not in ("file", "folder")}

    assert fields.keys() == table["properties"].keys()
    required = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    assert required == set(table.get("required", ()))
    for name, field in fields.items():
        described = table["properties"][name]
        shared = schema["$defs"].get(described.get("$ref", "").rpartition("/")[2], {})
        told = described.get("default", shared.get("default"))
        default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
        if attrs.has(type(default)):
            default = {}
        if name not in required:
            assert default == (("*",) if told == "*" else tuple(told) if isinstance(told, list) else told), name


def test_the_schema_accepts_what_the_loader_accepts(tmp_path: Path) -> None:
    validator = Draft202012Validator(manifest_schema(), validate_formats=True)

    assert validator.is_valid({"plugin": load_manifest(write(tmp_path, FULL)).to_dict()})
    assert not validator.is_valid(MINIMAL)


def test_docstring_examples_run() -> None:
    results = doctest.testmod(manifest_module)

    assert results.attempted
    assert not results.failed
