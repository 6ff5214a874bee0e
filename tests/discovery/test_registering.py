"""Plugins that the host hands over itself: classes, objects, modules; and native pluggy plugins."""

from __future__ import annotations

import gc
import sys
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dagstack_plugins import (
    AmbiguousPlugin,
    Call,
    KindUnknown,
    ManifestInvalid,
    PluginLoadError,
    PluginManifest,
    PluginRegistry,
    PluginRegistryError,
    PluginUnavailable,
    RuntimeNotSupported,
    VersionIncompatible,
    hookimpl,
    load_manifest,
)

WritePlugin = Callable[..., Path]
WriteKind = Callable[..., Path]
Manifest = Callable[..., dict[str, Any]]


class Echo:
    def execute(self, args: Any) -> Any:
        return dict(args)


class Two:
    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    def execute(self) -> str:
        return self.greeting


def module(name: str, code: str, **names: Any) -> ModuleType:
    """A module of the host's."""
    made = ModuleType(name)
    made.__dict__.update(names)
    exec(textwrap.dedent(code), made.__dict__)
    return made


def answer(registry: PluginRegistry, name: str = "echo", kind: str = "tool", **args: Any) -> Any:
    with registry.running():
        return registry.get_plugin(kind, name).execute(**args)


def refusal(registry: PluginRegistry, plugin: Any, manifest: Any) -> PluginRegistryError:
    """The error of a registration that failed and left nothing behind."""
    with pytest.raises(PluginRegistryError) as caught:
        registry.register(plugin, manifest)
    assert registry.status() == []
    assert registry.list_manifests() == []
    return caught.value


# What may be handed over, and as what


def test_a_class(registry: PluginRegistry, manifest: Manifest) -> None:
    found = registry.register(Echo, manifest("echo"))
    assert isinstance(found, PluginManifest)
    assert registry.list_manifests() == [found]
    assert answer(registry, a=1) == {"a": 1}


def test_an_object(registry: PluginRegistry, manifest: Manifest) -> None:
    registry.register(Two("hello"), manifest("echo"))
    assert answer(registry) == "hello"


def test_an_object_of_no_class_of_its_own(registry: PluginRegistry, manifest: Manifest) -> None:
    registry.register(SimpleNamespace(execute=lambda: "hello"), manifest("echo"))
    assert answer(registry) == "hello"


def test_a_class_with_slots(registry: PluginRegistry, manifest: Manifest) -> None:
    class Slotted:
        __slots__ = ("ready",)

        def setup(self) -> None:
            self.ready = True

        def execute(self) -> bool:
            return self.ready

    registry.register(Slotted, manifest("echo"))
    assert answer(registry) is True


def test_one_class_may_be_several_plugins(registry: PluginRegistry, manifest: Manifest) -> None:
    for name in ("one", "two"):
        registry.register(Echo, manifest(name))
    assert answer(registry, "two", a=1) == {"a": 1}


def test_the_location_names_the_class(registry: PluginRegistry, manifest: Manifest) -> None:
    registry.register(Echo, manifest("echo"))
    assert registry.status()[0].location == f"{__name__}.Echo"
    assert registry.status()[0].runtime == "in_process"


@pytest.mark.parametrize("form", ["flat", "nested", "manifest", "folder", "file", "text", "relative"])
def test_the_manifest_may_be_a_dict_a_path_or_a_manifest(
    registry: PluginRegistry,
    plugin: WritePlugin,
    manifest: Manifest,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = plugin("echo", None)
    monkeypatch.chdir(tmp_path)
    forms: dict[str, Any] = {
        "flat": manifest("echo"),
        "nested": {"plugin": manifest("echo")},
        "manifest": load_manifest(folder),
        "folder": folder,
        "file": folder / "dagstack.json",
        "text": str(folder),
        "relative": "plugins/echo",
    }
    assert registry.register(Echo, forms[form]).name == "echo"
    assert answer(registry, a=1) == {"a": 1}


def test_a_folder_whose_manifest_was_handed_over_is_nothing_new(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo")
    registry.register(Echo, folder)
    assert registry.discover(folder) == []
    assert len(registry.status()) == 1


def test_a_missing_manifest_file(registry: PluginRegistry, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        registry.register(Echo, tmp_path / "absent.toml")
    with pytest.raises(FileNotFoundError, match=r"dagstack\.toml"):
        registry.register(Echo, tmp_path)


@pytest.mark.parametrize("given", [None, 5, [], object(), Echo])
def test_a_manifest_that_is_none_of_these(registry: PluginRegistry, given: Any) -> None:
    with pytest.raises((ManifestInvalid, TypeError)):
        registry.register(Echo, given)
    assert registry.status() == []


# Raised at once


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"priority": -1}, ManifestInvalid),
        ({"colour": "red"}, ManifestInvalid),
        ({"kind": "nowhere"}, KindUnknown),
        ({"kind_api_version": "9"}, VersionIncompatible),
        ({"core_version": "<0.1"}, VersionIncompatible),
        ({"runtime": "mcp_http", "mcp_http": {"url": "https://tools.example"}}, RuntimeNotSupported),
        ({"config_schema": {"type": 5}}, ManifestInvalid),
    ],
)
def test_what_is_wrong_is_raised_at_once_and_leaves_nothing(
    registry: PluginRegistry, manifest: Manifest, fields: dict[str, Any], error: type[PluginRegistryError]
) -> None:
    assert type(refusal(registry, Echo, manifest("echo", **fields))) is error
    assert registry.register(Echo, manifest("echo")).name == "echo"


