"""What is there: kinds, and the plugins in folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import attrs

from dagstack_plugins.cli.logs import quiet_library
from dagstack_plugins.cli.output import complain, own_stdout, told_path
from dagstack_plugins.discovery.kind_folders import nearest_kinds
from dagstack_plugins.errors import AmbiguousPlugin, HookspecInvalid, PluginRegistryError
from dagstack_plugins.kinds.hookspec import hookspec_files
from dagstack_plugins.lock import PluginLock
from dagstack_plugins.manifest import PluginManifest, load_manifest
from dagstack_plugins.plugin import Plugin, PluginStatus
from dagstack_plugins.registry import PluginRegistry


@attrs.frozen
class Found:
    """What was found.

    Attributes:
        registry: the plugins, loaded and not started.
        hookspecs: the hookspec files that were read.
        faulty: those that cannot be used, with what is wrong.
    """

    registry: PluginRegistry
    hookspecs: Sequence[Path] = ()
    faulty: Sequence[HookspecInvalid] = ()

    def complain(self) -> int:
        """Say what is wrong with hookspecs.

        Returns:
            The exit status: 1 if anything is.
        """
        for error in self.faulty:
            complain(str(error))
        return 1 if self.faulty else 0


def complain_of_none(folders: Iterable[Path], *, installed: bool = False) -> None:
    """Say that there is no plugin in some folders, or installed."""
    places = [told_path(folder.absolute()) for folder in folders]
    places += ["the distributions that are installed"] if installed else []
    complain(f"there is no plugin in {', '.join(places)}", "note")


def find(
    plugins: Iterable[Path],
    hookspecs: Sequence[Path] = (),
    kinds: Sequence[Path] = (),
    *,
    installed: bool = False,
    lock: PluginLock | None = None,
    runtimes: Sequence[str] | None = None,
    verbose: bool = False,
) -> Found:
    """Load all plugins below some folders.

    Args:
        plugins: the folders.
        hookspecs: where kinds are declared; left out, the nearest folder of kinds above each of ``plugins``.
        kinds: where more kinds are declared.
        installed: load those of installed distributions too.
        lock: refuse what differs from it.
        runtimes: where plugins may run; by default wherever they can.
        verbose: let the library log what it refuses, with tracebacks.
    """
    own_stdout()  # from here on, plugins may print
    folders = list(plugins)
    found = find_kinds([*kinds, *(hookspecs or nearest_kinds(folders or [Path()]))], lock, runtimes)
    with nullcontext() if verbose else quiet_library():
        for folder in folders:
            with suppress(AmbiguousPlugin):  # the first one is kept; the others are among the refused, with this error
                found.registry.discover(folder)
        if installed:
            with suppress(AmbiguousPlugin):
                found.registry.load_entry_points()
    return found


def find_kinds(paths: Iterable[Path], lock: PluginLock | None = None, runtimes: Sequence[str] | None = None) -> Found:
    """Make kinds known, each hookspec file for itself, so that a faulty one stops no other."""
    registry = PluginRegistry(lock=lock, runtimes=runtimes)
    files: list[Path] = []
    faulty: list[HookspecInvalid] = []
    for path in paths:
        try:
            files += [file for file in hookspec_files(path) if file.resolve() not in {one.resolve() for one in files}]
        except HookspecInvalid as error:
            faulty.append(error)
    for file in files:
        try:
            registry.add_hookspecs(file)
        except HookspecInvalid as error:
            faulty.append(error)
    return Found(registry, files, faulty)


def plugins_of(registry: PluginRegistry) -> list[Plugin]:
    """All plugins of a registry, refused ones included, by kind and name.

    A refused one has its manifest where that can be read.
    """
    known = set(registry.kinds())
    told = registry.status()
    kinds = sorted({status.kind for status in told if status.kind in known and status.kind is not None})
    slots = [slot for kind in kinds for slot in registry.slots(kind)]
    held = {(plugin.location, plugin.name): plugin for slot in slots for plugin in slot.plugins}
    return [held.get((status.location, status.name)) or _stand_in(status) for status in told]


def _stand_in(status: PluginStatus) -> Plugin:
    """A plugin that no kind holds: its kind is unknown, or its manifest faulty."""
    plugin = Plugin(status.location, _readable_manifest(status.location), status.kind, status.name)
    plugin.become(status.state, status.reason, status.error)
    return plugin


def _readable_manifest(location: str) -> PluginManifest | None:
    try:
        return load_manifest(location)
    except (PluginRegistryError, OSError):
        return None
