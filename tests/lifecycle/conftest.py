"""A host for tests of starting and stopping; its kinds are broadcasts, so that it knows neither ties nor fallbacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginManifest, PluginRegistry, PluginState, PluginStatus

KINDS = ("part", "gear")


class Host:
    """One registry, the kinds ``part`` and ``gear``, and what their plugins did.

    Attributes:
        registry: the registry.
        log: ``"start a"`` and ``"stop a"`` of each plugin that ``track`` made.
    """

    def __init__(self, registry: PluginRegistry) -> None:
        self.registry = registry
        self.log: list[str] = []

    def add(self, name: str, *, kind: str = "part", **given: Any) -> PluginManifest:
        """Register a plugin that answers with its name: what can be called is a method, all else a manifest's field."""
        methods = {"run": lambda self: name} | {key: value for key, value in given.items() if callable(value)}
        fields = {key: value for key, value in given.items() if not callable(value)}
        manifest = {"name": name, "kind": kind, "core_version": ">=0.1", "runtime": "in_process", **fields}
        return self.registry.register(type(f"Plugin_{name}", (), methods), manifest)

    def track(self, name: str, **given: Any) -> PluginManifest:
        """Register a plugin that logs its start and its stop."""

        async def setup(plugin: Any) -> None:
            self.log.append(f"start {name}")

        async def teardown(plugin: Any) -> None:
            self.log.append(f"stop {name}")

        return self.add(name, **({"setup": setup, "teardown": teardown} | given))

    def run(self, kind: str = "part") -> list[Any]:
        """The names of the plugins that answer."""
        return list(self.registry.kind(kind).run())

    def status(self, name: str, kind: str = "part") -> PluginStatus:
        """How one plugin is."""
        (found,) = [one for one in self.registry.status() if (one.kind, one.name) == (kind, name)]
        return found

    def states(self) -> dict[str, PluginState]:
        """The state of each plugin, by name."""
        return {str(status.name): status.state for status in self.registry.status()}


NewHost = Callable[..., Host]


@pytest.fixture(scope="session")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> NewHost:
    """Makes a host; takes the registry's options."""
    folder = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        file: Path = folder / kind / "v1.yaml"
        file.parent.mkdir()
        hooks = [{"name": "run", "dispatch": "broadcast_collect"}]
        file.write_text(json.dumps({"kind": kind, "kind_api_version": "1.0.0", "hooks": hooks}), encoding="utf-8")

    def make(**options: Any) -> Host:
        registry = PluginRegistry(**options)
        registry.add_hookspecs(folder)
        return Host(registry)

    return make


@pytest.fixture
def host(new_host: NewHost) -> Host:
    return new_host()
