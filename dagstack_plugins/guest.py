"""One plugin, alone in a process that its host started for it: loaded by the host's recipe, set up as the host says."""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Mapping
from typing import Any

from dagstack_plugins.context import PluginContext
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.traffic import Lane
from dagstack_plugins.kinds.builtin import builtin_hookspec
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.lock import LockedPlugin, PluginLock
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.resources.registry import ResourceRegistry


class Guest:
    """The plugin.

    Args:
        recipe: how it is loaded, as its host packed it.

    Attributes:
        manifest: the plugin's.
        typed: whether its inputs are checked, and given as typed payloads.
        registry: where it is alone.
        plugin: the plugin.
        codecs: of each hook of its kind, the border.
        lane: has an entry for each call under way, which ``ctx.in_flight`` counts.

    Raises:
        PluginUntrusted: if its files are others than those that the host's lock file tells of.
        PluginLoadError: if it can't be loaded.
    """

    def __init__(self, recipe: bytes) -> None:
        # It is alone of its kind: whom the host's environment makes active is not its business.
        for variable in [name for name in os.environ if name.startswith("DAGSTACK_ACTIVE_")]:
            del os.environ[variable]
        make, args, manifest, hookspec, typed, locked = pickle.loads(recipe)
        self.manifest: PluginManifest = manifest
        self.typed: bool = typed
        self.registry = PluginRegistry(validate="input" if typed else "off", runtimes=["in_process"])
        if builtin_hookspec(manifest.kind) != hookspec:
            self.registry.add_hookspecs(hookspec)
        source = make(*args)
        if locked is not None:  # files may have changed since the host looked
            PluginLock.of([LockedPlugin.of(manifest, locked)]).check(
                manifest, source.contents and source.contents.readable_hash
            )
        self.registry._take_one(source, manifest)  # noqa: SLF001 - a host has no sources, but ways to name them
        self._slot, self.plugin = _found(self.registry, manifest)
        self.codecs: Mapping[str, HookCodec] = self._slot.compiled.codecs
        self.lane: Lane = deque()
        self._running: Any = None

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return self._slot.compiled.kind

    def start(self, config: bytes, resources: Any, **context: Any) -> None:
        """Set it up; ``plugin.usable`` and ``plugin.reason`` say what became of that.

        Args:
            config: its section of the host's configuration, packed.
            resources: what the host lends to it, packed.
            context: more for its context.
        """
        section = {self.manifest.kind: {self.manifest.name: pickle.loads(config)}}
        lent = ResourceRegistry.unpack(resources)
        self._running = self.registry.running(PluginContext(section, resources=lent, **context))
        self._running.__enter__()
        self.lane = self._slot.table().traffic.open([self.plugin])

    def stop(self) -> None:
        """Tear it down, if it was set up.

        Raises:
            TeardownErrors: if that fails.
        """
        running, self._running = self._running, None
        if running is not None:
            running.__exit__(None, None, None)


def _found(registry: PluginRegistry, manifest: PluginManifest) -> tuple[Slot, Plugin]:
    for slot in registry.slots(manifest.kind):
        if (plugin := slot.accepted(manifest.name)) is not None:
            return slot, plugin
    raise AssertionError(manifest.name)  # who takes one plugin raises what is wrong with it
