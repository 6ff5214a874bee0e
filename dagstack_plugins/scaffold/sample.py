"""One small value that a schema admits: what a new plugin returns until its author writes something better."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from jsonschema_rs import Draft202012Validator

from dagstack_plugins.kinds.properties import properties
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles, subschemas

_DEPTH: Final = 8
_TRIES: Final = 200
"""Values that are tried before none is found."""
_FORMATS: Final = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "duration": "P1D",
    "email": "somebody@example.org",
    "hostname": "example.org",
    "idn-email": "somebody@example.org",
    "idn-hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "iri": "https://example.org/",
    "iri-reference": "/",
    "json-pointer": "/a",
    "regex": "a",
    "relative-json-pointer": "0",
    "time": "00:00:00Z",
    "uri": "https://example.org/",
    "uri-reference": "/",
    "uri-template": "https://example.org/{a}",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TEXTS: Final = (
    "",
    "a",
    "A",
    "0",
    "a1",
    "A1",
    "000",
    "abc",
    "ABC",
    "1.0.0",
    "a-b",
    "a_b",
    "USD",
    "en",
    "0" * 64,
    "#000000",
)
"""What patterns often admit."""


def sample(schema: Schema, files: SchemaFiles) -> Any:
    """A value that a schema admits.

    Args:
        schema: the schema.
        files: what its references lead to.

    Raises:
        LookupError: if none was found, as for patterns that are hard to meet.
    """
    validator = files.validator(schema)
    for _, value in zip(range(_TRIES), _values(schema, files, _DEPTH), strict=False):
        if validator.is_valid(value):
            return value
    raise LookupError("no value was found that the schema admits")


def _values(schema: Schema, files: SchemaFiles, depth: int) -> Iterator[Any]:
    body = schema.body
    if not isinstance(body, dict):
        if body is not False:
            yield {}
        return
    if depth == 0:
        return
    yield from _named(body)
    for keyword in ("anyOf", "oneOf"):
        for part in body.get(keyword, ()):
            yield from _beside(schema, schema.part(part), files, depth)
    if isinstance(ref := body.get("$ref"), str):
        yield from _values(files.resolve(schema, ref), files, depth - 1)
    for kind in _types(body):
        yield from _of_type(kind, schema, files, depth)
    for part in body.get("allOf", ()):
        yield from _values(schema.part(part), files, depth - 1)


def _named(body: dict[str, Any]) -> Iterator[Any]:
    """What the schema itself names."""
    for keyword in ("const", "default"):
        if keyword in body:
            yield body[keyword]
    yield from body.get("examples", ())
    yield from body.get("enum", ())


def _beside(schema: Schema, part: Schema, files: SchemaFiles, depth: int) -> Iterator[Any]:
    """What an alternative admits, with what the schema around it asks for."""
    for value in _values(part, files, depth - 1):
        if isinstance(value, dict):
            for around in _objects(schema, files, depth - 1):
                yield {**around, **value}
        yield value


def _types(body: dict[str, Any]) -> list[str]:
    given = body.get("type")
    if given is not None:
        kinds = [given] if isinstance(given, str) else list(given)
        return sorted(kinds, key=lambda kind: kind == "null")
    if "items" in body or "prefixItems" in body:
        return ["array"]
    return ["object", "string", "integer", "array", "boolean", "null"]


def _of_type(kind: str, schema: Schema, files: SchemaFiles, depth: int) -> Iterator[Any]:
    if kind == "object":
        yield from _objects(schema, files, depth)
    elif kind == "array":
        yield from _arrays(schema, files, depth)
    elif kind == "string":
        yield from _strings(schema.body)
    elif kind in ("integer", "number"):
        yield from _numbers(schema.body)
    else:
        yield from (False, True) if kind == "boolean" else (None,)


def _objects(schema: Schema, files: SchemaFiles, depth: int) -> Iterator[dict[str, Any]]:
    declared, required = properties(schema, files)
    names = [name for name in declared if name in required]
    each = [_first(declared[name], files, depth) for name in names]
    for values in product(*each):
        yield dict(zip(names, values, strict=True))
    least = schema.body.get("minProperties", 0)
    more = [name for name in declared if name not in required][: max(0, least - len(names))]
    for values in product(*[_first(declared[name], files, depth) for name in [*names, *more]]) if more else ():
        yield dict(zip([*names, *more], values, strict=True))


def _first(schema: Schema, files: SchemaFiles, depth: int) -> list[Any]:
    """A few values that a part admits by itself."""
    validator = _validator(schema, files)
    found: list[Any] = []
    for _, value in zip(range(_TRIES), _values(schema, files, depth - 1), strict=False):
        if value not in found and validator.is_valid(value):
            found.append(value)
        if len(found) == 2:
            break
    return found


def _validator(part: Schema, files: SchemaFiles) -> Draft202012Validator:
    """Of a part, whose references start from the whole that it stands in."""
    path = next((path for path, body in subschemas(part.root) if body is part.body), None)
    return files.validator(part) if path is None else files.validator_at(Schema(part.root, part.file), path)


def _arrays(schema: Schema, files: SchemaFiles, depth: int) -> Iterator[list[Any]]:
    body = schema.body
    first = [_first(schema.part(part), files, depth) for part in body.get("prefixItems", ())]
    begin = [values[0] for values in first if values]
    least = body.get("minItems", 0)
    yield begin[:least]
    items = _first(schema.part(body.get("items", True)), files, depth)
    yield [*begin, *(items[:1] * (least - len(begin)))]
    yield [*begin, *items]


def _strings(body: dict[str, Any]) -> Iterator[str]:
    if body.get("format") in _FORMATS:
        yield _FORMATS[body["format"]]
    least = body.get("minLength", 0)
    for text in _TEXTS:
        yield text if len(text) >= least else (text or "a") * least


def _numbers(body: dict[str, Any]) -> Iterator[float]:
    step = body.get("multipleOf", 1)
    yield 0
    for limit in ("minimum", "exclusiveMinimum"):
        if limit in body:
            low = body[limit]
            yield from (low, -(-low // step) * step, (low // step + 1) * step, low + 0.5)
    for limit in ("maximum", "exclusiveMaximum"):
        if limit in body:
            high = body[limit]
            yield from (high, high // step * step, (-(-high // step) - 1) * step, high - 0.5)
    yield step
