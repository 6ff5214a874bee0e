"""The plugins of a registry: they are taken in, kept apart where faulty, and let go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
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
from dagstack_plugins.wording import nearest, printable

_log: Final = logging.getLogger("dagstack_plugins")

Candidate = tuple[Source, "PluginManifest | PluginRegistryError"]


@attrs.frozen(eq=False)
class _Waiting:
    """A plugin whose kind is not known yet."""

    source: Source
    manifest: PluginManifest
    plugin: Plugin


@attrs.frozen(eq=False)
class _Refusal:
    """A plugin that stays outside, and why."""

    source: Source
    manifest: PluginManifest | None
    error: PluginRegistryError


@attrs.frozen(eq=False)
class _Batch:
    """What came of the candidates of one search.

    Attributes:
        taken: those that passed, with where they come from.
        refusals: the others.
        first: kind and name to the place of the first plugin of that name that passed, or waits for its kind.
    """

    taken: list[tuple[Source, Plugin]] = attrs.field(factory=list)
    refusals: list[_Refusal] = attrs.field(factory=list)
    first: dict[tuple[str, str], str] = attrs.field(factory=dict)

    def forget(self) -> None:
        """None of them is registered: drop their code."""
        for _, plugin in self.taken:
            _forget(plugin)


class _Places:
    """Which plugins came from where, so that what is found again is recognised."""

    def __init__(self) -> None:
        self._plugins: dict[Hashable, list[Plugin]] = {}
        self._of: dict[Plugin, Collection[Hashable]] = {}

    def at(self, places: Iterable[Hashable]) -> list[Plugin]:
        """The plugins that came from one of ``places``, refused ones included."""
        found = {id(plugin): plugin for place in places for plugin in self._plugins.get(place, ())}
        return list(found.values())

    def add(self, plugin: Plugin, places: Collection[Hashable]) -> None:
        """Note where a plugin came from."""
        self._of[plugin] = places
        for place in places:
            self._plugins.setdefault(place, []).append(plugin)

    def remove(self, plugin: Plugin) -> None:
        """Forget where a plugin came from."""
        for place in self._of.pop(plugin):
            self._plugins[place].remove(plugin)


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
        self._places = _Places()
        self._waiting: list[_Waiting] = []

    def compiled(self, kind: str) -> CompiledKind:
        """A kind.

        Raises:
            KindUnknown: if it has no hookspec.
        """
        slot = self._catalogue.find(kind)
        if slot is None:
            raise self._kind_unknown(kind, "")
        return slot.compiled

    def kind_unknown(self, kind: str) -> KindUnknown:
        """The error for a kind without a hookspec; it names the plugins that wait for one."""
        waiting = [one.source.location for one in self._waiting if one.manifest.kind == kind]
        return self._kind_unknown(kind, f"; these plugins wait for it: {', '.join(waiting)}" if waiting else "")

    def _kind_unknown(self, kind: str, told: str) -> KindUnknown:
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
            elif not self._taken_at(Path(file.filename).resolve()):
                error = PluginLoadError(f"{file.filename} cannot be read: {file.strerror}", file=str(file.filename))
                yield UnreadableSource(str(file.filename)), error

    def knows(self, file: Path) -> bool:
        """Whether the plugin of a manifest's file is registered; a refused one gets another chance."""
        return self._taken_at(file.parent.resolve())

    def _taken_at(self, place: Hashable) -> bool:
        return any(not plugin.refused for plugin in self._places.at([place]))

    def take_one(self, source: Source, manifest: PluginManifest) -> None:
        """Register one plugin.

        Raises:
            PluginRegistryError: whatever is wrong with it.
        """
        compiled = self.compiled(manifest.kind)
        if (first := self._first(source, manifest)) is not None:
            raise _duplicate(manifest, [first, source.location])
        self._keep(source, admit(source, manifest, compiled, self._rules))

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
            for source, found in candidates:
                self._try(source, found, batch)
        except BaseException:
            batch.forget()
            raise
        errors = [refusal.error for refusal in batch.refusals]
        if strict and errors:
            batch.forget()
            raise ExceptionGroup("plugins are faulty, none was registered", errors)
        self._settle(batch)
        _raise_duplicates(errors)
        return [plugin.manifest for _, plugin in batch.taken if plugin.manifest is not None]

    def _try(self, source: Source, found: PluginManifest | PluginRegistryError, batch: _Batch) -> None:
        if isinstance(found, PluginRegistryError):
            batch.refusals.append(_Refusal(source, None, found))
            return
        try:
            if (first := batch.first.get(found.key) or self._first(source, found)) is not None:
                raise _duplicate(found, [first, source.location])
            batch.taken.append((source, admit(source, found, self.compiled(found.kind), self._rules)))
            batch.first[found.key] = source.location
        except PluginRegistryError as error:
            batch.refusals.append(_Refusal(source, found, error))
            if isinstance(error, KindUnknown):
                batch.first[found.key] = source.location

    def _settle(self, batch: _Batch) -> None:
        sources = [(source, plugin.manifest) for source, plugin in batch.taken]
        sources += [(refusal.source, refusal.manifest) for refusal in batch.refusals]
        # All are dropped before any is kept: several plugins may come from one place.
        before = self._places.at(place for source, manifest in sources for place in _places(source, manifest))
        earlier = [plugin for plugin in before if plugin.refused]
        for plugin in earlier:
            self.drop(plugin)
        for source, plugin in batch.taken:
            self._keep(source, plugin)
        for refusal in batch.refusals:
            self._refuse(refusal, earlier)

    def admit_waiting(self, kinds: Collection[str]) -> None:
        """Take in the plugins that waited for these kinds."""
        ready = [(one.source, one.manifest) for one in self._waiting if one.manifest.kind in kinds]
        # Second ones of a name were refused when they came, so none of these is ambiguous.
        self.take(ready, strict=False)
        for kind in kinds:
            self._show_refused(kind)

    def _show_refused(self, kind: str) -> None:
        """Let callers of a kind see what was refused before the kind was known."""
        slot = self._catalogue.find(kind)
        for plugin in self.plugins:
            if slot is not None and plugin.refused and plugin.kind == kind and plugin not in slot.plugins:
                slot.add(plugin)

    def named(self, kind: str, name: str) -> Plugin | None:
        """The plugin of a kind and name; of several, the one that was not refused."""
        found = [plugin for plugin in self.plugins if (plugin.kind, plugin.name) == (kind, name)]
        return next((plugin for plugin in found if not plugin.refused), found[0] if found else None)

    def drop(self, plugin: Plugin) -> None:
        """Let a plugin go, and forget its code; once, however many ask for it."""
        if plugin not in self.plugins:
            return
        self.plugins.remove(plugin)
        self._waiting = [one for one in self._waiting if one.plugin is not plugin]
        self._places.remove(plugin)
        slot = self._catalogue.find(plugin.kind) if plugin.kind else None
        if slot is not None and plugin in slot.plugins:
            slot.remove(plugin)
        if plugin.unload is not None:
            self.unloads.discard(plugin.unload)
        _forget(plugin)

    def _first(self, source: Source, manifest: PluginManifest) -> str | None:
        """Where the plugin is that has a manifest's name already, if there is one."""
        slot = self._catalogue.find(manifest.kind)
        if slot is not None:
            taken = slot.accepted(manifest.name)
            return taken.location if taken is not None else None
        here = self._places.at(_places(source, manifest))
        others = (one.plugin for one in self._waiting if one.manifest.key == manifest.key)
        return next((plugin.location for plugin in others if plugin not in here), None)

    def _keep(self, source: Source, plugin: Plugin) -> None:
        self.plugins.append(plugin)
        self._places.add(plugin, _places(source, plugin.manifest))
        if plugin.unload is not None:
            self.unloads.add(plugin.unload)
        slot = self._catalogue.find(plugin.kind) if plugin.kind else None
        if slot is not None:
            slot.add(plugin)

    def _refuse(self, refusal: _Refusal, earlier: Sequence[Plugin]) -> None:
        plugin = refused(refusal.source.location, refusal.error, refusal.manifest)
        same = (one for one in earlier if (one.location, one.reason) == (plugin.location, plugin.reason))
        known = next(same, None)
        if known is not None:
            plugin.error, plugin.since = known.error, known.since
        else:
            # As text: whoever collects log records must not keep the plugin's code alive with the error's frames.
            told = map(printable, (plugin.label, plugin.location, plugin.reason))
            _log.warning("plugin %s at %s was refused: %s", *told)
        self._keep(refusal.source, plugin)
        if isinstance(refusal.error, KindUnknown) and refusal.manifest is not None:
            self._waiting.append(_Waiting(refusal.source, refusal.manifest, plugin))


def _places(source: Source, manifest: PluginManifest | None) -> set[Hashable]:
    """By what a plugin is recognised: its source, and the folder of its manifest's file."""
    places = set() if source.place is None else {source.place}
    if manifest is not None and manifest.file is not None and not isinstance(source, FolderSource):
        places.add(manifest.file.parent.resolve())
    return places


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
