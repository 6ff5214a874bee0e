"""The plugins of a registry: they are taken in, kept apart where faulty, and let go."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Final

import attrs

from dagstack_plugins.discovery.admission import HostRules, admit, check_trust, refused
from dagstack_plugins.discovery.folders import RealFolders
from dagstack_plugins.discovery.loading import unload_packages
from dagstack_plugins.discovery.sources import FolderSource, ManifestSource, Place, Source, UnreadablePlace
from dagstack_plugins.dispatch.catalogue import Catalogue
from dagstack_plugins.errors import (
    AmbiguousPlugin,
    KindUnknown,
    PluginLoadError,
    PluginRegistryError,
    VersionIncompatible,
)
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.manifest import PluginManifest, find_manifest, read_manifest
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import nearest, printable, shown

_log: Final = logging.getLogger("dagstack_plugins")

_being_taken: ContextVar[frozenset[Hashable]] = ContextVar("dagstack_plugins.being_taken", default=frozenset())
"""Rosters and places whose code is being loaded here, above us on the stack."""


@attrs.frozen(eq=False)
class _Waiting:
    """A plugin whose kind is not known yet."""

    source: Source
    manifest: PluginManifest
    plugin: Plugin


@attrs.frozen(eq=False)
class Refusal:
    """A plugin that stays outside.

    Attributes:
        source: where it is.
        manifest: its manifest, where that could be read.
        error: why it stays outside.
        waits: where its code is, if it only waits for its kind to become known.
    """

    source: Place
    manifest: PluginManifest | None
    error: PluginRegistryError
    waits: Source | None = None


Candidate = tuple[Source, PluginManifest] | Refusal
_Taken = tuple[Source, Plugin]


@attrs.frozen(eq=False)
class _Batch:
    """What came of the candidates of one search.

    Attributes:
        taken: those that passed, with where they come from.
        refusals: the others.
        first: kind and name to the place of the first plugin of that name that passed, or waits for its kind.
    """

    taken: list[_Taken] = attrs.field(factory=list)
    refusals: list[Refusal] = attrs.field(factory=list)
    first: dict[tuple[str, str], str] = attrs.field(factory=dict)


class _Places:
    """Which plugins came from where, so that what is found again is recognised."""

    def __init__(self) -> None:
        self._plugins: dict[Hashable, list[Plugin]] = {}
        self._of: dict[Plugin, Collection[Hashable]] = {}

    def at(self, places: Iterable[Hashable]) -> list[Plugin]:
        """The plugins that came from one of ``places``, refused ones included."""
        found = {id(plugin): plugin for place in places for plugin in self._plugins.get(place, ())}
        return list(found.values())

    def of(self, plugin: Plugin) -> Collection[Hashable]:
        """Where a plugin came from."""
        return self._of[plugin]

    def add(self, plugin: Plugin, places: Collection[Hashable]) -> None:
        """Note where a plugin came from."""
        self._of[plugin] = places
        for place in places:
            self._plugins.setdefault(place, []).append(plugin)

    def remove(self, plugin: Plugin) -> None:
        """Forget where a plugin came from."""
        for place in self._of.pop(plugin):
            self._plugins[place].remove(plugin)
            if not self._plugins[place]:
                del self._plugins[place]


class Roster:
    """Who is registered, who was refused, and who waits for a kind.

    Code of plugins is loaded without a lock: while it is imported it may call the registry, and wait for other
    threads. What came of it is checked again and settled at once, under the lock.

    Args:
        catalogue: the kinds, whose slots hold the plugins.
        rules: what the host says about where plugins run.

    Attributes:
        packages: what their code was loaded as.
    """

    def __init__(self, catalogue: Catalogue, rules: HostRules) -> None:
        self.packages: set[str] = set()
        self._plugins: dict[Plugin, None] = {}
        self._catalogue = catalogue
        self._rules = rules
        self._places = _Places()
        self._waiting: dict[tuple[str, str, str], _Waiting] = {}
        self._lock = threading.RLock()

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """All of them as they are now, refused ones included."""
        with self._lock:
            return tuple(self._plugins)

    def misnamed(self) -> list[str]:
        """What is wrong with ``runtime_for``: plugins that it names, and nobody has registered."""
        known = {(plugin.kind, plugin.name) for plugin in self.plugins}
        names = [f"{kind}/{name}" for kind, name in known]
        return [
            f"runtime_for names {kind}/{name}, which is not registered{nearest(f'{kind}/{name}', names)}"
            for kind, name in self._rules.runtime_for
            if (kind, name) not in known
        ]

    def lost(self) -> list[str]:
        """Where the refused ones are that stand in no kind's place: their kind is not known, or can't be read."""
        refused = [plugin for plugin in self.plugins if plugin.refused]
        return [plugin.location for plugin in refused if self._catalogue.find(plugin.kind or "") is None]

    def compiled(self, manifest: PluginManifest) -> CompiledKind:
        """The kind that a plugin was made for.

        Raises:
            KindUnknown: if it has no hookspec.
        """
        slot = self._catalogue.of_manifest(manifest)
        if slot is None:
            raise self._kind_unknown(manifest.kind, "")
        return slot.compiled

    def kind_unknown(self, kind: str) -> KindUnknown:
        """The error for a kind without a hookspec; it names the plugins that wait for one."""
        with self._lock:
            waiting = [one.source.location for one in self._waiting.values() if one.manifest.kind == kind]
        return self._kind_unknown(kind, f"; these plugins wait for it: {', '.join(waiting)}" if waiting else "")

    def _kind_unknown(self, kind: str, told: str) -> KindUnknown:
        majors = sorted(self._catalogue.majors(kind.partition("@")[0]).items()) if isinstance(kind, str) else []
        names = [slot.address for _, slot in majors] or self._catalogue.names()
        return KindUnknown(
            f"kind {shown(kind)} has no hookspec{nearest(str(kind), names)}: registry.add_hookspecs(…) makes it known, "
            f"before or after its plugins are discovered; known are {', '.join(names)}{told}",
            kind=kind,
        )

    def candidates(self, root: Path, found: Iterable[Path | OSError]) -> Iterator[Candidate]:
        """Plugins in folders, or why one could not be read.

        Args:
            root: where the search began; if that can't be read, there is nothing to go on with.
            found: manifest files.
        """
        real = RealFolders()
        for file in found:
            if not isinstance(file, OSError):
                folder = file.parent
                place = real.path(str(folder))
                if not self._knows_place(place):
                    yield candidate(FolderSource(folder, place), file)
            elif file.filename == str(root):
                raise file
            elif not self._taken_at([os.path.realpath(file.filename)]):
                error = PluginLoadError(f"{file.filename} cannot be read: {file.strerror}", file=str(file.filename))
                yield Refusal(UnreadablePlace(str(file.filename)), None, error)

    def manifests(self, folder: Path) -> Iterator[Candidate]:
        """Plugins of which there is a manifest alone, each in a file of its own.

        Args:
            folder: where the files are.

        Raises:
            OSError: if it can't be read.
        """
        for file in sorted(folder.iterdir()):
            place = os.path.realpath(file)
            if file.suffix in (".toml", ".json") and file.is_file() and not self._knows_place(place):
                yield candidate(ManifestSource(file, place), file)

    def drop_gone(self, root: Path) -> None:
        """Drop what was refused below a folder, and is no plugin any more.

        Args:
            root: the folder.
        """
        below = os.path.realpath(root)
        with self._lock:
            refused = [plugin for plugin in self._plugins if plugin.refused]
            places = {plugin: self._places.of(plugin) for plugin in refused}
        for plugin in refused:
            folders = [
                place for place in places[plugin] if isinstance(place, str) and Path(place).is_relative_to(below)
            ]
            if folders and not any(_is_plugin(Path(folder)) for folder in folders):
                self.drop(plugin)

    def installed(self, found: Iterable[tuple[Source, Path | PluginLoadError]]) -> Iterator[Candidate]:
        """Plugins of installed distributions.

        Args:
            found: where their code is, with the manifest's file, or with why there is none.
        """
        for source, file in found:
            if isinstance(file, PluginLoadError):
                yield Refusal(source, None, file)
            elif not self.knows(file):
                yield candidate(source, file)

    def knows(self, file: Path) -> bool:
        """Whether the plugin of a manifest's file is registered, or on its way; a refused one gets another chance."""
        return self._knows_place(os.path.realpath(file.parent))

    def _knows_place(self, place: str) -> bool:
        # Code that discovers its own folder while it is imported would be imported again, for ever.
        return (self, place) in _being_taken.get() or self._taken_at([place])

    def _taken_at(self, places: Collection[Hashable]) -> bool:
        with self._lock:
            return any(not plugin.refused for plugin in self._places.at(places))

    def take_one(self, source: Source, manifest: PluginManifest) -> None:
        """Register one plugin.

        Raises:
            PluginRegistryError: whatever is wrong with it.
        """
        check_trust(source, manifest, self._rules)
        compiled = self.compiled(manifest)
        self._check_name(source, manifest)
        plugin = admit(source, manifest, compiled, self._rules)
        try:
            with self._lock:
                self._check_name(source, manifest)
                self._keep(source, plugin)
        except AmbiguousPlugin:
            self._forget([plugin])
            raise

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
        batch = _Batch()
        try:
            for one in candidates:
                if isinstance(one, Refusal):
                    batch.refusals.append(one)
                else:
                    self._try(*one, batch)
        except BaseException:
            self._forget(plugin for _, plugin in batch.taken)
            raise
        with self._lock:
            outrun = self._outrun(batch)
            errors = [refusal.error for refusal in batch.refusals]
            if not (strict and errors):
                self._settle(batch)
        self._forget(plugin for _, plugin in outrun)
        if strict and errors:
            self._forget(plugin for _, plugin in batch.taken)
            raise ExceptionGroup("plugins are faulty, none was registered", errors)
        self._admit_if_known(batch)
        _raise_duplicates(errors)
        return [plugin.manifest for _, plugin in batch.taken if plugin.manifest is not None]

    def _try(self, source: Source, manifest: PluginManifest, batch: _Batch) -> None:
        places = _places(source, manifest)
        token = _being_taken.set(_being_taken.get() | {(self, place) for place in places})
        try:
            with self._lock:
                if self._taken_at(places):  # by another thread, since it was found
                    return
                self._check_name(source, manifest, batch.first.get(manifest.key))
            check_trust(source, manifest, self._rules)
            batch.taken.append((source, admit(source, manifest, self.compiled(manifest), self._rules)))
            batch.first[manifest.key] = source.location
        except PluginRegistryError as error:
            unknown = isinstance(error, KindUnknown)
            # Another major of its kind may be added as well as the kind itself.
            waits = unknown or (isinstance(error, VersionIncompatible) and not self._knows_major(manifest))
            batch.refusals.append(Refusal(source, manifest, error, source if waits else None))
            if unknown:
                batch.first[manifest.key] = source.location
        finally:
            _being_taken.reset(token)

    def _outrun(self, batch: _Batch) -> list[_Taken]:
        """Set aside what others registered while the batch was loaded; another plugin's name is a refusal."""
        outrun, still = [], []
        for source, plugin in batch.taken:
            assert plugin.manifest is not None
            try:
                if source.place is not None and self._taken_at(_places(source, plugin.manifest)):
                    outrun.append((source, plugin))
                    continue
                self._check_name(source, plugin.manifest)
                still.append((source, plugin))
            except AmbiguousPlugin as error:
                batch.refusals.append(Refusal(source, plugin.manifest, error))
                outrun.append((source, plugin))
        batch.taken[:] = still
        return outrun

    def _settle(self, batch: _Batch) -> None:
        sources: list[tuple[Place, PluginManifest | None]] = [
            (source, plugin.manifest) for source, plugin in batch.taken
        ]
        sources += [(refusal.source, refusal.manifest) for refusal in batch.refusals]
        # All are dropped before any is kept: several plugins may come from one place.
        before = self._places.at(place for source, manifest in sources for place in _places(source, manifest))
        earlier = {(plugin.location, plugin.reason): plugin for plugin in before if plugin.refused}
        for plugin in before:
            if plugin.refused:
                self.drop(plugin)
        for source, plugin in batch.taken:
            self._keep(source, plugin)
        for refusal in batch.refusals:
            self._refuse(refusal, earlier)

    def _admit_if_known(self, batch: _Batch) -> None:
        """A kind may have been added while the batch was loaded, when those that want it did not wait yet."""
        waiting = (one.manifest for one in batch.refusals if one.waits is not None)
        if known := {one.kind for one in waiting if one is not None and self._knows_major(one)}:
            self.admit_waiting(known)

    def _knows_major(self, manifest: PluginManifest) -> bool:
        return int(_wanted(manifest)[2]) in self._catalogue.majors(manifest.kind)

    def admit_waiting(self, kinds: Collection[str]) -> None:
        """Take in the plugins that waited for these kinds."""
        with self._lock:
            ready = [self._waiting.pop(key) for key in list(self._waiting) if key[0] in kinds]
        self.take([(one.source, one.manifest) for one in ready], strict=False)
        for kind in kinds:
            self._show_refused(kind)

    def _show_refused(self, kind: str) -> None:
        """Let callers of a kind see what was refused before the kind was known."""
        with self._lock:
            for plugin in self._plugins:
                if plugin.refused and plugin.kind == kind:
                    mine = self._catalogue.of_plugin(plugin)
                    for slot in self._catalogue.majors(kind).values():  # it may have stood in for its major elsewhere
                        (slot.add if slot is mine else slot.remove)(plugin)

    def named(self, kind: str, name: str) -> Plugin | None:
        """The plugin of a kind and name; of several, the one that was not refused."""
        if (accepted := self._catalogue.accepted(kind, name)) is not None:
            return accepted
        return next((plugin for plugin in self.plugins if (plugin.kind, plugin.name) == (kind, name)), None)

    def drop(self, plugin: Plugin) -> None:
        """Let a plugin go, and forget its code; once, however many ask for it."""
        with self._lock:
            if plugin not in self._plugins:
                return
            del self._plugins[plugin]
            self._places.remove(plugin)
            if plugin.manifest is not None:
                waiting = self._waiting.get(_wanted(plugin.manifest))
                if waiting is not None and waiting.plugin is plugin:
                    del self._waiting[_wanted(plugin.manifest)]
            for slot in self._catalogue.majors(plugin.kind or "").values():
                slot.remove(plugin)
        self._forget([plugin])

    def _forget(self, plugins: Iterable[Plugin]) -> None:
        """They are not registered: drop their code."""
        if packages := {plugin.package for plugin in plugins if plugin.package is not None}:
            with self._lock:
                self.packages -= packages
            unload_packages(packages)

    def _check_name(self, source: Source, manifest: PluginManifest, before: str | None = None) -> None:
        first = before or self._first(source, manifest)
        if first is not None:
            raise _duplicate(manifest, [first, source.location])

    def _first(self, source: Source, manifest: PluginManifest) -> str | None:
        """Where the plugin is that has a manifest's name already, if there is one."""
        with self._lock:
            taken = self._catalogue.accepted(manifest.kind, manifest.name)
            # Nobody knows yet what those of an unknown kind are; of a known one, others may have the name meanwhile.
            if taken is None and not self._catalogue.majors(manifest.kind):
                here = self._places.at(_places(source, manifest))
                waiting = next((one.plugin for key, one in self._waiting.items() if key[:2] == manifest.key), None)
                taken = waiting if waiting not in here else None
            return taken.location if taken is not None else None

    def _keep(self, source: Place, plugin: Plugin) -> None:
        self._plugins[plugin] = None
        self._places.add(plugin, _places(source, plugin.manifest))
        if plugin.package is not None:
            self.packages.add(plugin.package)
        slot = self._catalogue.of_plugin(plugin)
        if slot is not None:
            slot.add(plugin)

    def _refuse(self, refusal: Refusal, earlier: Mapping[tuple[str, str], Plugin]) -> None:
        plugin = refused(refusal.source, refusal.error, refusal.manifest)
        known = earlier.get((plugin.location, plugin.reason))
        if known is not None:
            plugin.error, plugin.since = known.error, known.since
        else:
            # As text: whoever collects log records must not keep the plugin's code alive with the error's frames.
            who = plugin.location if plugin.name is None else f"{plugin.label} at {plugin.location}"
            _log.warning("plugin %s was refused: %s", printable(who), printable(plugin.reason))
        self._keep(refusal.source, plugin)
        if refusal.waits is not None and refusal.manifest is not None:
            self._waiting[_wanted(refusal.manifest)] = _Waiting(refusal.waits, refusal.manifest, plugin)


