"""Whether what one schema admits is admitted by another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import attrs

from dagstack_plugins.kinds.schemas import Schema, SchemaFiles
from dagstack_plugins.wording import shown

Path = tuple[str | int, ...]
Excess = tuple[Path, str]
"""Where the one admits what the other doesn't, and what that is."""
_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_MOST: Final = 20_000
"""Pairs of schemas that are compared."""
_TOLD: Final = 20
"""Differences that are told of one pair."""
_SAFE: Final = 2**53 - 1
"""The largest integer that every JavaScript program can tell; its libraries ask for no more without being asked."""
_DEPTH: Final = 50
"""Schemas inside of schemas that are looked at; beyond, they contain themselves in ways that nobody can compare."""


def excess(
    inner: Schema, inner_files: SchemaFiles, outer: Schema, outer_files: SchemaFiles, *, lenient: bool = False
) -> Iterator[Excess]:
    """Where a schema admits what another doesn't.

    A property that the first doesn't declare is no excess, unless it says itself that there may be such, or the other
    requires it: nobody who goes by the first knows of it.

    Args:
        inner: the one.
        inner_files: what its references lead to.
        outer: the other.
        outer_files: what its references lead to.
        lenient: where the one says nothing of a value, that is no excess.

    Raises:
        TooComplex: if it can't be told in a reasonable time.
    """
    yield from _Comparison(inner_files, outer_files, lenient=lenient).of(inner, outer, ())


class TooComplex(Exception):
    """Nobody can wait until two schemas are compared."""


