"""A host for tests of dispatch: one registry, one kind, and plugins made of the functions that a test hands over."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginManifest, PluginRegistry, PluginState

TEXT = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


class Host:
    """One registry and one kind.

    Attributes:
        registry: the registry.
        kind: the name of the kind.
    """

    def __init__(self, registry: PluginRegistry, kind: str) -> None:
        self.registry = registry
        self.kind = kind

    def add(self, name: str, **given: Any) -> PluginManifest:
        """Register a plugin: what can be called is a method of its class, all else a field of its manifest."""
        methods = {key: value for key, value in given.items() if callable(value)}
        fields = {key: value for key, value in given.items() if not callable(value)}
        manifest = {"name": name, "kind": self.kind, "core_version": ">=0.1", "runtime": "in_process", **fields}
        return self.registry.register(type(f"Plugin_{name}", (), methods), manifest)

    def call(self, hook: str, *args: Any, **kwargs: Any) -> Any:
        """Call a hook by its dispatch class."""
        return getattr(self.registry.kind(self.kind), hook)(*args, **kwargs)

    def states(self) -> dict[str, PluginState]:
        """The state of each plugin, by name."""
        return {str(status.name): status.state for status in self.registry.status()}


NewHost = Callable[..., Host]


@pytest.fixture(scope="session")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> NewHost:
    """Makes a host, ``new_host({hook: {field of the hookspec: …}}, kind="greeter", **options of the registry)``."""

    @cache
    def hookspec(document: str) -> Path:
        file = tmp_path_factory.mktemp("kind") / "v1.yaml"
        file.write_text(document, encoding="utf-8")  # JSON is YAML
        return file

    def make(hooks: Mapping[str, Mapping[str, Any]], kind: str = "greeter", **options: Any) -> Host:
        declared = [{"name": hook, "dispatch": "singleton", **fields} for hook, fields in hooks.items()]
        registry = PluginRegistry(**options)
        registry.add_hookspecs(hookspec(json.dumps({"kind": kind, "kind_api_version": "1.0.0", "hooks": declared})))
        return Host(registry, kind)

    return make


@pytest.fixture(scope="session")
def text() -> Mapping[str, Any]:
    """A schema: an object with one string, ``text``."""
    return TEXT


class Counting:
    """A tool that counts how many of its calls run at once.

    Attributes:
        running: so many run now.
        most: so many did at some moment.
    """

    def __init__(self) -> None:
        self.running = self.most = 0
        self._lock = threading.Lock()

    def execute(self, args: Any) -> None:
        """Work for a moment."""
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.005)
        with self._lock:
            self.running -= 1


@pytest.fixture
def counting() -> Counting:
    return Counting()
