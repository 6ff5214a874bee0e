"""The plugins of a registry: they are taken in, kept apart where faulty, and let go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from dagstack_plugins.discovery.admission import HostRules, admit, refused
from dagstack_plugins.discovery.sources import FolderSource, Source, UnreadableSource
from dagstack_plugins.dispatch.catalogue import Catalogue
from dagstack_plugins.errors import AmbiguousPlugin, KindUnknown, PluginLoadError, PluginRegistryError
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.manifest import PluginManifest, load_manifest
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.schemafaults import nearest

_log: Final = logging.getLogger("dagstack_plugins")

Candidate = tuple[Source, "PluginManifest | PluginRegistryError"]


@attrs.frozen(eq=False)
class _Waiting:
    """A plugin whose kind is not known yet."""

    source: Source
    manifest: PluginManifest
    plugin: Plugin


class Roster:
    """Who is registered, who was refused, and who waits for a kind.

    Args:
        catalogue: the kinds, whose slots hold the plugins.
        rules: what the host says about where plugins run.

    Attributes:
        plugins: all of them, refused ones included.
        unloads: what forgets the code of those that were loaded.
    """

    def __init__(self, catalogue: Catalogue, rules: HostRules) -> None:
        self.plugins: list[Plugin] = []
        self.unloads: set[Callable[[], None]] = set()
        self._catalogue = catalogue
        self._rules = rules
        self._files: dict[Path, Plugin] = {}
        self._waiting: list[_Waiting] = []

    def compiled(self, kind: str) -> CompiledKind:
        """A kind.

        Raises:
            KindUnknown: if it has no hookspec.
        """
        slot = self._catalogue.find(kind)
        if slot is None:
            raise self.kind_unknown(kind)
        return slot.compiled

    def kind_unknown(self, kind: str) -> KindUnknown:
        """The error for a kind without a hookspec."""
        waiting = [one.source.location for one in self._waiting if one.manifest.kind == kind]
        told = f"; these plugins wait for it: {', '.join(waiting)}" if waiting else ""
        names = self._catalogue.names()
        return KindUnknown(
            f"kind {kind!r} has no hookspec{nearest(kind, names)}: registry.add_hookspecs(…) makes it known, "
            f"before or after its plugins are discovered; known are {', '.join(names)}{told}",
            kind=kind,
        )

    def candidates(self, root: Path, found: Iterable[Path | OSError]) -> Iterator[Candidate]:
        """Plugins in folders, or why one could not be read.

        Args:
            root: where the search began; if that can't be read, there is nothing to go on with.
            found: manifest files.
        """
        for file in found:
            if not isinstance(file, OSError):
                if not self.knows(file):
                    yield FolderSource(file.parent), manifest_or_error(file)
            elif file.filename == str(root):
                raise file
            else:
                error = PluginLoadError(f"{file.filename} cannot be read: {file.strerror}", file=str(file.filename))
                yield UnreadableSource(str(file.filename)), error

    def knows(self, file: Path) -> bool:
        """Whether a manifest's file is registered, or waits for its kind; a refused one gets another chance."""
        plugin = self._files.get(file.resolve())
        if plugin is None:
            return False
        if not plugin.refused or any(one.plugin is plugin for one in self._waiting):
            return True
        self.drop(plugin)
        return False

    def take_one(self, source: Source, manifest: PluginManifest) -> None:
        """Register one plugin.

        Raises:
            PluginRegistryError: whatever is wrong with it.
        """
        if (first := self._registered(manifest)) is not None:
            raise _duplicate(manifest, [first.location, source.location])
        self._keep(admit(source, manifest, self.compiled(manifest.kind), self._rules))

    def take(self, candidates: Iterable[Candidate], *, strict: bool) -> list[PluginManifest]:
        """Register what can be, and keep the rest as refused.

        Args:
            candidates: plugins, or why one could not be read.
            strict: register nothing at all if something is faulty.

        Returns:
            What was registered.

        Raises:
            AmbiguousPlugin: at the end, if a second plugin of the same kind and name came.
            ExceptionGroup: under ``strict``, all faults.
        """
        taken: dict[tuple[str, str], Plugin] = {}
        faulty: list[tuple[Source, PluginManifest | None, PluginRegistryError]] = []
        for source, found in candidates:
            if isinstance(found, PluginRegistryError):
                faulty.append((source, None, found))
                continue
            try:
                if (first := taken.get(found.key) or self._registered(found)) is not None:
                    raise _duplicate(found, [first.location, source.location])
                taken[found.key] = admit(source, found, self.compiled(found.kind), self._rules)
            except PluginRegistryError as error:
                faulty.append((source, found, error))
        errors = [error for _, _, error in faulty]
        if strict and errors:
            for plugin in taken.values():
                _forget(plugin)
            raise ExceptionGroup("plugins are faulty, none was registered", errors)
        for plugin in taken.values():
            self._keep(plugin)
        for source, manifest, fault in faulty:
            self._refuse(source, manifest, fault)
        _raise_duplicates(errors)
        return [plugin.manifest for plugin in taken.values() if plugin.manifest is not None]

    def admit_waiting(self, kinds: Collection[str]) -> None:
        """Take in the plugins that waited for these kinds."""
        ready = [one for one in self._waiting if one.manifest.kind in kinds]
        for one in ready:
            self.drop(one.plugin)
        # Second ones of a name were refused when they came, so none of these is ambiguous.
        self.take([(one.source, one.manifest) for one in ready], strict=False)

    def drop(self, plugin: Plugin) -> None:
        """Let a plugin go, and forget its code."""
        self.plugins.remove(plugin)
        self._waiting = [one for one in self._waiting if one.plugin is not plugin]
        self._files = {file: one for file, one in self._files.items() if one is not plugin}
        slot = self._catalogue.find(plugin.kind) if plugin.kind else None
        if slot is not None and plugin in slot.plugins:
            slot.remove(plugin)
        if plugin.unload is not None:
            self.unloads.discard(plugin.unload)
        _forget(plugin)

    def _registered(self, manifest: PluginManifest) -> Plugin | None:
        slot = self._catalogue.find(manifest.kind)
        if slot is None:
            return next((one.plugin for one in self._waiting if one.manifest.key == manifest.key), None)
        return slot.accepted(manifest.name)

    def _keep(self, plugin: Plugin, file: Path | None = None) -> None:
        self.plugins.append(plugin)
        file = plugin.manifest.file if plugin.manifest is not None else file
        if file is not None:
            self._files.setdefault(file.resolve(), plugin)
        if plugin.unload is not None:
            self.unloads.add(plugin.unload)
        slot = self._catalogue.find(plugin.kind) if plugin.kind else None
        if slot is not None:
            slot.add(plugin)

    def _refuse(self, source: Source, manifest: PluginManifest | None, error: PluginRegistryError) -> None:
        plugin = refused(source.location, error, manifest)
        _log.warning("plugin %s at %s was refused: %s", plugin.label, plugin.location, error)
        named = getattr(error, "file", None) if manifest is None else None
        self._keep(plugin, Path(named) if named else None)
        if isinstance(error, KindUnknown) and manifest is not None:
            self._waiting.append(_Waiting(source, manifest, plugin))


def manifest_or_error(file: Path) -> PluginManifest | PluginRegistryError:
    """The manifest in a file, or what is wrong with it."""
    try:
        return load_manifest(file)
    except PluginRegistryError as error:
        return error
    except OSError as error:
        return PluginLoadError(f"{file} cannot be read: {error.strerror}", file=str(file))


def _duplicate(manifest: PluginManifest, places: Sequence[str]) -> AmbiguousPlugin:
    return AmbiguousPlugin(
        f"two plugins are called {manifest.name!r} in kind {manifest.kind!r}: {places[0]} and {places[1]}; "
        "rename one of them, or take one away; the first is kept",
        candidates=[manifest.name],
        places=places,
        kind=manifest.kind,
        plugin=manifest.name,
    )


def _raise_duplicates(errors: Sequence[PluginRegistryError]) -> None:
    duplicates = [error for error in errors if isinstance(error, AmbiguousPlugin)]
    for other in duplicates[1:]:
        duplicates[0].add_note(str(other))
    if duplicates:
        raise duplicates[0]


def _forget(plugin: Plugin) -> None:
    if plugin.unload is not None:
        plugin.unload()
