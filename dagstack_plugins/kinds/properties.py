"""What schemas say of their values: the properties of an object, the types that a value may have."""

from __future__ import annotations

from collections.abc import Iterator

from dagstack_plugins.kinds.schemas import Schema, SchemaFiles

_OF_PYTHON = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def properties(schema: Schema, files: SchemaFiles) -> tuple[dict[str, Schema], set[str]]:
    """The properties that an object schema declares, and the names of those that are required.

    Args:
        schema: the schema; references and ``allOf`` are followed.
        files: what references lead to.
    """
    found: dict[str, Schema] = {}
    required: set[str] = set()
    for one in _joined(schema, files, set()):
        for name, body in one.body.get("properties", {}).items():
            found.setdefault(name, one.part(body))
        required.update(one.body.get("required", ()))
    return found, required


def types(schema: Schema, files: SchemaFiles) -> set[str] | None:
    """The JSON types that a value may have; ``None`` where the schema does not say."""
    said: set[str] | None = None
    for one in _joined(schema, files, set()):
        here = _types_of(one, files)
        said = here if said is None else said if here is None else said & here
    return said


def _types_of(schema: Schema, files: SchemaFiles) -> set[str] | None:
    body = schema.body
    if "const" in body or "enum" in body:
        values = [body["const"]] if "const" in body else body["enum"]
        return {"null" if value is None else _OF_PYTHON[type(value)] for value in values}
    if (given := body.get("type")) is not None:
        return {given} if isinstance(given, str) else set(given)
    for keyword in ("anyOf", "oneOf"):
        if keyword in body:
            each = [types(schema.part(part), files) for part in body[keyword]]
            return None if None in each else {name for one in each if one is not None for name in one}
    return None


def _joined(schema: Schema, files: SchemaFiles, seen: set[int]) -> Iterator[Schema]:
    """A schema and all that hold beside it: what it refers to, and the parts of ``allOf``."""
    if not isinstance(schema.body, dict) or id(schema.body) in seen:
        return
    seen.add(id(schema.body))
    yield schema
    if isinstance(ref := schema.body.get("$ref"), str):
        yield from _joined(files.resolve(schema, ref), files, seen)
    for part in schema.body.get("allOf", ()):
        yield from _joined(schema.part(part), files, seen)
