"""What changed between two versions of a kind, and by how much its version must rise for that.

A host may run plugins that were made for an earlier minor version of its kind. So a change is minor if such plugins,
and programs that call them, go on as before; it is major if one of them may fail; it is a patch if nobody can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final

import attrs

from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.kinds.payloads import PayloadTypes
from dagstack_plugins.kinds.schema_changes import Effect, schema_changes
from dagstack_plugins.wording import dotted, shown


class Level(IntEnum):
    """By how much a version must rise.

    Members:
        PATCH: nobody can tell the difference.
        MINOR: more is possible, and what was possible goes on.
        MAJOR: a plugin or a caller may fail that did not.
    """

    PATCH = 0
    MINOR = 1
    MAJOR = 2

    def __str__(self) -> str:
        return self.name.lower()


_OF_INPUTS: Final = {
    Effect.WORDS: Level.PATCH,
    **dict.fromkeys((Effect.NARROWER, Effect.OTHER, Effect.OMITTED), Level.MAJOR),
}
"""What callers give must still be taken; and a plugin of before need not cope without what it was always given."""
_OF_OUTPUTS: Final = {**_OF_INPUTS, Effect.WIDER: Level.MAJOR}
"""Callers must be able to read all that comes, and what earlier plugins return must still be admitted."""


@attrs.frozen
class Change:
    """One change of a kind.

    Attributes:
        level: by how much the version must rise for it.
        where: what it is about: ``charge``, ``charge input $.amount``.
        told: what changed.
    """

    level: Level
    where: str
    told: str


@attrs.frozen
class Evolution:
    """All changes between two versions of a kind.

    Attributes:
        old: the version before.
        new: the version after.
        changes: the greatest first.
    """

    old: str
    new: str
    changes: tuple[Change, ...]

    @property
    def needed(self) -> Level | None:
        """By how much the version must rise; ``None`` if nothing changed."""
        return max((change.level for change in self.changes), default=None)

    @property
    def risen(self) -> Level | None:
        """By how much it rose; ``None`` if it did not."""
        old, new = _numbers(self.old), _numbers(self.new)
        if new <= old:
            return None
        return next(level for level, a, b in zip(reversed(Level), old, new, strict=True) if a != b)

    @property
    def is_enough(self) -> bool:
        """Whether the version rose by as much as it must, and did not fall."""
        if self.needed is None:
            return _numbers(self.new) >= _numbers(self.old)
        return self.risen is not None and self.risen >= self.needed

    @property
    def least(self) -> str:
        """The lowest version that the new kind may have."""
        major, minor, patch = _numbers(self.old)
        at_least = {
            Level.MAJOR: (major + 1, 0, 0),
            Level.MINOR: (major, minor + 1, 0),
            Level.PATCH: (major, minor, patch + 1),
            None: (major, minor, patch),
        }
        return ".".join(map(str, at_least[self.needed]))


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def evolution(old: Kind, new: Kind) -> Evolution:
    """Compare two versions of a kind.

    Args:
        old: the version before.
        new: the version after.

    Raises:
        ValueError: if they are two kinds.
    """
    if old.name != new.name:
        raise ValueError(f"these are two kinds: {old.name!r} and {new.name!r}")
    found = [*_of_kind(old, new)]
    for name in [*old.hooks, *(name for name in new.hooks if name not in old.hooks)]:
        found += _of_hook(name, old, new)
    return Evolution(old.version, new.version, tuple(sorted(found, key=lambda change: -change.level)))


def _of_kind(old: Kind, new: Kind) -> Iterator[Change]:
    if old.description != new.description:
        yield Change(Level.PATCH, new.name, "is described otherwise")
    for field in ("in_process_only", "singleton_per_runtime"):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            level = Level.MAJOR if after else Level.MINOR
            yield Change(level, new.name, f"constraint {field} is {str(after).lower()}, was {str(before).lower()}")
    kept = [name for name in new.hooks if name in old.hooks]
    if kept != [name for name in old.hooks if name in new.hooks]:
        yield Change(Level.PATCH, new.name, "has its hooks in another order")


def _of_hook(name: str, old: Kind, new: Kind) -> Iterator[Change]:
    before, after = old.hooks.get(name), new.hooks.get(name)
    if before is None:
        assert after is not None
        told = "is a new hook, which each plugin must have" if after.required else "is a new hook"
        yield Change(Level.MAJOR if after.required else Level.MINOR, name, told)
    elif after is None:
        yield Change(Level.MAJOR, name, "is gone")
    else:
        yield from _of_fields(before, after)
        for side, one, other, levels in (
            ("input", before.input_schema, after.input_schema, _OF_INPUTS),
            ("output", before.output_schema, after.output_schema, _OF_OUTPUTS),
        ):
            for path, effect, told in schema_changes(one, old.schemas, other, new.schemas):
                yield Change(levels.get(effect, Level.MINOR), f"{name} {side} {dotted(path)}", told)
        yield from _of_positions(name, _bound(old, name), _bound(new, name))


def _bound(kind: Kind, hook: str) -> list[str]:
    """The properties of a hook's input, in the order in which arguments bind."""
    payload = PayloadTypes.of(kind).inputs[hook].type
    return [] if payload is None else list(payload._attributes)  # noqa: SLF001 - made in this room


def _of_positions(hook: str, old: list[str], new: list[str]) -> Iterator[Change]:
    if new[: len(old)] != old and set(old) <= set(new):
        told = f"has its properties in another order, in which arguments bind: {', '.join(new)}"
        yield Change(Level.MAJOR, f"{hook} input $", told)


def _of_fields(old: Hook, new: Hook) -> Iterator[Change]:
    for field, told in _SETTLED.items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield Change(Level.MAJOR, new.name, f"{told} is {_word(after)}, was {_word(before)}")
    if old.required != new.required:
        told = "must be had by each plugin" if new.required else "may be missing in a plugin"
        yield Change(Level.MAJOR, new.name, f"{told} now")
    if old.mcp_exposed != new.mcp_exposed:
        level = Level.MINOR if new.mcp_exposed else Level.MAJOR
        told = "is offered by plugins in other processes too" if new.mcp_exposed else "exists in process only"
        yield Change(level, new.name, f"{told} now")
    if old.description != new.description:
        yield Change(Level.PATCH, new.name, "is described otherwise")


_SETTLED: Final = {
    "dispatch": "the dispatch class",
    "is_async": "the colour (async)",
    "named": "selection by name",
    "best_effort": "the error policy best_effort",
    "input_schema_hook": "input_schema_hook",
    "match": "match",
    "mcp_tool_name_template": "the MCP tool's name",
}


def _word(value: object) -> str:
    if value is None:
        return "left open"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else shown(dict(value) if isinstance(value, Mapping) else str(value))
    )
