"""The properties of a payload, in the order that arguments bind in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs

from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.kinds.schemas import Schema


@attrs.frozen
class Property:
    """One property of an object.

    Attributes:
        name: its name.
        type: its type, for people.
        required: whether it must be given.
        schema: its schema, as far as that is an object.
        description: what it is for.
    """

    name: str
    type: str
    required: bool
    schema: dict[str, Any]
    description: str = ""

    @property
    def told(self) -> str:
        """Whether it must be given, what it is otherwise, what it is for."""
        given = (
            [f"default {json.dumps(self.schema['default'], ensure_ascii=False)}"] if "default" in self.schema else []
        )
        given = given or (["required"] if self.required else ["optional"])
        return "; ".join([*given, *([self.description] if self.description else [])])

    def as_json(self) -> dict[str, Any]:
        """The property as plain JSON; ``default`` only where there is one."""
        told = {"name": self.name, "type": self.type, "required": self.required, "description": self.description}
        return told | ({"default": self.schema["default"]} if "default" in self.schema else {})


def described_properties(kind: Kind, schema: Schema | None) -> list[Property]:
    """The properties that a schema declares, itself or by ``$ref`` and ``allOf``; empty if it declares none."""
    found: dict[str, Property] = {}
    required: set[str] = set()
    for part in _parts(kind, schema) if schema is not None else ():
        required.update(part.body.get("required", ()))
        for name, given in part.body.get("properties", {}).items():
            body = _resolved(kind, part.part(given))
            found[name] = Property(name, type_of(body), False, body, body.get("description", ""))
    # What has a default may be left out.
    return [attrs.evolve(one, required=one.name in required and "default" not in one.schema) for one in found.values()]


def _parts(kind: Kind, schema: Schema, seen: set[int] | None = None) -> Iterator[Schema]:
    """The schema itself, after all that it takes over by ``$ref`` and ``allOf``, each once: it may contain itself."""
    seen = set() if seen is None else seen
    if not isinstance(schema.body, dict) or id(schema.body) in seen:
        return
    seen.add(id(schema.body))
    if isinstance(ref := schema.body.get("$ref"), str):
        yield from _parts(kind, kind.schemas.resolve(schema, ref), seen)
    for body in schema.body.get("allOf", ()):
        yield from _parts(kind, schema.part(body), seen)
    yield schema


def _resolved(kind: Kind, schema: Schema) -> dict[str, Any]:
    """What a schema says with the references that it consists of: its own words win."""
    said: dict[str, Any] = {}
    for part in _parts(kind, schema):
        said.update(part.body)
    return said


def type_of(body: Any) -> str:
    """The type that a schema admits, for people."""
    if not isinstance(body, dict):
        return "anything" if body is not False else "nothing"
    if "enum" in body:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in body["enum"])
    if "const" in body:
        return json.dumps(body["const"], ensure_ascii=False)
    given = body.get("type")
    if given == "array" and isinstance(items := body.get("items"), dict):
        return f"array of {type_of(items)}"
    if given is not None:
        return given if isinstance(given, str) else " | ".join(given)
    alternatives = body.get("anyOf") or body.get("oneOf") or ()
    if alternatives:
        return " | ".join(dict.fromkeys(map(type_of, alternatives)))
    if "$ref" not in body:
        return "anything"
    return str(body["$ref"]).rpartition("/")[2].partition("#")[0].removesuffix(".json") or "itself"
