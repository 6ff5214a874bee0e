"""What a plugin must pass before it is registered, in which order, and what becomes of those that do not."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import (
    AmbiguousPlugin,
    KindUnknown,
    ManifestInvalid,
    PluginLoadError,
    PluginRegistry,
    PluginRegistryError,
    PluginStatus,
    PluginUnavailable,
    RuntimeNotSupported,
    VersionIncompatible,
)
from dagstack_plugins.runtimes.installed import lacking

WritePlugin = Callable[..., Path]
WriteKind = Callable[..., Path]
LoadedModules = Callable[[], set[str]]

ANY = {"type": "object"}


def only_status(registry: PluginRegistry) -> PluginStatus:
    (status,) = registry.status()
    return status


def refusal(registry: PluginRegistry, folder: Path) -> PluginRegistryError:
    """The error of the one plugin in ``folder``, which was refused."""
    assert registry.discover(folder) == []
    assert registry.list_manifests() == []
    status = only_status(registry)
    assert status.state == "unavailable"
    assert registry.unavailable_plugins() == [status]
    assert isinstance(status.error, PluginRegistryError)
    assert status.reason == str(status.error)
    assert status.location == str(folder)
    return status.error


# The order of the checks: each fault is told only when those before it are mended

MCP = {"runtime": "mcp_http", "mcp_http": {"url": "https://tools.example/mcp"}}


@pytest.fixture
def registry() -> PluginRegistry:
    """A host that runs nothing elsewhere."""
    return PluginRegistry(runtimes=["in_process"])


FAULTS: list[tuple[type[PluginRegistryError], dict[str, Any]]] = [
    (ManifestInvalid, {"priority": 7_000}),
    (KindUnknown, {"kind": "nowhere"}),
    (VersionIncompatible, {"kind_api_version": "9"}),
    (VersionIncompatible, {"core_version": ">=99"}),
    (RuntimeNotSupported, MCP),
    (ManifestInvalid, {"config_schema": {"type": "strnig"}}),
    (PluginLoadError, {}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_checks_come_in_this_order(registry: PluginRegistry, plugin: WritePlugin, first: int) -> None:
    fields: dict[str, Any] = {}
    for _, faulty in reversed(FAULTS[first:]):
        fields |= faulty
    folder = plugin("echo", "raise ValueError('the code ran')", **fields)
    error = refusal(registry, folder)
    assert type(error) is FAULTS[first][0], error
    assert ("the code ran" in str(error)) == (first == len(FAULTS) - 1)
    if first == 5:
        assert "config_schema" in str(error)


def test_code_runs_only_after_all_else_was_checked(
    registry: PluginRegistry, plugin: WritePlugin, tmp_path: Path
) -> None:
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nclass Echo:\n    def execute(self): ...\n"
    for number, (_, fields) in enumerate(FAULTS[:-1]):
        plugin(f"p{number}", code, **fields)
    registry.discover(tmp_path / "plugins")
    assert len(registry.status()) == len(FAULTS) - 1
    assert not (tmp_path / "ran").exists()


# Schema


def test_where_a_manifest_cannot_be_read_kind_and_name_are_none(registry: PluginRegistry, plugins: Path) -> None:
    (plugins / "broken").mkdir()
    (plugins / "broken" / "dagstack.toml").write_text("[plugin\n")
    error = refusal(registry, plugins / "broken")
    assert isinstance(error, ManifestInvalid)
    assert (only_status(registry).kind, only_status(registry).name) == (None, None)


@pytest.mark.parametrize("value", [5, [], {}, None, "", "Tool", "../tool", "to\0ol", "tool\n", "é", "a b", "\ud800"])
@pytest.mark.parametrize("field", ["kind", "name", "core_version", "runtime", "entry_point", "kind_api_version"])
def test_no_value_of_any_field_stops_the_others(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, field: str, value: Any
) -> None:
    folder = plugin("odd")
    document = json.loads((folder / "dagstack.json").read_text())
    document["plugin"][field] = value
    (folder / "dagstack.json").write_text(json.dumps(document))
    plugin("a-good")
    plugin("z-good")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["a-good", "z-good"]
    assert len(registry.status()) == 3
    assert len(registry.unavailable_plugins()) == 3


def test_a_refused_manifest_still_says_who_it_is(registry: PluginRegistry, plugin: WritePlugin) -> None:
    error = refusal(registry, plugin("echo", priority=-1))
    assert (error.kind, error.plugin) == ("tool", "echo")
    assert (only_status(registry).kind, only_status(registry).name) == ("tool", "echo")


@pytest.mark.parametrize("text", ["[" * 100_000, "", "null", "[]", '"plugin"', '{"plugin": 5}', "\0", '{"plugin": {}}'])
def test_no_text_of_a_manifest_stops_the_others(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, text: str
) -> None:
    (plugin("odd") / "dagstack.json").write_text(text)
    plugin("good")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["good"]
    (refused,) = [status for status in registry.status() if status.state == "unavailable"]
    assert isinstance(refused.error, ManifestInvalid)


# Kind


def test_an_unknown_kind_is_named_with_what_to_do(registry: PluginRegistry, plugin: WritePlugin) -> None:
    error = refusal(registry, plugin("echo", kind="tools"))
    assert isinstance(error, KindUnknown)
    assert error.kind == "tools"
    assert "did you mean 'tool'" in str(error)
    assert "add_hookspecs" in str(error)


def test_a_plugin_waits_for_its_kind(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    plugin("late", kind="later")
    plugin("other", kind="never")
    assert registry.discover(plugins) == []
    registry.add_hookspecs(kind("later", {"execute": {}}))
    assert [manifest.name for manifest in registry.list_manifests()] == ["late"]
    assert [status.state for status in registry.status()] == ["registered", "unavailable"]
    with registry.running():
        assert registry.get_plugin("later").execute(a=1) == {"a": 1}


def test_the_error_for_a_kind_names_the_folders_that_wait(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("late", kind="later")
    registry.discover(folder)
    with pytest.raises(KindUnknown, match=re.escape(str(folder))):
        registry.get_plugin("later")


def test_a_plugin_that_waited_may_still_be_faulty(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    plugin("a-broken", "1 / 0", kind="later")
    plugin("b-good", kind="later")
    registry.discover(plugins)
    registry.add_hookspecs(kind("later", {"execute": {}}))
    assert [(status.name, status.state) for status in registry.status()] == [
        ("a-broken", "unavailable"),
        ("b-good", "registered"),
    ]
    assert isinstance(registry.status()[0].error, PluginLoadError)


def test_what_was_refused_before_its_kind_was_known_is_listed_with_it(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    plugin("faulty", kind="later", priority=-1)
    registry.discover(plugins)
    registry.add_hookspecs(kind("later"))
    with pytest.raises(PluginUnavailable) as caught:
        registry.get_plugin("later", "absent")
    assert list(caught.value.reasons) == ["faulty"]


def test_of_two_that_wait_under_one_name_the_first_is_kept(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    plugin("late", kind="later", at="a")
    plugin("late", kind="later", at="b")
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.discover(plugins)
    assert caught.value.places == (str(plugins / "a"), str(plugins / "b"))
    assert registry.add_hookspecs(kind("later", {"execute": {}})) == ["later"]
    assert [manifest.folder for manifest in registry.list_manifests()] == [plugins / "a"]


def test_the_same_if_they_come_one_after_the_other(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    registry.discover(plugin("late", kind="later", at="b"))
    plugin("late", kind="later", at="a")
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.discover(plugins)
    assert caught.value.places == (str(plugins / "b"), str(plugins / "a"))
    registry.add_hookspecs(kind("later", {"execute": {}}))
    assert [manifest.folder for manifest in registry.list_manifests()] == [plugins / "b"]


def test_one_that_waits_twice_is_one(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    plugin("late", kind="later")
    registry.discover(plugins)
    before = registry.status()
    registry.discover(plugins)
    assert registry.status() == before
    registry.add_hookspecs(kind("later", {"execute": {}}))
    assert len(registry.status()) == len(registry.list_manifests()) == 1


def test_a_mistyped_kind_is_mended_on_disk(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", kind="tol")
    registry.discover(folder)
    plugin("echo", kind="tool")
    assert [manifest.name for manifest in registry.discover(folder)] == ["echo"]
    assert only_status(registry).state == "registered"


def test_one_that_waits_is_admitted_as_it_was_last_found(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind
) -> None:
    folder = plugin("late", kind="later")
    registry.discover(folder)
    plugin("late", kind="later", priority=7)
    registry.discover(folder)
    registry.add_hookspecs(kind("later", {"execute": {}}))
    assert [manifest.priority for manifest in registry.list_manifests()] == [7]


def test_a_plugin_may_wait_while_its_kind_is_added_twice(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind
) -> None:
    registry.discover(plugin("late", kind="later"))
    file = kind("later", {"execute": {}})
    registry.add_hookspecs(file)
    registry.add_hookspecs(file)
    assert len(registry.status()) == 1


# Versions


@pytest.mark.parametrize(
    ("registered", "wanted", "fits"),
    [
        ("1.0.0", "1", True),
        ("1.0.0", "1.0", True),
        ("1.2.0", "1.0", True),
        ("1.2.0", "1.2", True),
        ("1.2.0", "1.3", False),
        ("1.2.3", "1.2.9", True),
        ("1.10.0", "1.9", True),
        ("1.9.0", "1.10", False),
        ("2.0.0", "1", False),
        ("2.0.0", "1.9", False),
        ("1.9.0", "2", False),
        ("10.0.0", "1", False),
        ("0.1.0", "0", True),
        ("0.1.0", "1", False),
    ],
)
def test_kind_api_version(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, registered: str, wanted: str, fits: bool
) -> None:
    registry.add_hookspecs(kind("greeter", {"execute": {}}, registered))
    folder = plugin("echo", kind="greeter", kind_api_version=wanted)
    if fits:
        assert len(registry.discover(folder)) == 1
        return
    error = refusal(registry, folder)
    assert isinstance(error, VersionIncompatible)
    assert (error.wanted, error.found, error.kind, error.plugin) == (wanted, registered, "greeter", "echo")
    assert repr(wanted) in str(error)
    assert registered in str(error)


CORE_VERSIONS = [
    ("0.1.0", ">=0.1.0,<1.0.0", True),
    ("0.1.0", "==0.1.*", True),
    ("0.1.0", "~=0.1", True),
    ("0.1.0", ">=0.1.0rc1", True),
    ("0.1.0", ">0.1.0", False),
    ("0.1.0", "<0.1", False),
    ("0.1.0", "!=0.1.0", False),
    ("0.2.0.dev3", ">=0.1", True),
    ("0.2.0a1", ">=0.1", True),
    ("0.2.0rc1", ">=0.2.0", False),
    ("0.2.0rc1", ">=0.2.0a1", True),
    ("0.2.0rc1", "==0.2.0rc1", True),
    ("0.2.0rc1", "==0.2.*", True),
    ("0.2.0rc1", "~=0.1", True),
    ("0.2.0rc1", "<0.2.0", False),
    ("1.0.0rc1", ">=0.1,<1.0.0", False),
    ("0.2.0.post1", ">=0.2", True),
    ("0.2.0+local", "==0.2.0", True),
]


@pytest.mark.parametrize(("version", "wanted", "fits"), CORE_VERSIONS)
def test_core_version_is_pep_440_and_prereleases_count(
    registry: PluginRegistry,
    plugin: WritePlugin,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    wanted: str,
    fits: bool,
) -> None:
    monkeypatch.setattr("dagstack_plugins.discovery.admission.VERSION", version)
    folder = plugin("echo", core_version=wanted)
    if fits:
        assert len(registry.discover(folder)) == 1
        return
    error = refusal(registry, folder)
    assert isinstance(error, VersionIncompatible)
    assert (error.wanted, error.found) == (wanted, version)


# Runtimes


def test_a_runtime_that_the_host_lacks_is_named(registry: PluginRegistry, plugin: WritePlugin) -> None:
    error = refusal(registry, plugin("echo", **MCP))
    assert isinstance(error, RuntimeNotSupported)
    assert error.allowed == ("mcp_http",)
    assert "in_process" in error.available
    assert "mcp_http" in str(error)
    assert "in_process" in str(error)


def test_of_a_list_the_host_takes_what_it_has(registry: PluginRegistry, plugin: WritePlugin) -> None:
    registry.discover(plugin("echo", **MCP | {"runtime": ["mcp_http", "in_process"]}))
    assert only_status(registry).runtime == "in_process"


def test_the_host_may_allow_no_runtime(plugin: WritePlugin) -> None:
    error = refusal(PluginRegistry(runtimes=[]), plugin("echo"))
    assert isinstance(error, RuntimeNotSupported)
    assert error.available == ()


def test_the_host_may_choose_the_runtime_of_one_plugin(plugin: WritePlugin, plugins: Path) -> None:
    registry = PluginRegistry(runtimes=[], runtime_for={("tool", "chosen"): "in_process"})
    plugin("chosen")
    plugin("other")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["chosen"]


@pytest.mark.parametrize(
    "how", [{"runtimes": ["warp"]}, {"runtime_for": {("tool", "echo"): "warp"}}, {"runtimes": ["in_process", "warp"]}]
)
def test_a_host_that_wants_what_is_not_installed_is_told_at_once(how: dict[str, Any]) -> None:
    with pytest.raises(RuntimeNotSupported, match="cannot run warp"):
        PluginRegistry(**how)


def test_a_runtime_that_the_manifest_does_not_allow_is_not_forced(plugin: WritePlugin) -> None:
    registry = PluginRegistry(runtime_for={("tool", "echo"): "in_process"})
    error = refusal(registry, plugin("echo", **MCP))
    assert isinstance(error, RuntimeNotSupported)


def test_by_default_a_host_takes_what_it_can_and_process_first(plugin: WritePlugin, plugins: Path) -> None:
    registry = PluginRegistry()
    plugin("far", **MCP)
    plugin("near", **MCP | {"runtime": ["mcp_http", "in_process"]})
    registry.discover(plugins)
    assert {status.name: status.runtime for status in registry.status()} == {"far": "mcp_http", "near": "in_process"}


@pytest.mark.skipif(os.name != "posix", reason="mcp_stdio needs POSIX")
def test_the_hosts_order_chooses_among_what_a_manifest_allows(plugin: WritePlugin, plugins: Path) -> None:
    both = {"runtime": ["mcp_http", "in_process", "mcp_stdio"], "mcp_stdio": {"command": ["true"]}}
    plugin("one", **MCP | both)
    plugin("other", **MCP | both)
    order = ["mcp_stdio", "in_process"]
    registry = PluginRegistry(runtimes=order, runtime_for={("tool", "other"): "mcp_http"})
    registry.discover(plugins)
    assert {status.name: status.runtime for status in registry.status()} == {"one": "mcp_stdio", "other": "mcp_http"}


def test_a_runtime_that_is_not_installed_is_told_with_what_to_install(
    plugin: WritePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "mcp_http needs the MCP SDK: pip install 'dagstack-plugins[mcp]'"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    lacking.cache_clear()
    try:
        error = refusal(PluginRegistry(), plugin("echo", **MCP))
        assert isinstance(error, RuntimeNotSupported)
        assert told in str(error)
        with pytest.raises(RuntimeNotSupported, match=re.escape(told)):
            PluginRegistry(runtimes=["mcp_http"])
    finally:
        lacking.cache_clear()


HIDDEN = {"kind": "secretive", "kind_api_version": "1.0.0", "description": "Whispers."}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ({"hooks": [{"name": "a", "dispatch": "singleton", "description": "A.", "mcp_exposed": False}]}, "requires a"),
        (
            {"hooks": [{"name": "a", "dispatch": "broadcast_notify", "description": "A.", "mcp_exposed": False}]},
            "has no hook that other processes can offer",
        ),
        (
            {
                "hooks": [{"name": "a", "dispatch": "singleton", "description": "A."}],
                "constraints": {"in_process_only": True},
            },
            "run in process, as its hookspec says",
        ),
    ],
)
def test_a_kind_that_needs_the_hosts_process_takes_no_plugin_elsewhere(
    plugin: WritePlugin, tmp_path: Path, kind: dict[str, Any], told: str
) -> None:
    (tmp_path / "v1.yaml").write_text(json.dumps(HIDDEN | kind))
    registry = PluginRegistry()
    registry.add_hookspecs(tmp_path / "v1.yaml")
    error = refusal(registry, plugin("far", kind="secretive", **MCP))
    assert isinstance(error, RuntimeNotSupported)
    assert told in str(error)


def test_what_the_host_hands_over_runs_in_its_process() -> None:
    manifest = {"name": "far", "kind": "tool", "core_version": ">=0.1", **MCP}
    with pytest.raises(RuntimeNotSupported, match="what the host registers itself runs in process"):
        PluginRegistry().register(object(), manifest)


@pytest.mark.parametrize("model", ["sync", "async", "thread_cpu_bound", "process_cpu_bound"])
def test_execution_models(registry: PluginRegistry, plugin: WritePlugin, model: str) -> None:
    assert len(registry.discover(plugin("echo", execution_model=model))) == 1


# The schema of the configuration

NO_SCHEMAS: list[dict[str, Any]] = [
    {"type": "strnig"},
    {"type": 5},
    {"properties": []},
    {"required": "host"},
    {"pattern": "("},
    {"properties": {"host": {"minLength": "one"}}},
    {"$ref": "https://schemas.example/config.json"},
    {"$ref": "file:///etc/hostname"},
    {"$ref": "other.json"},
    {"$ref": "#/$defs/nothing"},
    {"properties": {"host": {"$ref": "#/$defs/nothing"}}},
]


@pytest.mark.parametrize("schema", NO_SCHEMAS, ids=json.dumps)
def test_a_schema_in_the_manifest_must_compile(
    registry: PluginRegistry, plugin: WritePlugin, schema: dict[str, Any]
) -> None:
    error = refusal(registry, plugin("echo", config_schema=schema))
    assert isinstance(error, ManifestInvalid)
    assert "dagstack.json" in str(error)
    assert error.faults[0].path.startswith("plugin.config_schema")


@pytest.mark.parametrize("schema", NO_SCHEMAS, ids=json.dumps)
def test_a_schema_in_a_file_must_compile(registry: PluginRegistry, plugin: WritePlugin, schema: dict[str, Any]) -> None:
    folder = plugin("echo", config_schema="config.json", files={"config.json": json.dumps(schema)})
    error = refusal(registry, folder)
    assert isinstance(error, ManifestInvalid)
    assert error.faults[0].path.startswith("plugin.config_schema")


@pytest.mark.parametrize(
    "schema", [*map(repr, NO_SCHEMAS), "5", "'text'", "[]", "object()", "{'default': object()}", "{1: 2}"]
)
def test_a_schema_on_the_class_must_compile(registry: PluginRegistry, plugin: WritePlugin, schema: str) -> None:
    code = f"class Echo:\n    config_schema = {schema}\n    def execute(self): ...\n"
    error = refusal(registry, plugin("echo", code))
    assert isinstance(error, ManifestInvalid)
    assert "Echo.config_schema" in str(error)
    assert (error.kind, error.plugin) == ("tool", "echo")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent.json", "no such file"),
        ("../outside.json", "inside the plugin's folder"),
        ("broken.json", "line 1"),
        ("list.json", "expected a JSON object"),
    ],
)
def test_a_schema_file_that_is_none(registry: PluginRegistry, plugin: WritePlugin, name: str, told: str) -> None:
    files = {"broken.json": "{", "list.json": "[]", "../outside.json": "{}"}
    error = refusal(registry, plugin("echo", config_schema=name, files=files))
    assert isinstance(error, ManifestInvalid)
    assert told in str(error)


def test_the_manifests_schema_comes_before_the_classs(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = "class Echo:\n    config_schema = {'type': 'strnig'}\n    def execute(self): ...\n"
    assert len(registry.discover(plugin("echo", code, config_schema=ANY))) == 1


class _Counting(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)


@pytest.fixture
def server() -> Iterator[str]:
    _Counting.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Counting) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("field", ["$schema", "$ref", "$dynamicRef", "$id"])
def test_nothing_that_a_schema_names_is_fetched(
    registry: PluginRegistry, plugin: WritePlugin, server: str, field: str
) -> None:
    code = f"class Echo:\n    config_schema = {{{field!r}: '{server}/class.json'}}\n    def execute(self): ...\n"
    plugin("manifest", config_schema={field: f"{server}/manifest.json"})
    registry.discover(plugin("class", code).parent)
    assert len(registry.status()) == 2
    assert _Counting.asked == []


@pytest.mark.parametrize("where", ["manifest", "file", "class"])
def test_a_good_schema_is_used(plugin: WritePlugin, where: str) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["host"]}
    given: dict[str, Any] = {"manifest": schema, "file": "c.json", "class": None}
    code = f"class Echo:\n    config_schema = {schema if where == 'class' else None}\n    def execute(self): ...\n"
    registry = PluginRegistry()
    registry.discover(plugin("echo", code, files={"c.json": json.dumps(schema)}, config_schema=given[where]))
    with registry.running():
        assert "host" in only_status(registry).reason


# Hooks

GREETER = {
    "greet": {"input_schema": {"type": "object", "properties": {"name": {}, "title": {}}, "required": ["name"]}},
    "wave": {"required": False},
    "noticed": {"dispatch": "broadcast_notify"},
}


def greeter(body: str) -> str:
    return "class Greeter:\n" + "".join(f"    {line}\n" for line in body.splitlines())


def test_required_hooks_must_be_there(registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind) -> None:
    registry.add_hookspecs(kind("greeter", {**GREETER, "part": {}, "return_": {}}))
    error = refusal(registry, plugin("echo", greeter("def wave(self): ...\ndef part(self): ..."), kind="greeter"))
    assert isinstance(error, PluginLoadError)
    assert "Greeter lacks greet, return_" in str(error)


def test_one_hook_must_be_there(registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind) -> None:
    hooks = {"noticed": {"dispatch": "broadcast_notify"}, "asked": {"dispatch": "broadcast_collect"}}
    registry.add_hookspecs(kind("listener", hooks))
    code = greeter("def notice(self): ...")
    error = refusal(registry, plugin("echo", code, kind="listener", entry_point="plugin:Greeter"))
    assert isinstance(error, PluginLoadError)
    assert "Greeter has none of the hooks of kind 'listener': noticed, asked" in str(error)


@pytest.mark.parametrize(
    "hook",
    [
        "def greet(self, name): ...",
        "def greet(self, name, title=None): ...",
        "def greet(self, name, ctx): ...",
        "def greet(self, context, payload): ...",
        "def greet(self, whatever): ...",
        "def greet(self): ...",
        "def greet(self, **rest): ...",
        "def greet(self, *, name, **rest): ...",
        "def greet(self, name, /): ...",
        "async def greet(self, name): ...",
        "@staticmethod\ndef greet(name): ...",
        "@classmethod\ndef greet(cls, name): ...",
        "greet = lambda self, name: None",
        "import functools\ngreet = functools.partialmethod(lambda self, greeting, name: None, 'hi')",
        "class Callable:\n    def __call__(self, name): ...\ngreet = Callable()",
    ],
)
def test_hooks_that_can_be_bound(registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, hook: str) -> None:
    registry.add_hookspecs(kind("greeter", GREETER))
    registry.discover(plugin("echo", greeter(hook), kind="greeter"))
    assert only_status(registry).state == "registered", only_status(registry).reason


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("def greet(self, name, colour): ...", "'colour'"),
        ("def greet(self, *args): ...", "*args"),
        ("def greet(self, name, title): ...", "give the parameter a default"),
        ("def greet(self, colour, **rest): ...", "'colour'"),
        ("def greet(self, name):\n    yield name", "generator"),
        ("async def greet(self, name):\n    yield name", "generator"),
        ("def greet(name): ...", "lacks"),
        ("def greet(): ...", "greet"),
        ("greet = 'hello'", "lacks greet"),
        ("greet = None", "lacks greet"),
        ("greet = int", "greet"),
    ],
)
def test_hooks_that_cannot_be_bound(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, hook: str, told: str
) -> None:
    registry.add_hookspecs(kind("greeter", GREETER))
    code = greeter(hook)
    if told == "lacks":  # `self` is taken for the name, so the method takes nothing: fine
        assert len(registry.discover(plugin("echo", code, kind="greeter"))) == 1
        return
    error = refusal(registry, plugin("echo", code, kind="greeter", entry_point="plugin:Greeter"))
    assert isinstance(error, PluginLoadError), error
    assert told in str(error)


def test_a_hook_that_cannot_be_bound_shows_signature_and_properties(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind
) -> None:
    registry.add_hookspecs(kind("greeter", GREETER))
    error = refusal(registry, plugin("echo", greeter("def greet(self, name, colour): ..."), kind="greeter"))
    assert (error.kind, error.plugin, error.hook) == ("greeter", "echo", "greet")
    assert "signature: (name, colour)" in str(error)
    assert "properties: name, title" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        "def setup(self, ctx): ...",
        "def setup(self): ...",
        "def setup(self, anything=None): ...",
        "def setup(self, *args, **kwargs): ...",
        "async def setup(self, context): ...",
        "@staticmethod\ndef setup(ctx): ...",
        "setup = None",
        "def teardown(self): ...",
        "async def teardown(self): ...",
        "def teardown(self, ctx): ...",
    ],
)
def test_setup_and_teardown(registry: PluginRegistry, plugin: WritePlugin, body: str) -> None:
    registry.discover(plugin("echo", greeter(f"def execute(self): ...\n{body}")))
    assert only_status(registry).state == "registered", only_status(registry).reason


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def setup(self, ctx, config): ...", "setup has the signature (ctx, config); write setup(self, ctx)"),
        ("def setup(): ...", "setup"),
        ("def setup(self, *, ctx): ...", "setup has the signature (*, ctx); write setup(self, ctx)"),
        ("async def teardown(self, one, two): ...", "teardown has the signature (one, two); write teardown(self)"),
        ("setup = 5", "setup is 5, not a method"),
        ("teardown = 'later'", "teardown is 'later', not a method"),
        ("def setup(self, ctx):\n    yield", "setup is a generator"),
        ("async def teardown(self):\n    yield", "teardown is a generator"),
        ("setup = type", "setup has no signature that Python can read; write setup(self, ctx)"),
    ],
)
def test_setup_and_teardown_that_cannot_be_called(
    registry: PluginRegistry, plugin: WritePlugin, body: str, told: str
) -> None:
    error = refusal(registry, plugin("echo", greeter(f"def execute(self): ...\n{body}")))
    assert isinstance(error, PluginLoadError)
    assert told in str(error)


def test_matches_is_read_for_capability_hooks(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    registry.add_hookspecs(kind("reader", {"read": {"dispatch": "capability"}}))
    plugin("fine", greeter("def read(self): ...\ndef matches(self, payload): ..."), kind="reader")
    plugin("coroutine", greeter("def read(self): ...\nasync def matches(self, payload): ..."), kind="reader")
    plugin("two", greeter("def read(self): ...\ndef matches(self, one, two): ..."), kind="reader")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["fine"]
    reasons = {status.name: status.reason for status in registry.status()}
    assert "matches is a coroutine function" in reasons["coroutine"]
    assert "matches" in reasons["two"]


def test_elsewhere_a_plugin_may_call_its_own_method_matches(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = greeter("def execute(self): ...\nasync def matches(self, one, two): ...")
    assert len(registry.discover(plugin("echo", code))) == 1


# Duplicates


def test_the_first_of_two_is_kept_and_both_places_are_named(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    plugin("same", at="a")
    plugin("same", at="b")
    plugin("z-after")
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.discover(plugins)
    error = caught.value
    assert (error.kind, error.plugin, error.candidates) == ("tool", "same", ("same",))
    assert error.places == (str(plugins / "a"), str(plugins / "b"))
    assert all(place in str(error) for place in error.places)
    # Discovery finished first.
    assert [manifest.folder for manifest in registry.list_manifests()] == [plugins / "a", plugins / "z-after"]
    states = {status.location: status.state for status in registry.status()}
    assert states == {
        str(plugins / "a"): "registered",
        str(plugins / "b"): "unavailable",
        str(plugins / "z-after"): "registered",
    }
    with registry.running():
        assert registry.get_plugin("tool", "same").execute(a=1) == {"a": 1}


def test_the_code_of_the_second_does_not_run(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("same", at="a")
    plugin("same", "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n", at="b")
    with pytest.raises(AmbiguousPlugin):
        registry.discover(plugins)
    assert not (plugins / "b" / "ran").exists()


def test_several_duplicates_are_told_together(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    for place in "abc":
        plugin("same", at=f"{place}/same")
        plugin("other", at=f"{place}/other")
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.discover(plugins)
    told = "\n".join([str(caught.value), *caught.value.__notes__])
    for place in ("b/same", "b/other", "c/same", "c/other"):
        assert str(plugins / place) in told


def test_a_second_one_in_another_root_is_a_duplicate_too(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    registry.discover(plugin("same", at="one/same"))
    second = plugin("same", at="two/same")
    for _ in range(2):
        with pytest.raises(AmbiguousPlugin) as caught:
            registry.discover(plugins / "two")
        assert caught.value.places == (str(plugins / "one" / "same"), str(second))
        assert len(registry.status()) == 2


def test_one_name_in_two_kinds_is_no_duplicate(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    registry.add_hookspecs(kind("other", {"execute": {}}))
    plugin("same", at="a")
    plugin("same", at="b", kind="other")
    assert len(registry.discover(plugins)) == 2


def test_a_faulty_first_leaves_its_name_to_the_second(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    plugin("same", "1 / 0", at="a")
    plugin("same", at="b")
    assert [manifest.folder for manifest in registry.discover(plugins)] == [plugins / "b"]
    with registry.running():
        assert registry.get_plugin("tool", "same").execute(a=1) == {"a": 1}


async def test_when_the_first_is_gone_the_second_is_taken(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path
) -> None:
    first = plugin("same", at="a")
    plugin("same", at="b")
    with pytest.raises(AmbiguousPlugin):
        registry.discover(plugins)
    await registry.unregister("tool", "same")
    (first / "dagstack.json").unlink()
    assert [manifest.folder for manifest in registry.discover(plugins)] == [plugins / "b"]
    assert len(registry.status()) == 1


# Mended on disk


@pytest.mark.parametrize(
    "fault",
    [
        {"code": "raise ValueError('a long story of what went wrong')"},
        {"code": "def ("},
        {"code": None},
        {"code": "class Other: ...\n"},
        {"priority": -1},
        {"core_version": ">=99"},
        {"kind_api_version": "7"},
        {"kind": "unknown"},
        {"config_schema": {"type": 5}},
        MCP,
    ],
    ids=str,
)
def test_a_refused_plugin_that_was_mended_is_taken_next_time(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, fault: Mapping[str, Any]
) -> None:
    folder = plugin("echo", **fault)
    assert registry.discover(plugins) == []
    before = only_status(registry)
    assert registry.discover(plugins) == []
    assert only_status(registry) == before
    (folder / "plugin.py").unlink(missing_ok=True)
    plugin("echo")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["echo"]
    assert only_status(registry).state == "registered"
    with registry.running():
        assert registry.get_plugin("tool", "echo").execute(a=1) == {"a": 1}


def test_a_plugin_whose_fault_changed_says_the_new_one(
    registry: PluginRegistry, plugin: WritePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    folder = plugin("echo", "raise ValueError('first')")
    registry.discover(folder)
    plugin("renamed", "raise ValueError('then another')", at="echo")
    registry.discover(folder)
    assert only_status(registry).name == "renamed"
    assert "then another" in only_status(registry).reason
    assert len(caplog.records) == 2


def test_an_unreadable_manifest_that_was_mended_is_taken(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo")
    good = (folder / "dagstack.json").read_text()
    (folder / "dagstack.json").write_text("{")
    registry.discover(folder)
    registry.discover(folder)
    assert only_status(registry).name is None
    (folder / "dagstack.json").write_text(good)
    assert len(registry.discover(folder)) == 1
    assert only_status(registry).state == "registered"


def test_a_manifest_that_moved_to_another_file_is_the_same_plugin(
    registry: PluginRegistry, plugin: WritePlugin
) -> None:
    folder = plugin("echo", "1 / 0")
    registry.discover(folder)
    (folder / "dagstack.json").unlink()
    (folder / "dagstack.toml").write_text(
        "[plugin]\nname='echo'\nkind='tool'\ncore_version='>=0'\nruntime='in_process'\n"
    )
    registry.discover(folder)
    assert only_status(registry).state == "unavailable"


async def test_a_refused_plugin_can_be_unregistered(registry: PluginRegistry, plugin: WritePlugin) -> None:
    registry.discover(plugin("echo", "1 / 0"))
    await registry.unregister("tool", "echo")
    assert registry.status() == []


# Strict


def test_strict_raises_all_faults_and_registers_nothing(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, loaded: LoadedModules
) -> None:
    plugin("a-good")
    plugin("broken", "1 / 0")
    plugin("Unreadable")
    plugin("old", core_version="<0.1")
    plugin("lost", kind="nowhere")
    plugin("same", at="x")
    plugin("same", at="y")
    with pytest.raises(ExceptionGroup) as caught:
        registry.discover(plugins, strict=True)
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == [
        "AmbiguousPlugin",
        "KindUnknown",
        "ManifestInvalid",
        "PluginLoadError",
        "VersionIncompatible",
    ]
    assert registry.status() == []
    assert registry.list_manifests() == []
    assert loaded() == set()


def test_strict_with_nothing_faulty_registers_all(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("one")
    plugin("two")
    assert [manifest.name for manifest in registry.discover(plugins, strict=True)] == ["one", "two"]


def test_strict_keeps_what_was_there_before(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("one")
    plugin("broken", "1 / 0")
    plugin("waits", kind="nowhere")
    registry.discover(plugins)
    before = registry.status()
    plugin("two")
    with caplog.at_level(logging.DEBUG), pytest.raises(ExceptionGroup) as caught:
        registry.discover(plugins, strict=True)
    assert len(caught.value.exceptions) == 2
    assert registry.status() == before


def test_after_strict_all_may_be_mended(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("good")
    plugin("broken", "1 / 0")
    with pytest.raises(ExceptionGroup):
        registry.discover(plugins, strict=True)
    plugin("broken")
    assert len(registry.discover(plugins, strict=True)) == 2
    with registry.running():
        assert registry.get_plugin("tool", "good").execute(a=1) == {"a": 1}


# Laws

Folder = tuple[dict[str, Any], str | None]

GOOD: list[Folder] = [
    ({}, "class P:\n    def execute(self, args): return args\n"),
    ({"entry_point": "plugin:Q"}, "class P: ...\nclass Q:\n    async def execute(self): ...\n"),
]
FAULTY: list[Folder] = [
    ({}, None),
    ({}, "1 / 0"),
    ({}, "raise SystemExit"),
    ({}, "class P: ..."),
    ({}, "class P:\n    def __init__(self, x): ...\n    def execute(self): ...\n"),
    ({}, "class P:\n    def execute(self, one, two): ...\n"),
    ({"kind": "nowhere"}, GOOD[0][1]),
    ({"core_version": ">=9"}, GOOD[0][1]),
    ({"kind_api_version": "2"}, GOOD[0][1]),
    ({"priority": "high"}, GOOD[0][1]),
    ({"config_schema": {"type": 1}}, GOOD[0][1]),
]


def fill(root: Path, mixture: list[Folder]) -> None:
    for number, (fields, code) in enumerate(mixture):
        folder = root / f"p{number}"
        folder.mkdir()
        known = {"name": f"p{number}", "kind": "tool", "core_version": ">=0", "runtime": "in_process"}
        (folder / "dagstack.json").write_text(json.dumps({"plugin": known | fields}))
        if code is not None:
            (folder / "plugin.py").write_text(code)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([*GOOD, *FAULTY]), max_size=8))
def test_good_plugins_are_registered_whatever_lies_beside_them(mixture: list[Folder]) -> None:
    good = {f"p{number}" for number, folder in enumerate(mixture) if folder in GOOD}
    everyone = {f"p{number}" for number in range(len(mixture))}
    with TemporaryDirectory() as root:
        fill(Path(root), mixture)
        registry = PluginRegistry()
        assert {manifest.name for manifest in registry.discover(root)} == good
        before = registry.status()
        assert {status.name for status in before} == everyone
        assert {status.name for status in before if status.error is not None} == everyone - good
        assert {status.name for status in before if status.state == "unavailable"} == everyone - good
        assert registry.discover(root) == []
        assert registry.status() == before


@settings(max_examples=20)
@given(st.lists(st.sampled_from([*GOOD, *FAULTY]), max_size=6))
def test_strict_is_all_or_nothing(mixture: list[Folder]) -> None:
    faulty = [folder for folder in mixture if folder in FAULTY]
    with TemporaryDirectory() as root:
        fill(Path(root), mixture)
        registry = PluginRegistry()
        if faulty:
            with pytest.raises(ExceptionGroup) as caught:
                registry.discover(root, strict=True)
            assert len(caught.value.exceptions) == len(faulty)
            assert registry.status() == []
        else:
            assert len(registry.discover(root, strict=True)) == len(registry.status()) == len(mixture)