@pytest.mark.parametrize("plugin", [Two, object(), object, None, 5, "plugin:Echo", print, ModuleType("empty")])
def test_a_plugin_that_is_none(registry: PluginRegistry, manifest: Manifest, plugin: Any) -> None:
    error = refusal(registry, plugin, manifest("echo"))
    assert isinstance(error, PluginLoadError)
    assert (error.kind, error.plugin) == ("tool", "echo")


@pytest.mark.parametrize("failure", [ValueError("no"), SystemExit(1), BaseException("base")])
def test_a_constructor_that_fails(registry: PluginRegistry, manifest: Manifest, failure: BaseException) -> None:
    class Failing(Echo):
        def __init__(self) -> None:
            raise failure

    error = refusal(registry, Failing, manifest("echo"))
    assert isinstance(error, PluginLoadError)
    assert error.__cause__ is failure


def test_a_second_of_one_name_names_both(registry: PluginRegistry, manifest: Manifest) -> None:
    registry.register(Echo, manifest("echo"))
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.register(Two("hi"), manifest("echo"))
    assert caught.value.places == (f"{__name__}.Echo", f"{__name__}.Two")
    assert len(registry.status()) == 1
    assert answer(registry, a=1) == {"a": 1}


def test_a_refused_plugin_of_that_name_is_no_hindrance(
    registry: PluginRegistry, plugin: WritePlugin, manifest: Manifest
) -> None:
    registry.discover(plugin("echo", "1 / 0"))
    registry.register(Echo, manifest("echo"))
    assert answer(registry, a=1) == {"a": 1}


def test_a_kind_that_others_wait_for_is_still_unknown(
    registry: PluginRegistry, plugin: WritePlugin, manifest: Manifest
) -> None:
    registry.discover(plugin("late", kind="later"))
    with pytest.raises(KindUnknown):
        registry.register(Echo, manifest("late", kind="later"))


async def test_unregistering(registry: PluginRegistry, manifest: Manifest) -> None:
    torn_down: list[str] = []

    class Closing(Echo):
        def teardown(self) -> None:
            torn_down.append("closed")

    registry.register(Closing, manifest("echo"))
    async with registry.running():
        await registry.unregister("tool", "echo")
        assert torn_down == ["closed"]
        assert registry.status() == []
        with pytest.raises(PluginUnavailable):
            registry.get_plugin("tool", "echo")
    assert torn_down == ["closed"]


async def test_unregistering_what_is_not_there(registry: PluginRegistry, manifest: Manifest) -> None:
    registry.register(Echo, manifest("echo"))
    with pytest.raises(PluginUnavailable, match="did you mean 'echo'"):
        await registry.unregister("tool", "ecco")
    with pytest.raises(KindUnknown):
        await registry.unregister("nowhere", "echo")


async def test_what_was_unregistered_is_freed(registry: PluginRegistry, manifest: Manifest) -> None:
    plugin = Two("hi")
    registry.register(plugin, manifest("echo"))
    async with registry.running():
        assert registry.get_plugin("tool", "echo").execute() == "hi"
    await registry.unregister("tool", "echo")
    gone = weakref.ref(plugin)
    del plugin
    gc.collect()
    assert gone() is None


# Modules


MODULE = """
class Helper: ...

class Echo:
    def execute(self):
        return "from a module"
"""


def test_a_module_with_its_manifest(registry: PluginRegistry, manifest: Manifest) -> None:
    made = module("host_tools", MODULE, DAGSTACK_PLUGIN_MANIFEST=manifest("echo"))
    assert registry.register_module(made).name == "echo"
    assert answer(registry) == "from a module"
    assert "host_tools" in registry.status()[0].location


