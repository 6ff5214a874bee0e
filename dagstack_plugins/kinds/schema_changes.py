"""What changed between two schemas, and what that does to the values that they admit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from dagstack_plugins.kinds.schemas import Schema, SchemaFiles
from dagstack_plugins.wording import shown


class Effect(StrEnum):
    """What a change does to the values that a schema admits.

    Members:
        WORDS: nothing.
        DEFAULT: what is filled in for a property that is left out.
        OPTIONAL: a property may be given that was not declared before.
        OMITTED: a property may be left out that had to be given.
        WIDER: more values.
        NARROWER: fewer values.
        OTHER: others, or nobody can say.
    """

    WORDS = "words"
    DEFAULT = "default"
    OPTIONAL = "optional"
    OMITTED = "omitted"
    WIDER = "wider"
    NARROWER = "narrower"
    OTHER = "other"


Path = tuple[str | int, ...]
Found = tuple[Path, Effect, str]


def schema_changes(
    old: Schema | None, old_files: SchemaFiles, new: Schema | None, new_files: SchemaFiles
) -> Iterator[Found]:
    """What changed from one schema to another.

    Args:
        old: the schema before; ``None`` admits anything.
        old_files: what its references lead to.
        new: the schema after.
        new_files: what its references lead to.

    Returns:
        Each change with its path, what it does, and the same in words.
    """
    compared = _Compared(old_files, new_files)
    if old is None or new is None:
        if old is not new:
            told = "has a schema now" if old is None else "has no schema any more"
            yield (), Effect.NARROWER if old is None else Effect.WIDER, told
        return
    yield from compared.changes(old, new, ())


class _Compared:
    """Compares schemas of an old and a new kind.

    Args:
        old: what references of the old one lead to.
        new: what those of the new one lead to.
    """

    def __init__(self, old: SchemaFiles, new: SchemaFiles) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[int, int, bool]] = set()
        self._alternatives = 0

    def changes(self, old: Schema, new: Schema, path: Path) -> Iterator[Found]:
        """What changed from one to the other, each with its place."""
        old, new = _target(old, self._old), _target(new, self._new)
        # What a change means differs inside ``oneOf``.
        pair = id(old.body), id(new.body), self._alternatives > 0
        if pair in self._seen:
            return
        self._seen.add(pair)
        before, after = _as_object(old.body), _as_object(new.body)
        if before is None or after is None:
            if before is not after:
                effect = Effect.WIDER if before is None else Effect.NARROWER
                yield path, effect, "admits nothing any more" if after is None else "admits something now"
            return
        for effect, told in _of_keywords(before, after):
            renamed = told == _RENAMED and path and "properties" in after
            yield path, Effect.OTHER if renamed else effect, told
        for keyword in _UNSAID:
            if self._text(old, before.get(keyword)) != self._text(new, after.get(keyword), new=True):
                yield path, Effect.OTHER, f"{keyword} says something else"
        yield from self._of_properties(old, before, new, after, path)
        if "$ref" in before and "$ref" in after:  # beside other keywords
            targets = self._old.resolve(old, before["$ref"]), self._new.resolve(new, after["$ref"])
            yield from self.changes(*targets, path)
        for keyword in ("items", "additionalProperties", "propertyNames"):
            one, other = before.get(keyword, True), after.get(keyword, True)
            yield from self.changes(old.part(one), new.part(other), (*path, _PLACES.get(keyword, keyword)))
        for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
            yield from self._of_lists(keyword, old, before.get(keyword), new, after.get(keyword), path)

    def _of_properties(
        self, old: Schema, before: Mapping[str, Any], new: Schema, after: Mapping[str, Any], path: Path
    ) -> Iterator[Found]:
        mine, others = before.get("properties", {}), after.get("properties", {})
        for name in mine:
            if name in others:
                yield from self.changes(old.part(mine[name]), new.part(others[name]), (*path, name))
            else:
                yield (*path, name), Effect.OTHER, "is declared no more"
        for name in others:
            if name not in mine and name not in _required(after):
                yield (*path, name), Effect.OPTIONAL, "is a new optional property"
        required, needed = _required(before), _required(after)
        for name in sorted(needed - required):
            yield (*path, name), Effect.NARROWER, "is required now"
        for name in sorted(required - needed):
            yield (*path, name), Effect.OMITTED, "may be left out now"

    def _of_lists(
        self, keyword: str, old: Schema, mine: list[Any] | None, new: Schema, others: list[Any] | None, path: Path
    ) -> Iterator[Found]:
        if mine is None or others is None or len(mine) != len(others):
            if mine != others:
                texts = (
                    {self._text(old, one) for one in mine or ()},
                    {self._text(new, one, new=True) for one in others or ()},
                )
                told = f"{keyword} has {len(others or ())} entries, had {len(mine or ())}"
                yield path, _of_lengths(keyword, *texts), told
            return
        self._alternatives += keyword == "oneOf"
        for index, (one, other) in enumerate(zip(mine, others, strict=True)):
            for place, effect, told in self.changes(old.part(one), new.part(other), (*path, keyword, index)):
                # What one of them takes besides may be what another takes, and then neither does.
                counts = self._alternatives and effect not in (Effect.WORDS, Effect.DEFAULT)
                yield place, Effect.OTHER if counts else effect, told
        self._alternatives -= keyword == "oneOf"

    def _text(self, schema: Schema, body: Any, *, new: bool = False) -> str:
        """What stands in a schema, with references resolved, as a text to compare."""
        files = self._new if new else self._old
        return json.dumps(_resolved(schema.part(body), files, frozenset()), sort_keys=True)


_PLACES: Final[Mapping[str, str | int]] = {"items": 0, "additionalProperties": "*"}


def _of_lengths(keyword: str, before: set[str], after: set[str]) -> Effect:
    """More alternatives admit more, more conditions less; but only if those that were there stay."""
    if keyword == "allOf":
        return Effect.NARROWER if before < after else Effect.WIDER if after < before else Effect.OTHER
    if keyword == "anyOf" and before and after:
        return Effect.WIDER if before < after else Effect.NARROWER if after < before else Effect.OTHER
    return Effect.OTHER


def _required(body: Mapping[str, Any]) -> set[str]:
    """What must be given: nothing that has a default, which is filled in."""
    declared = body.get("properties", {})
    filled = {name for name, part in declared.items() if isinstance(part, dict) and "default" in part}
    return set(body.get("required", ())) - filled


def _resolved(part: Schema, files: SchemaFiles, above: frozenset[int]) -> Any:
    """A schema with what it refers to in place of references; where it contains itself, that is told."""
    body = part.body
    if isinstance(body, list):
        return [_resolved(part.part(item), files, above) for item in body]
    if not isinstance(body, dict):
        return body
    if id(body) in above:
        return "itself"
    above |= {id(body)}
    found = {key: _resolved(part.part(item), files, above) for key, item in body.items() if key not in _WORDS}
    if isinstance(ref := body.get("$ref"), str):
        found["$ref"] = _resolved(files.resolve(part, ref), files, above)
    return found


def _as_object(body: Any) -> dict[str, Any] | None:
    """A schema as keywords; ``None`` if it admits nothing."""
    return {} if body is True else body if isinstance(body, dict) else None


def _target(schema: Schema, files: SchemaFiles) -> Schema:
    """Follow references that stand alone, but for words beside them."""
    seen: set[int] = set()
    while isinstance(schema.body, dict) and "$ref" in schema.body and schema.body.keys() - _WORDS == {"$ref"}:
        if id(schema.body) in seen:
            break
        seen.add(id(schema.body))
        schema = files.resolve(schema, schema.body["$ref"])
    return schema


_WORDS: Final = frozenset(
    {
        *("$anchor", "$comment", "$defs", "$id", "$schema", "definitions"),
        *("title", "description", "examples", "deprecated", "readOnly", "writeOnly"),
        *("contentEncoding", "contentMediaType"),
    }
)
_RENAMED: Final = "has another title"
_FROM_ZERO: Final = frozenset({"minLength", "minItems", "minProperties"})
"""Keywords that say nothing with a zero."""
_UNSAID: Final = (
    *("$dynamicRef", "if", "then", "else", "not", "contains", "patternProperties", "dependentSchemas"),
    *("dependentRequired", "unevaluatedItems", "unevaluatedProperties"),
)
"""Keywords of which nobody says who admits more: they are the same, or another."""
_ELSEWHERE: Final = frozenset(
    {
        *("properties", "required", "additionalProperties", "propertyNames", "items", "prefixItems"),
        *("allOf", "anyOf", "oneOf"),
    }
)
"""Keywords that are compared by what is inside."""


def _of_keywords(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[Effect, str]]:
    old, new = _without_const(old), _without_const(new)
    referring = {"$ref"} if "$ref" in old and "$ref" in new else set()
    for keyword in sorted({*old, *new} - _ELSEWHERE - referring - set(_UNSAID)):
        otherwise = 0 if keyword in _FROM_ZERO else None
        before, after = old.get(keyword, otherwise), new.get(keyword, otherwise)
        if before == after and (keyword in _FROM_ZERO or (keyword in old) == (keyword in new)):
            continue
        if keyword in _WORDS:
            if keyword not in ("$defs", "definitions", "$schema", "$id", "$anchor"):  # told of where they are used
                yield Effect.WORDS, f"has another {keyword}"
            continue
        effect = _EFFECTS.get(keyword, _any_other)(before, after)
        if effect is not None:
            yield effect, _told(keyword, before, after)


def _without_const(body: Mapping[str, Any]) -> dict[str, Any]:
    """A constant is a choice of one."""
    found = {key: value for key, value in body.items() if key != "const"}
    return {**found, "enum": [body["const"]]} if "const" in body else found


def _told(keyword: str, before: Any, after: Any) -> str:
    if before is None:
        return f"{keyword} is {shown(after)} now"
    if after is None:
        return f"{keyword} is gone, was {shown(before)}"
    return f"{keyword} is {shown(after)}, was {shown(before)}"


def _of_sets(before: frozenset[str] | None, after: frozenset[str] | None) -> Effect | None:
    """``None`` admits everything."""
    if before == after:  # written otherwise
        return None
    if before is None or (after is not None and after < before):
        return Effect.NARROWER
    if after is None or before < after:
        return Effect.WIDER
    return Effect.OTHER


def _types(given: Any) -> frozenset[str] | None:
    if given is None:
        return None
    names = {given} if isinstance(given, str) else set(given)
    return frozenset(names | ({"integer"} if "number" in names else set()))


def _values(given: Any) -> frozenset[str] | None:
    return None if given is None else frozenset(json.dumps(value, sort_keys=True) for value in given)


def _lower_bound(before: Any, after: Any) -> Effect:
    return Effect.NARROWER if before is None or (after is not None and after > before) else Effect.WIDER


def _upper_bound(before: Any, after: Any) -> Effect:
    return Effect.NARROWER if before is None or (after is not None and after < before) else Effect.WIDER


def _steps(before: Any, after: Any) -> Effect:
    if before is None or (after is not None and after % before == 0):
        return Effect.NARROWER
    return Effect.WIDER if after is None or before % after == 0 else Effect.OTHER


def _any_other(before: Any, after: Any) -> Effect:
    """A condition that is there or not; of two that differ, nobody can say which admits more."""
    return Effect.NARROWER if before is None else Effect.WIDER if after is None else Effect.OTHER


def _flag(_: Any, after: Any) -> Effect:
    return Effect.NARROWER if after else Effect.WIDER


_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_EFFECTS: Final[Mapping[str, Callable[[Any, Any], Effect | None]]] = {
    "type": lambda before, after: _of_sets(_types(before), _types(after)),
    "enum": lambda before, after: _of_sets(_values(before), _values(after)),
    # Without it, plugins may lack the parameter's default, and callers the property.
    "default": lambda _, after: Effect.OTHER if after is None else Effect.DEFAULT,
    "uniqueItems": _flag,
    "multipleOf": _steps,
    **dict.fromkeys(_LOWER, _lower_bound),
    **dict.fromkeys(_UPPER, _upper_bound),
}
