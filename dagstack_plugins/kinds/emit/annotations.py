"""Schemas as Python annotations: what payloads really hold, once plain JSON was made into the kind's types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dagstack_plugins.kinds.literals import literal
from dagstack_plugins.kinds.payloads import TypeBuilder
from dagstack_plugins.kinds.schemas import Schema

ANY: Final = "Any"
_SCALARS: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


class Annotator:
    """Annotations for the schemas of one kind.

    Args:
        builder: made the kind's classes.
        accepts: annotate what callers may give: plain JSON in place of payload objects too.
    """

    def __init__(self, builder: TypeBuilder, *, accepts: bool = False) -> None:
        self._builder = builder
        self._accepts = accepts
        self._open: set[int] = set()

    def of(self, schema: Schema | None) -> str:
        """The type of a schema's values."""
        if schema is None:
            return ANY
        target, _ = self._builder.target(schema, "")
        if not isinstance(target.body, dict) or id(target.body) in self._open:
            return ANY  # what contains itself and is no object has no name to refer to it by
        self._open.add(id(target.body))
        try:
            return self._of(target)
        finally:
            self._open.discard(id(target.body))

    def of_property(self, schemas: Iterable[Schema]) -> str:
        """The type of a property that several parts of a schema declare: the first that says anything."""
        return next((found for found in map(self.of, schemas) if found != ANY), ANY)

    def _of(self, schema: Schema) -> str:
        parts = self._builder.parts(schema)
        for part in parts:
            if (found := _literals(part.body)) is not None:
                return found
        said = _types(parts)
        cls = self._builder.made_of(schema)  # none, where it is one of several that nobody can tell apart
        if cls is not None and any("properties" in part.body for part in parts):
            given = f"{cls.__name__} | Mapping[str, Any]" if self._accepts else cls.__name__
            return union(self._of_type(name, parts, given) for name in said or ["object"])
        if found := self._alternatives(parts):
            return found
        if said is None:
            return self._array(parts) if _has_items(parts) else ANY
        return union(self._of_type(name, parts, None) for name in said)

    def _of_type(self, name: str, parts: list[Schema], cls: str | None) -> str:
        if name == "object":
            return cls or self._map(parts)
        return self._array(parts) if name == "array" else _SCALARS[name]

    def _map(self, parts: list[Schema]) -> str:
        for part in parts:
            others = part.body.get("additionalProperties")
            if isinstance(others, dict) and "patternProperties" not in part.body:
                return f"{self._mapping}[str, {self.of(part.part(others))}]"
        return f"{self._mapping}[str, Any]"

    @property
    def _mapping(self) -> str:
        return "Mapping" if self._accepts else "dict"

    def _array(self, parts: list[Schema]) -> str:
        for part in parts:
            if isinstance(items := part.body.get("items"), dict) and "prefixItems" not in part.body:
                return f"{self._sequence}[{self.of(part.part(items))}]"
        return f"{self._sequence}[Any]"

    @property
    def _sequence(self) -> str:
        return "Sequence" if self._accepts else "list"

    def _alternatives(self, parts: list[Schema]) -> str:
        """A union; of several that are no scalars none is made into a type of its own, as nobody knows which it is."""
        for part in parts:
            for keyword in ("anyOf", "oneOf"):
                if bodies := part.body.get(keyword):
                    each = [self.of(part.part(body)) for body in bodies]
                    made = [found for found in each if not _is_plain(found)]
                    return union(each if len(made) <= 1 else map(_plain, each))
        return ""


def union(types: Iterable[str]) -> str:
    """Several types as one, each once, ``None`` last."""
    found = list(dict.fromkeys(part for one in types for part in _split(one)))
    if ANY in found or not found:
        return ANY
    literals = [one for one in found if one.startswith("Literal[")]
    if len(literals) > 1:
        merged = f"Literal[{', '.join(dict.fromkeys(one[8:-1] for one in literals))}]"
        found = [merged if one == literals[0] else one for one in found if one not in literals[1:]]
    return " | ".join(sorted(found, key=lambda one: one == "None"))


def _split(annotation: str) -> list[str]:
    """The members of a union, at its top level."""
    parts, depth, begin = [], 0, 0
    quoted = ""
    for index, char in enumerate(annotation):
        if quoted:
            quoted = "" if char == quoted and annotation[index - 1] != "\\" else quoted
        elif char in "'\"":
            quoted = char
        elif char in "[]":
            depth += 1 if char == "[" else -1
        elif char == "|" and depth == 0:
            parts.append(annotation[begin:index].strip())
            begin = index + 1
    return [*parts, annotation[begin:].strip()]


def _literals(body: dict[str, Any]) -> str | None:
    """The values that a schema names, where they all have a literal type."""
    values = [body["const"]] if "const" in body else body.get("enum")
    if values is None:
        return None
    if not values:
        return ANY  # nothing fits
    if not all(value is None or isinstance(value, str | bool | int) for value in values):
        return _of_values(values)
    named = [literal(value, 10**6) for value in values if value is not None]
    found = [f"Literal[{', '.join(dict.fromkeys(named))}]"] if named else []
    return " | ".join([*found, *(["None"] if None in values else [])])


def _of_values(values: Iterable[Any]) -> str:
    names = {type(None): "None", dict: "dict[str, Any]", list: "list[Any]"}
    return union(names.get(type(value), type(value).__name__) for value in values)


def _types(parts: Iterable[Schema]) -> list[str] | None:
    said: list[str] | None = None
    for part in parts:
        given = part.body.get("type")
        if given is not None:
            here = [given] if isinstance(given, str) else list(given)
            said = here if said is None else [name for name in said if name in here]
    return said


def _has_items(parts: Iterable[Schema]) -> bool:
    return any("items" in part.body or "prefixItems" in part.body for part in parts)


def _is_plain(annotation: str) -> bool:
    plain = {*_SCALARS.values(), ANY, "dict[str, Any]", "list[Any]", "Mapping[str, Any]", "Sequence[Any]"}
    return all(one in plain or one.startswith("Literal[") for one in _split(annotation))


def _plain(annotation: str) -> str:
    """The same, as plain JSON."""
    members = []
    for one in _split(annotation):
        if _is_plain(one):
            members.append(one)
        else:
            members.append("list[Any]" if one.startswith("list[") else "dict[str, Any]")
    return union(members)
