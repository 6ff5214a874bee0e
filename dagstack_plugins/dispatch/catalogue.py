"""The kinds that a registry knows, each with its slot; built-in ones are read when they are first named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.table import in_order
from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.builtin import MIDDLEWARE, builtin_hookspec, builtin_hookspecs, builtin_kinds
from dagstack_plugins.kinds.codec import Validate
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.hookspec import read_hookspec
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.home import HomeLoop


class Catalogue:
    """Kinds and their slots.

    Args:
        validate: what is checked of each call.
        home: the loop that plugins live on.
        nowhere: tells where plugins were looked for in vain, for messages.
    """

    def __init__(self, validate: Validate, home: HomeLoop, nowhere: Callable[[], str]) -> None:
        self._validate = validate
        self._home = home
        self._nowhere = nowhere
        self._slots: dict[str, dict[int, Slot]] = {}
        self._lock = threading.RLock()

    def add_all(self, kinds: Sequence[Kind]) -> None:
        """Make kinds known, all of them or none; several majors of one kind stand side by side.

        Raises:
            HookspecInvalid: if one is known with other content.
        """
        for kind in kinds:
            # The built-in ones are known before they are named; another of that name must be the same.
            if kind.file is None or kind.file.parent != builtin_hookspecs() / kind.name:
                self.find(kind.name)
        with self._lock:
            known = {slot.address: slot.compiled.kind for slot in self}
            for kind in kinds:
                self._check_same(known.setdefault(kind.address, kind), kind)
            for kind in kinds:
                if kind.major not in self._slots.get(kind.name, {}):
                    slot = self._slot(CompiledKind(kind, self._validate))
                    self._slots[kind.name] = {**self._slots.get(kind.name, {}), kind.major: slot}

    def _slot(self, compiled: CompiledKind) -> Slot:
        if compiled.kind.name == MIDDLEWARE:  # it is never wrapped itself, and goes round all others
            return Slot(compiled, self._home, self._nowhere, on_change=self._middleware_changed)

        def others() -> list[Slot]:
            return [slot for major, slot in self._slots[compiled.kind.name].items() if major != compiled.kind.major]

        return Slot(compiled, self._home, self._nowhere, self._middleware, others=others)

    def _middleware(self) -> tuple[Plugin, ...]:
        if MIDDLEWARE not in self._slots:
            return ()
        *older, newest = [slot for _, slot in sorted(self._slots[MIDDLEWARE].items())]
        usable = newest.table().usable
        if not older:
            return usable  # the same tuple until it changes
        return tuple(in_order([*usable, *(plugin for slot in older for plugin in slot.table().usable)]))

    def _middleware_changed(self) -> None:
        for slot in self:
            if slot.compiled.kind.name != MIDDLEWARE:
                slot.changed()

    @staticmethod
    def _check_same(known: Kind, kind: Kind) -> None:
        if known.same_as(kind):
            return
        what = "other content" if known.version == kind.version else f"version {known.version}"
        raise HookspecInvalid(
            f"kind {kind.name!r} {kind.version} from {kind.file or 'a class'} is known with {what} from "
            f"{known.file or 'a class'}; a registry holds one contract of each major of a kind",
            file=str(kind.file) if kind.file else None,
            kind=kind.name,
        )

    def find(self, address: str) -> Slot | None:
        """The slot of a kind, if it is known or built in.

        Args:
            address: its name, for the newest major that is known; or ``name@major``.
        """
        name, _, major = address.partition("@")
        majors = self.majors(name)
        if not major:
            return majors[max(majors)] if majors else None
        return next((slot for number, slot in majors.items() if str(number) == major), None)

    def majors(self, name: str) -> Mapping[int, Slot]:
        """The slots of all majors of a kind that are known."""
        if name not in self._slots and (file := builtin_hookspec(name)) is not None:
            self.add_all([read_hookspec(file)])
        return self._slots.get(name, {})

    def of_manifest(self, manifest: PluginManifest) -> Slot | None:
        """The slot that a plugin was made for; that of the newest major, if its own is not known."""
        major = int(manifest.kind_api_version.partition(".")[0])
        return self.majors(manifest.kind).get(major) or self.find(manifest.kind)

    def of_plugin(self, plugin: Plugin) -> Slot | None:
        """The slot that a plugin, perhaps a refused one, is in."""
        if plugin.manifest is not None:
            return self.of_manifest(plugin.manifest)
        return self.find(plugin.kind) if plugin.kind else None

    def accepted(self, kind: str, name: str) -> Plugin | None:
        """The plugin of a kind and name that was not refused, of whichever major."""
        found = (slot.accepted(name) for slot in self.majors(kind).values())
        return next((plugin for plugin in found if plugin is not None), None)

    def in_flight(self, plugin: Plugin) -> int:
        """How many calls may still reach a plugin; middleware goes round those of any kind."""
        return sum(slot.in_flight(plugin) for slot in self)

    def names(self) -> list[str]:
        """All kinds that could be named."""
        return sorted({*self._slots, *builtin_kinds()})

    def __iter__(self) -> Iterator[Slot]:
        return iter([slot for majors in list(self._slots.values()) for slot in majors.values()])
