"""A host for tests: it loads a plugin, with what that depends on, and calls it in the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

from dagstack_plugins.context import PluginContext
from dagstack_plugins.contract.neighbours import configured, neighbours, taken
from dagstack_plugins.discovery.kind_folders import nearest_kinds
from dagstack_plugins.dispatch.proxy import Proxy
from dagstack_plugins.manifest import PluginManifest, load_manifest
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.resources.registry import ResourceRegistry

T = TypeVar("T")


class TestHost:
    """Starts plugins for a test, each in a registry of its own; a context manager that stops them.

    Args:
        resources: what it lends.
        hookspecs: where kinds are declared, if the nearest folders are not meant.
    """

    __test__ = False

    def __init__(self, resources: ResourceRegistry, hookspecs: Sequence[str | Path] = ()) -> None:
        self._resources = resources
        self._hookspecs = hookspecs
        self._stack = ExitStack()

    def load(
        self,
        plugin: str | Path | type,
        manifest: PluginManifest | Mapping[str, Any] | str | Path | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        hookspecs: Sequence[str | Path] = (),
    ) -> Proxy:
        """Start a plugin, and the plugins beside it that it depends on, with their configurations for tests.

        Args:
            plugin: its folder, or its class.
            manifest: its manifest, for a class.
            config: its section of the configuration.
            hookspecs: where its kind is declared.

        Raises:
            PluginRegistryError: if it can't be loaded.
            PluginUnavailable: if it can't be started.
        """
        registry = PluginRegistry(resource_registry=self._resources)
        given = load_manifest(plugin) if isinstance(plugin, str | Path) else None
        folder = given.folder if given is not None else None
        for path in [*hookspecs, *self._hookspecs] or nearest_kinds([folder or Path.cwd()]):
            registry.add_hookspecs(path)
        if given is not None:
            found = taken(registry, given)
        elif manifest is not None:
            found = registry.register(plugin, manifest)
        else:
            raise TypeError("a class is loaded with its manifest: load_plugin(Echo, manifest={…})")
        needed, _ = neighbours(found)
        for one in needed:
            taken(registry, one)
        sections = configured(needed, self._folder()) if needed else {}
        if config is not None:
            sections.setdefault(found.kind, {})[found.name] = config
        self._start(registry, PluginContext(sections))
        for status in registry.status():
            if status.error is not None:
                raise status.error
        return registry.get_plugin(*found.key)

    def _folder(self) -> Path:
        return Path(self._stack.enter_context(TemporaryDirectory(prefix="dagstack-")))

    def _start(self, registry: PluginRegistry, context: PluginContext) -> None:
        # In a thread: an async test has a loop running, which plugins can't live on while the test blocks it.
        running = registry.running(context)
        _aside(running.__enter__)
        self._stack.callback(_aside, lambda: running.__exit__(None, None, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _aside(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()