def test_a_modules_manifest_may_be_a_path(registry: PluginRegistry, plugin: WritePlugin) -> None:
    made = module("host_tools", MODULE, DAGSTACK_PLUGIN_MANIFEST=plugin("echo", None))
    registry.register_module(made)
    assert answer(registry) == "from a module"


def test_a_module_without_a_manifest(registry: PluginRegistry) -> None:
    with pytest.raises(PluginLoadError, match="host_tools has no DAGSTACK_PLUGIN_MANIFEST"):
        registry.register_module(module("host_tools", MODULE))
    assert registry.status() == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("class Helper: ...", "classes found: Helper"),
        ("from collections import UserDict", "classes found: none"),
        (MODULE + "class Other(Echo): ...", "several classes"),
    ],
)
def test_the_same_rule_for_its_class(registry: PluginRegistry, manifest: Manifest, code: str, told: str) -> None:
    made = module("host_tools", code, DAGSTACK_PLUGIN_MANIFEST=manifest("echo"))
    with pytest.raises(PluginLoadError, match=told):
        registry.register_module(made)
    assert registry.status() == []


def test_a_modules_manifest_may_name_the_class(registry: PluginRegistry, manifest: Manifest) -> None:
    code = MODULE + "class Other(Echo):\n    def execute(self): return 'other'\n"
    own = manifest("echo", entry_point="host_tools:Other")
    registry.register_module(module("host_tools", code, DAGSTACK_PLUGIN_MANIFEST=own))
    assert answer(registry) == "other"


@pytest.mark.parametrize("entry_point", ["elsewhere:Echo", "host_tools:Absent"])
def test_a_modules_manifest_that_names_something_else(
    registry: PluginRegistry, manifest: Manifest, entry_point: str
) -> None:
    own = manifest("echo", entry_point=entry_point)
    with pytest.raises(PluginLoadError):
        registry.register_module(module("host_tools", MODULE, DAGSTACK_PLUGIN_MANIFEST=own))


