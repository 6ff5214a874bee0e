"""The kinds that a registry knows, each with its slot; built-in ones are read when they are first named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.builtin import MIDDLEWARE, builtin_hookspec, builtin_hookspecs, builtin_kinds
from dagstack_plugins.kinds.codec import Validate
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.hookspec import read_hookspec
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.home import HomeLoop


class Catalogue:
    """Kinds and their slots.

    Args:
        validate: what is checked of each call.
        home: the loop that plugins live on.
        looked_in: tells where plugins were looked for, for messages.
    """

    def __init__(self, validate: Validate, home: HomeLoop, looked_in: Callable[[], Sequence[str]]) -> None:
        self._validate = validate
        self._home = home
        self._looked_in = looked_in
        self._slots: dict[str, Slot] = {}
        self._lock = threading.RLock()

    def add_all(self, kinds: Sequence[Kind]) -> None:
        """Make kinds known, all of them or none.

        Raises:
            HookspecInvalid: if one is known with other content.
        """
        for kind in kinds:
            # The built-in ones are known before they are named; another of that name must be the same.
            if kind.file is None or kind.file.parent != builtin_hookspecs() / kind.name:
                self.find(kind.name)
        with self._lock:
            known = {name: slot.compiled.kind for name, slot in self._slots.items()}
            for kind in kinds:
                self._check_same(known.setdefault(kind.name, kind), kind)
            for kind in kinds:
                if kind.name not in self._slots:
                    self._slots[kind.name] = self._slot(CompiledKind(kind, self._validate))

    def _slot(self, compiled: CompiledKind) -> Slot:
        if compiled.kind.name == MIDDLEWARE:  # it is never wrapped itself, and goes round all others
            return Slot(compiled, self._home, self._looked_in, on_change=self._middleware_changed)
        return Slot(compiled, self._home, self._looked_in, self._middleware)

    def _middleware(self) -> tuple[Plugin, ...]:
        slot = self._slots.get(MIDDLEWARE)
        return () if slot is None else slot.table().usable

    def _middleware_changed(self) -> None:
        for slot in self:
            if slot.compiled.kind.name != MIDDLEWARE:
                slot.changed()

    @staticmethod
    def _check_same(known: Kind, kind: Kind) -> None:
        if known.content == kind.content:
            return
        what = "other content" if known.version == kind.version else f"version {known.version}"
        raise HookspecInvalid(
            f"kind {kind.name!r} {kind.version} from {kind.file} is known with {what} from {known.file}; "
            "a registry holds one contract of a kind",
            file=str(kind.file),
            kind=kind.name,
        )

    def find(self, name: str) -> Slot | None:
        """The slot of a kind, if it is known or built in."""
        slot = self._slots.get(name)
        if slot is None and (file := builtin_hookspec(name)) is not None:
            self.add_all([read_hookspec(file)])
            slot = self._slots[name]
        return slot

    def in_flight(self, plugin: Plugin) -> int:
        """How many calls may still reach a plugin; middleware goes round those of any kind."""
        return sum(slot.in_flight(plugin) for slot in self)

    def names(self) -> list[str]:
        """All kinds that could be named."""
        return sorted({*self._slots, *builtin_kinds()})

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))
