"""The kinds that are always known, and the schemas that they promise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import dagstack_plugins
from dagstack_plugins import PluginRegistry
from dagstack_plugins.errors import KindUnknown, PayloadInvalid
from dagstack_plugins.kinds.builtin import builtin_hookspec, builtin_hookspecs, builtin_kinds
from dagstack_plugins.kinds.compile import PROJECT, hookspecs_of
from dagstack_plugins.kinds.hookspec import read_hookspec
from dagstack_plugins.kinds.model import Dispatch

KINDS = ["chunker", "dag_listener", "horizontal_middleware", "orchestrator", "tool"]
MANIFEST = {"runtime": "in_process", "core_version": ">=0.0"}


def test_five_kinds_are_always_known() -> None:
    assert builtin_kinds() == KINDS
    registry = PluginRegistry()
    assert set(KINDS) <= set(registry.kinds())
    for kind in KINDS:
        assert registry.slot(kind).compiled.kind.name == kind


def test_the_folder_of_the_source_tree_is_the_one_that_is_read() -> None:
    beside = Path(dagstack_plugins.__file__).parent.parent / "hookspecs"
    inside = Path(dagstack_plugins.__file__).parent / "hookspecs"
    assert builtin_hookspecs() == (inside if inside.is_dir() else beside).resolve()


def test_they_are_read_when_first_named_and_not_before(monkeypatch) -> None:
    read: list[Path] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self) or original(self))
    registry = PluginRegistry()
    assert [file for file in read if "hookspecs" in file.parts] == []
    registry.types("chunker")
    assert {file.relative_to(builtin_hookspecs()).parts[0] for file in read if "hookspecs" in file.parts} == {"chunker"}
    before = len(read)
    registry.types("chunker")
    assert len(read) == before


@pytest.mark.parametrize("name", ["none", "", "../tool", "tool/../tool", ".", "Tool", "schemas"])
def test_other_names_are_unknown(name: str) -> None:
    assert builtin_hookspec(name) is None
    with pytest.raises(KindUnknown) as caught:
        PluginRegistry().types(name)
    assert caught.value.kind == name


@pytest.mark.parametrize("name", KINDS)
def test_their_hookspecs_can_be_added_like_any_other(name: str) -> None:
    file = builtin_hookspec(name)
    assert file is not None
    registry = PluginRegistry()
    assert registry.add_hookspecs(file) == [name]
    types = registry.types(name)
    assert registry.add_hookspecs(file.parent) == [name]
    assert registry.types(name) is types
    assert registry.add_hookspecs(builtin_hookspecs()) == KINDS


@pytest.mark.parametrize("name", KINDS)
def test_every_schema_file_is_sound_and_used(name: str) -> None:
    file = builtin_hookspec(name)
    assert file is not None
    kind = read_hookspec(file)
    assert (kind.description, kind.major) != ("", 0)
    assert all(hook.description for hook in kind.hooks.values())
    on_disk = {path.relative_to(file.parent).as_posix() for path in file.parent.glob("schemas/*.json")}
    assert on_disk == set(kind.schemas.bodies)
    for path in on_disk:
        body = json.loads((file.parent / path).read_text("utf-8"))
        jsonschema_rs.meta.validate(body)
        assert body.get("description"), path


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_compiles_into_pluggy_specifications(name: str) -> None:
    file = builtin_hookspec(name)
    assert file is not None
    kind = read_hookspec(file)
    specification = hookspecs_of(kind)
    for hook in kind.hooks.values():
        function = getattr(specification, hook.name)
        options = getattr(function, f"{PROJECT}_spec")
        assert options["firstresult"] is (hook.dispatch in (Dispatch.SINGLETON, Dispatch.CAPABILITY))
        assert function.__name__ == hook.name
        assert function.__doc__ == hook.description
    manager = PluginRegistry().plugin_manager(name)
    for hook in kind.hooks:
        assert set(getattr(manager.hook, hook).spec.argnames) == {"payload", "call"}


def running(kind: str, plugin: Any) -> tuple[PluginRegistry, Any]:
    registry = PluginRegistry()
    registry.register(plugin, {"name": "p", "kind": kind, "supports_extensions": ["txt"], **MANIFEST})
    return registry, registry.get_plugin(kind, "p")


@dataclass
class Chunk:
    text: str
    offset: int


class Chunker:
    def chunk(self, text: str, max_size: int = 512) -> list[Chunk]:
        return [Chunk(text=text[i : i + max_size], offset=i) for i in range(0, len(text), max_size)]


def test_a_chunker_takes_text_and_gives_chunks() -> None:
    registry, chunker = running("chunker", Chunker)
    with registry.running():
        pieces = chunker.chunk("Hello, dagstack!", max_size=5)
        assert [piece.text for piece in pieces] == ["Hello", ", dag", "stack", "!"]
        assert [piece["offset"] for piece in pieces] == [0, 5, 10, 15]
        assert chunker.chunk("abc") == [{"text": "abc", "offset": 0}]
        for wrong in ({}, {"text": 1}, {"text": "x", "size": 5}, {"text": "x", "max_size": "5"}):
            with pytest.raises(PayloadInvalid):
                chunker.chunk(wrong)


def test_a_chunk_without_its_place_is_refused() -> None:
    class Careless:
        def chunk(self, text: str) -> Any:
            return [{"text": text}]

    registry, chunker = running("chunker", Careless)
    with registry.running(), pytest.raises(PayloadInvalid) as caught:
        chunker.chunk("x")
    assert (caught.value.side, caught.value.path, caught.value.plugin) == ("output", "$[0]", "p")


def test_a_tool_takes_any_object_and_answers_with_anything() -> None:
    class Tool:
        def execute(self, args: Any) -> Any:
            return args.get("x", {1, 2})

    registry, tool = running("tool", Tool)
    with registry.running():
        assert tool.execute(x=[None]) == [None]
        assert tool.execute({}) == {1, 2}
        with pytest.raises(PayloadInvalid):
            tool.execute(["no object"])
    hooks = registry.slot("tool").compiled.kind.hooks
    assert {name: (hook.named, hook.required) for name, hook in hooks.items()} == {
        "execute": (True, True),
        "get_schema": (True, False),
    }


def test_middleware_runs_in_process_only_and_needs_none_of_its_hooks() -> None:
    kind = PluginRegistry().slot("horizontal_middleware").compiled.kind
    assert kind.in_process_only
    assert set(kind.hooks) == {"before", "after", "on_error"}
    assert not any(hook.required for hook in kind.hooks.values())


def test_dag_listeners_are_told_of_seven_events() -> None:
    kind = PluginRegistry().slot("dag_listener").compiled.kind
    assert len(kind.hooks) == 7
    assert {hook.dispatch for hook in kind.hooks.values()} == {Dispatch.BROADCAST_NOTIFY}


def test_the_orchestrator_is_a_singleton() -> None:
    kind = PluginRegistry().slot("orchestrator").compiled.kind
    assert {hook.dispatch for hook in kind.hooks.values()} == {Dispatch.SINGLETON}
    assert {"enqueue", "status", "backfill"} <= set(kind.hooks)