async def test_the_hosts_modules_stay(
    registry: PluginRegistry, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = module("host_tools", MODULE, DAGSTACK_PLUGIN_MANIFEST=manifest("echo"))
    monkeypatch.setitem(sys.modules, "host_tools", made)
    registry.register_module(made)
    await registry.unregister("tool", "echo")
    assert sys.modules["host_tools"] is made


# Native pluggy plugins

SHOP = {
    "charge": {"input_schema": {"type": "object", "properties": {"amount": {"type": "integer"}}}},
    "refund": {"required": False},
}


@pytest.fixture
def shop(registry: PluginRegistry, kind: WriteKind) -> PluginRegistry:
    registry.add_hookspecs(kind("shop", SHOP))
    return registry


def charge(registry: PluginRegistry, **args: Any) -> Any:
    with registry.running():
        return registry.get_plugin("shop", "native").charge(**args)


@pytest.mark.parametrize(
    ("parameters", "gives"),
    [
        ("payload, call", "[payload.amount, call.kind, call.hook]"),
        ("call, payload", "[payload.amount, call.kind, call.hook]"),
        ("payload", "[payload.amount, 'shop', 'charge']"),
        ("call", "[3, call.kind, call.hook]"),
        ("", "[3, 'shop', 'charge']"),
    ],
)
@pytest.mark.parametrize("colour", ["", "async "])
async def test_functions_of_payload_and_call_or_fewer(
    shop: PluginRegistry, manifest: Manifest, parameters: str, gives: str, colour: str
) -> None:
    code = f"@hookimpl\n{colour}def charge({parameters}): return {gives}\ndef helper(): ...\n"
    shop.register(module("native", code, hookimpl=hookimpl), manifest("native", kind="shop"))
    async with shop.running():
        assert await shop.get_plugin("shop", "native").aio.charge(amount=3) == [3, "shop", "charge"]


def test_methods_of_a_class_or_an_object(shop: PluginRegistry, manifest: Manifest) -> None:
    class Native:
        @hookimpl
        def charge(self, payload: Any, call: Call) -> Any:
            return [payload["amount"], call.hook]

        @hookimpl
        @staticmethod
        def refund(payload: Any) -> Any:
            return dict(payload)

    shop.register(Native, manifest("native", kind="shop"))
    shop.register(Native(), manifest("another", kind="shop", priority=1))
    with shop.running():
        assert shop.get_plugin("shop", "native").charge(amount=1) == [1, "charge"]
        assert shop.get_plugin("shop", "another").refund(amount=1) == {"amount": 1}


def test_specname_says_which_hook(shop: PluginRegistry, manifest: Manifest) -> None:
    code = "@hookimpl(specname='charge')\ndef take_money(payload): return payload.amount\n"
    shop.register(module("native", code, hookimpl=hookimpl), manifest("native", kind="shop"))
    assert charge(shop, amount=4) == 4


def test_native_and_plain_methods_may_stand_together(shop: PluginRegistry, manifest: Manifest) -> None:
    class Mixed:
        @hookimpl
        def charge(self, payload: Any) -> Any:
            return payload.amount

        def refund(self, everything: Any) -> Any:
            return dict(everything)

    shop.register(Mixed, manifest("native", kind="shop"))
    with shop.running():
        plugin = shop.get_plugin("shop", "native")
        assert (plugin.charge(amount=2), plugin.refund(a=1)) == (2, {"a": 1})


def test_an_optional_hook_that_the_kind_lacks_is_passed_over(shop: PluginRegistry, manifest: Manifest) -> None:
    code = "@hookimpl\ndef charge(): return 1\n@hookimpl(optionalhook=True)\ndef audit(payload): ...\n"
    shop.register(module("native", code, hookimpl=hookimpl), manifest("native", kind="shop"))
    assert charge(shop) == 1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("@hookimpl(wrapper=True)\ndef charge(payload): yield", "horizontal_middleware"),
        ("@hookimpl(hookwrapper=True)\ndef charge(payload): yield", "horizontal_middleware"),
        ("@hookimpl(wrapper=True, specname='charge')\ndef other(payload): yield", "horizontal_middleware"),
        ("@hookimpl(tryfirst=True)\ndef charge(payload): ...", "manifest"),
        ("@hookimpl(trylast=True)\ndef charge(payload): ...", "manifest"),
        ("@hookimpl\ndef charge(payload, call, more): ...", "takes more"),
        ("@hookimpl\ndef charge(amount): ...", "takes amount"),
        ("@hookimpl\ndef charge(*args): ...", "takes args"),
        ("@hookimpl\ndef charge(**rest): ...", "takes rest"),
        ("@hookimpl\ndef chrage(payload): ...", "'chrage', which kind 'shop' does not have"),
        ("@hookimpl(specname='chrage')\ndef charge(payload): ...", "'chrage', which kind 'shop' does not have"),
        ("@hookimpl\ndef refund(payload): ...", "lacks charge"),
        ("def unmarked(payload): ...", "lacks charge"),
        (
            "@hookimpl\ndef charge(payload): ...\n@hookimpl(specname='charge')\ndef other(payload): ...",
            "'charge' and 'other' both implement 'charge'",
        ),
        ("@hookimpl\ndef charge(payload):\n    yield 1", "generator"),
    ],
)
def test_native_plugins_that_do_not_fit(shop: PluginRegistry, manifest: Manifest, code: str, told: str) -> None:
    error = refusal(shop, module("native", code, hookimpl=hookimpl), manifest("native", kind="shop"))
    assert isinstance(error, PluginLoadError)
    assert told in str(error)
    assert "module native" in str(error)


def test_markers_of_another_project_are_none(shop: PluginRegistry, manifest: Manifest) -> None:
    import pluggy

    code = "@foreign(wrapper=True)\ndef charge(payload): yield\ndef refund(): ...\n"
    made = module("native", code, foreign=pluggy.HookimplMarker("someone_else"))
    assert isinstance(refusal(shop, made, manifest("native", kind="shop")), PluginLoadError)


def test_properties_are_not_run_in_search_of_markers(shop: PluginRegistry, manifest: Manifest) -> None:
    class Native:
        @property
        def costly(self) -> Any:
            raise AssertionError("a property ran")

        @hookimpl
        def charge(self) -> int:
            return 1

    shop.register(Native, manifest("native", kind="shop"))
    assert charge(shop) == 1


def test_the_plugins_of_a_kind_are_in_its_pluggy_manager(shop: PluginRegistry, manifest: Manifest) -> None:
    code = "@hookimpl\ndef charge(payload): return payload.amount\n"
    shop.register(module("native", code, hookimpl=hookimpl), manifest("native", kind="shop"))
    with shop.running():
        manager = shop.plugin_manager("shop")
        assert [name for name, _ in manager.list_name_plugin()] == ["native"]
        payload = shop.types("shop").ChargeInput.from_dict({"amount": 5})
        assert manager.hook.charge(payload=payload, call=Call("shop", "charge")) == (5,)
