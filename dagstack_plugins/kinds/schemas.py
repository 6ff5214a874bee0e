"""The JSON Schemas of one kind: read from its folder and nowhere else, ``$ref`` by ``$ref``."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urldefrag

import attrs
import jsonschema_rs

from dagstack_plugins.errors import Fault
from dagstack_plugins.schemafaults import dotted, shown

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_BASE: Final = "kind:///"
"""Where the kind's folder lies in the validator's eyes: no scheme that anything could fetch from."""

_SUBSCHEMA: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_SUBSCHEMA_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SUBSCHEMA_MAP: Final = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})


class SchemaFault(Exception):
    """A schema that cannot be used; the message says why."""


@attrs.frozen
class Schema:
    """A schema and the place that its relative ``$ref`` start from.

    Attributes:
        body: the schema itself.
        file: its file, relative to the kind's folder, ``/`` between segments.
    """

    body: Any
    file: str


class SchemaFiles:
    """The schema files of one kind.

    Args:
        folder: the kind's folder; ``None`` where the kind came from no file, so that nothing can be read.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder.resolve() if folder is not None else None
        self._read: dict[str, Any] = {}

    def load(self, name: str) -> Schema:
        """The schema in a file of the kind's folder.

        Raises:
            SchemaFault: if the file is missing, lies elsewhere, or is not a JSON Schema 2020-12.
        """
        name = posixpath.normpath(name)
        if name not in self._read:
            body = self._parse(name)
            # Its place is its identity: an $id of its own would send relative references to the network.
            self._read[name] = {k: v for k, v in body.items() if k != "$id"} if isinstance(body, dict) else body
        return Schema(self._read[name], name)

    def _parse(self, name: str) -> Any:
        if self._folder is None:
            raise SchemaFault(f"names the file {name}, but this kind came from no folder; write the schema itself")
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise SchemaFault(
                f"{name} lies outside the kind's folder {self._folder}; schemas live beside their hookspec"
            )
        try:
            return json.loads(path.read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            raise SchemaFault(f"there is no file {path}") from None
        except OSError as error:
            raise SchemaFault(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise SchemaFault(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None
        except json.JSONDecodeError as error:
            raise SchemaFault(f"{name} is not JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None

    def faults(self, schema: Schema) -> list[Fault]:
        """What is wrong with a schema, references included; empty if it can be used."""
        found = list(_own_faults(schema))
        for path, body in subschemas(schema.body):
            if "$id" in body and path:
                found.append(Fault(dotted(path, ""), "'$id' inside a schema is not supported; use '$defs' and '$ref'"))
            for keyword in ("$ref", "$dynamicRef"):
                if isinstance(ref := body.get(keyword), str):
                    found += self._reference_faults(schema, ref, dotted((*path, keyword), ""))
        return found or self._compile_faults(schema)

    def _reference_faults(self, schema: Schema, ref: str, path: str) -> list[Fault]:
        try:
            self.resolve(schema, ref)
        except SchemaFault as error:
            return [Fault(path, str(error))]
        return []

    def _compile_faults(self, schema: Schema) -> list[Fault]:
        try:
            self.validator(schema)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            message = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
            return [Fault("", message)]
        return []

    def resolve(self, schema: Schema, ref: str) -> Schema:
        """The schema that a ``$ref`` in ``schema`` points to.

        Raises:
            SchemaFault: if it leaves the kind's folder, or nothing is there.
        """
        target, fragment = urldefrag(ref)
        if ":" in target or target.startswith("/"):
            raise SchemaFault(
                f"{ref!r} leaves the kind's folder; a reference names a file beside the hookspec, or '#/…'"
            )
        found = schema
        if target:
            found = self.load(posixpath.join(posixpath.dirname(schema.file), unquote(target)))
        elif schema.file in self._read:
            found = Schema(self._read[schema.file], schema.file)
        body = _anchored(found.body, fragment) if fragment and fragment[0] != "/" else _pointed(found.body, fragment)
        if body is None:
            raise SchemaFault(f"{ref!r} points to nothing: there is no {fragment!r} in {found.file}")
        return Schema(body, found.file)

    def validator(self, schema: Schema) -> jsonschema_rs.Draft202012Validator:
        """A validator with formats on, that reads nothing outside the kind's folder."""
        return jsonschema_rs.Draft202012Validator(
            schema.body, validate_formats=True, retriever=self._retrieve, base_uri=_BASE + quote(schema.file)
        )

    def validator_at(self, schema: Schema, path: Iterable[str | int]) -> jsonschema_rs.Draft202012Validator:
        """A validator for the part of ``schema`` at ``path``, whose ``#/…`` references still start from its top."""
        pointer = "".join("/" + quote(str(part).replace("~", "~0").replace("/", "~1")) for part in path)
        whole = _BASE + quote(schema.file)
        return jsonschema_rs.Draft202012Validator(
            {"$ref": f"{whole}#{pointer}"},
            validate_formats=True,
            retriever=lambda uri: schema.body if uri == whole else self._retrieve(uri),
        )

    def _retrieve(self, uri: str) -> Any:
        if not uri.startswith(_BASE):
            raise SchemaFault(f"{uri} leaves the kind's folder")
        return self.load(unquote(uri.removeprefix(_BASE))).body


def subschemas(body: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """A schema and all schemas within it, each with its path; instances (``const``, ``default``, …) are not schemas."""
    if not isinstance(body, dict):
        return
    yield path, body
    for keyword, value in body.items():
        if keyword in _SUBSCHEMA:
            yield from subschemas(value, (*path, keyword))
        elif keyword in _SUBSCHEMA_LIST and isinstance(value, list):
            for index, item in enumerate(value):
                yield from subschemas(item, (*path, keyword, index))
        elif keyword in _SUBSCHEMA_MAP and isinstance(value, dict):
            for name, item in value.items():
                yield from subschemas(item, (*path, keyword, name))


def _own_faults(schema: Schema) -> Iterator[Fault]:
    if not isinstance(schema.body, dict | bool):
        yield Fault("", f"a JSON Schema is an object, found {shown(schema.body)}")
        return
    if isinstance(schema.body, dict) and schema.body.get("$schema", DRAFT).rstrip("#") != DRAFT:
        yield Fault("$schema", f"found {shown(schema.body['$schema'])}; only {DRAFT!r} is supported")
        return
    try:
        jsonschema_rs.meta.validate(schema.body)
    except jsonschema_rs.ValidationError as error:
        yield Fault(dotted(error.instance_path, ""), f"not a JSON Schema: {error.message}")


def _pointed(body: Any, pointer: str) -> Any:
    """What a JSON Pointer (RFC 6901) points to, ``None`` if nothing."""
    for segment in unquote(pointer).split("/")[1:]:
        key = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(body, dict) and key in body:
            body = body[key]
        elif isinstance(body, list) and key.isdigit() and int(key) < len(body):
            body = body[int(key)]
        else:
            return None
    return body


def _anchored(body: Any, anchor: str) -> Any:
    return next((sub for _, sub in subschemas(body) if anchor in (sub.get("$anchor"), sub.get("$dynamicAnchor"))), None)