def _wanted(manifest: PluginManifest) -> tuple[str, str, str]:
    """Kind and name of a plugin, and the major of the kind that it was made for."""
    return manifest.kind, manifest.name, manifest.kind_api_version.partition(".")[0]


def _is_plugin(folder: Path) -> bool:
    try:
        return find_manifest(folder) is not None
    except OSError:  # it can't be looked into; what it was refused for still holds
        return folder.exists()


def _places(source: Place, manifest: PluginManifest | None) -> set[Hashable]:
    """By what a plugin is recognised: its source, and the folder of its manifest's file."""
    places = set() if source.place is None else {source.place}
    if manifest is not None and manifest.file is not None and not isinstance(source, FolderSource | ManifestSource):
        places.add(os.path.realpath(manifest.file.parent))
    return places


def candidate(source: Source, file: Path) -> Candidate:
    """A plugin with the manifest in a file, or what is wrong with that."""
    try:
        return source, read_manifest(file)
    except PluginRegistryError as error:
        return Refusal(source, None, error)
    except OSError as error:
        return Refusal(source, None, PluginLoadError(f"{file} cannot be read: {error.strerror}", file=str(file)))


def _duplicate(manifest: PluginManifest, places: Sequence[str]) -> AmbiguousPlugin:
    return AmbiguousPlugin(
        f"two plugins are called {manifest.name!r} in kind {manifest.kind!r}: {places[0]} and {places[1]}; "
        "rename one of them, or take one away. (Caught, this error leaves the first in its place.)",
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