class _Comparison:
    def __init__(self, inner: SchemaFiles, outer: SchemaFiles, *, lenient: bool) -> None:
        self._inner = inner
        self._outer = outer
        self._lenient = lenient
        self._steps = 0
        self._open: set[tuple[int, int]] = set()
        # With the bodies, so that no other gets their number.
        self._done: dict[tuple[int, int], tuple[Any, Any, list[Excess]]] = {}

    def of(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        """What the one admits at a place, and the other doesn't."""
        inner, outer = target(_joined(inner), self._inner), target(_joined(outer), self._outer)
        pair = id(inner.body), id(outer.body)
        if pair in self._open or len(path) > _DEPTH:  # within itself: told of where it began
            return
        if pair not in self._done:
            self._steps += 1
            if self._steps > _MOST:
                raise TooComplex(f"the schemas take more than {_MOST} steps to compare")
            self._open.add(pair)
            try:
                found = list(islice(self._of_bodies(inner, outer, ()), _TOLD))
            finally:
                self._open.discard(pair)
            self._done[pair] = inner.body, outer.body, found
        yield from (((*path, *place), told) for place, told in self._done[pair][2])

    def _of_bodies(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        mine, theirs = inner.body, outer.body
        if mine is False or theirs is True or theirs == {} or _same_text(inner, outer):
            return
        if theirs is False:
            yield path, "may be given, and is not taken"
        elif mine is True:
            yield from self._of_bodies(inner.part({}), outer, path)
        elif (values := _values(mine)) is not None:
            yield from self._of_values(values, outer, path)
        elif (alternatives := _alternatives(inner)) is not None:
            for part in alternatives:
                yield from self.of(part, outer, path)
        elif isinstance(theirs.get("allOf"), list):
            for part in (*theirs["allOf"], _but(theirs, "allOf")):
                yield from self.of(inner, outer.part(part), path)
        elif "allOf" in mine:
            parts = [inner.part(part) for part in (*mine["allOf"], _but(mine, "allOf"))]
            yield from min((list(self.of(part, outer, path)) for part in parts), key=len)
        else:
            yield from self._of_conditions(inner, outer, path)

    def _of_conditions(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        for keyword in ("anyOf", "oneOf"):
            if keyword in outer.body:
                yield from self._of_choice(inner, [outer.part(part) for part in outer.body[keyword]], path)
        yield from self._of_keywords(inner, outer, path)

    def _of_values(self, values: list[Any], outer: Schema, path: Path) -> Iterator[Excess]:
        root = outer.root if isinstance(outer.root, dict) else {}
        shared = {key: root[key] for key in ("$defs", "definitions") if key in root}
        validator = self._outer.validator(attrs.evolve(outer, body={**outer.body, **shared}))
        refused = [value for value in values if not validator.is_valid(value)]
        if refused:
            yield (
                path,
                f"may be {', '.join(map(shown, refused))}, which {'are' if len(refused) > 1 else 'is'} not taken",
            )

    def _of_choice(self, inner: Schema, choices: list[Schema], path: Path) -> Iterator[Excess]:
        names = _named(_types(inner.body)) if "type" in inner.body else []
        # Each type may fit another choice.
        for one in [inner.part({**inner.body, "type": name}) for name in names] or [inner]:
            found = [list(self.of(one, choice, path)) for choice in choices]
            if found and all(found):
                yield from min(found, key=len)
                return

    def _of_keywords(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        mine, theirs = inner.body, outer.body
        types, taken = _types(mine), _types(theirs)
        if types - taken and not (self._lenient and "type" not in mine):
            given = " or ".join(_named(types - taken)) if "type" in mine else "anything"
            yield path, f"may be {given}, and only {' or '.join(_named(taken))} is taken"
            return
        if (choice := _values(theirs)) is not None and (few := _FEW.get(str(mine.get("type")))) is not None:
            yield from self._of_values(list(few), outer, path)
        elif choice is not None and not self._lenient:
            yield path, f"may be anything, and only {', '.join(map(shown, choice))} is taken"
        yield from self._of_limits(mine, theirs, types, path)
        for keyword in _UNSAID & theirs.keys():
            if _text(mine.get(keyword)) != _text(theirs[keyword]) and not (self._lenient and keyword not in mine):
                yield path, f"{keyword} is asked for, which nobody can compare"
        if "object" in types & taken:
            yield from self._of_objects(inner, outer, path)
        if "array" in types & taken:
            yield from self._of_arrays(inner, outer, path)

    def _of_limits(
        self, mine: Mapping[str, Any], theirs: Mapping[str, Any], types: frozenset[str], path: Path
    ) -> Iterator[Excess]:
        for keyword, tighter in _TIGHTER.items():
            if keyword not in theirs or not _concerns(keyword, types):
                continue
            is_no_limit = keyword in _BOUNDS and abs(theirs[keyword]) == _SAFE
            if not is_no_limit and not self._keeps(keyword, mine, theirs, tighter):
                yield path, f"has {_said(keyword, mine)}, and {keyword} {shown(theirs[keyword])} is asked for"

    def _keeps(
        self, keyword: str, mine: Mapping[str, Any], theirs: Mapping[str, Any], tighter: Callable[[Any, Any], bool]
    ) -> bool:
        if keyword not in mine:
            return self._lenient or (keyword in _FROM_ZERO and theirs[keyword] == 0)
        return tighter(mine[keyword], theirs[keyword])

    def _of_objects(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        mine, theirs = inner.body, outer.body
        declared, taken = mine.get("properties", {}), theirs.get("properties", {})
        others = theirs.get("additionalProperties", True)
        for name, part in declared.items():
            yield from self.of(inner.part(part), outer.part(taken.get(name, others)), (*path, name))
        always = set(mine.get("required", ())) | {name for name, part in declared.items() if _has_default(part)}
        says_something = bool(declared) or "required" in mine
        for name in theirs.get("required", ()) if says_something or not self._lenient else ():
            if name not in always:
                yield (*path, name), "may be left out, and is required"
        rest = mine.get("additionalProperties", False)
        if others is not True and rest is not False and not (self._lenient and rest is True):
            yield from self._of_the_rest(inner.part(rest), outer.part(others), path)

    def _of_the_rest(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        found = list(self.of(inner, outer, (*path, "*")))
        if outer.body is False and found:
            yield path, "may have properties that are not declared, and only declared ones are taken"
        else:
            yield from found

    def _of_arrays(self, inner: Schema, outer: Schema, path: Path) -> Iterator[Excess]:
        mine, theirs = inner.body.get("items", True), outer.body.get("items", True)
        if not (self._lenient and mine is True):
            yield from self.of(inner.part(mine), outer.part(theirs), (*path, 0))


def _joined(schema: Schema) -> Schema:
    """A reference with conditions beside it, as all of them together."""
    body = schema.body
    beside = {key: value for key, value in body.items() if key not in _WORDS} if isinstance(body, dict) else {}
    if "$ref" not in beside or len(beside) == 1:
        return schema
    return schema.part({"allOf": [{"$ref": beside.pop("$ref")}, beside]})


def target(schema: Schema, files: SchemaFiles) -> Schema:
    """What a reference leads to; what stands beside one is taken for words.

    Args:
        schema: it may be a reference.
        files: what that leads to.
    """
    seen: set[int] = set()
    while isinstance(schema.body, dict) and isinstance(schema.body.get("$ref"), str) and id(schema.body) not in seen:
        seen.add(id(schema.body))
        schema = files.resolve(schema, schema.body["$ref"])
    return schema


def _alternatives(schema: Schema) -> list[Schema] | None:
    """What a schema admits one or another of, each with what stands beside; ``None`` if it is no such choice."""
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema.body:
            beside = _but(schema.body, keyword)
            return [
                schema.part({**beside, **part} if isinstance(part, dict) else part) for part in schema.body[keyword]
            ]
    return None


def _but(body: Mapping[str, Any], keyword: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != keyword}


def _values(body: Mapping[str, Any]) -> list[Any] | None:
    """All that a schema admits, if it lists that."""
    if "const" in body:
        return [body["const"]]
    return list(body["enum"]) if isinstance(body.get("enum"), list) else None


def _types(body: Any) -> frozenset[str]:
    given = body.get("type") if isinstance(body, dict) else None
    if given is None:
        return _TYPES
    names = {given} if isinstance(given, str) else set(given)
    return frozenset(names | ({"integer"} if "number" in names else set()))


def _named(types: frozenset[str]) -> list[str]:
    return sorted(types - ({"integer"} if "number" in types else set()))


def _has_default(part: Any) -> bool:
    return isinstance(part, dict) and "default" in part


def _said(keyword: str, body: Mapping[str, Any]) -> str:
    return f"{keyword} {shown(body[keyword])}" if keyword in body else f"no {keyword}"


def _same_text(inner: Schema, outer: Schema) -> bool:
    """Whether two schemas say the same, and that all by themselves."""
    text = _text(inner.body)
    return '"$ref"' not in text and text == _text(outer.body)


def _text(body: Any) -> str:
    return json.dumps(body, sort_keys=True)


def _concerns(keyword: str, types: frozenset[str]) -> bool:
    return not types.isdisjoint(_OF_TYPES.get(keyword, _TYPES))


def _at_least(mine: Any, theirs: Any) -> bool:
    return bool(mine >= theirs)


def _at_most(mine: Any, theirs: Any) -> bool:
    return bool(mine <= theirs)


def _same(mine: Any, theirs: Any) -> bool:
    return bool(mine == theirs)


def _divides(mine: Any, theirs: Any) -> bool:
    return isinstance(mine, int) and isinstance(theirs, int) and theirs != 0 and mine % theirs == 0


_FEW: Final[Mapping[str, tuple[Any, ...]]] = {"boolean": (True, False), "null": (None,)}
"""Types with few values."""
_BOUNDS: Final = ("minimum", "maximum")
_WORDS: Final = frozenset(
    {"$anchor", "$comment", "$defs", "$id", "$schema", "definitions", "title", "description", "examples", "default"}
)
"""Keywords that say nothing of the values that are admitted."""
_FROM_ZERO: Final = frozenset({"minLength", "minItems", "minProperties"})
"""Keywords that say nothing with a zero."""
_TIGHTER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), _at_least),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), _at_most),
    **dict.fromkeys(("pattern", "format"), _same),
    "uniqueItems": lambda mine, theirs: mine or not theirs,
    "multipleOf": _divides,
}
"""Keywords that leave less, and whether one's value leaves no more than another's."""
_OF_TYPES: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), frozenset({"string"})),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems"), frozenset({"array"})),
    **dict.fromkeys(("minProperties", "maxProperties"), frozenset({"object"})),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), frozenset({"number", "integer"})
    ),
}
_UNSAID: Final = frozenset(
    {
        *("$dynamicRef", "if", "then", "else", "not", "contains", "minContains", "maxContains", "patternProperties"),
        *("dependentSchemas", "dependentRequired", "propertyNames", "prefixItems"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Keywords of which nobody says who admits more: they are the same, or another."""
