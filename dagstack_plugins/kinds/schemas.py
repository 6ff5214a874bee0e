"""The JSON Schemas of one kind: read from its folder and nowhere else, ``$ref`` by ``$ref``."""

from __future__ import annotations

import json
import posixpath
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import quote, unquote, urldefrag

import attrs
import jsonschema_rs

from dagstack_plugins.schemafaults import schema_sentence, sentence
from dagstack_plugins.wording import shown

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
_SUBSCHEMA_MAP: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


class SchemaFault(Exception):
    """A schema that cannot be used; the message says why."""


class Misfit(NamedTuple):
    """Something that is wrong with a schema.

    Attributes:
        file: the file that it stands in, as in ``Schema.file``.
        path: where in that file.
        message: what was found and what is expected.
    """

    file: str
    path: tuple[str | int, ...]
    message: str


@attrs.frozen
class Schema:
    """A schema and the places that its ``$ref`` start from.

    Attributes:
        body: the schema itself.
        file: its file, relative to the kind's folder, ``/`` between segments.
        root: the whole document that it stands in; by default it is that itself.
    """

    body: Any
    file: str
    root: Any = attrs.field(repr=False, eq=False)

    @root.default
    def _itself(self) -> Any:
        return self.body

    @classmethod
    def document(cls, body: Any, file: str) -> Schema:
        """A whole schema document."""
        # Its place is its identity: an $id of its own would send relative references to the network.
        return cls({k: v for k, v in body.items() if k != "$id"} if isinstance(body, dict) else body, file)

    def part(self, body: Any) -> Schema:
        """A schema inside this one."""
        return Schema(body, self.file, self.root)


class SchemaFiles:
    """The schema files of one kind.

    Args:
        folder: the kind's folder; ``None`` where the kind came from no file, so that nothing can be read.
        bodies: files that were read already, by their names.
    """

    def __init__(self, folder: Path | None, bodies: Mapping[str, Any] | None = None) -> None:
        self._folder = folder.resolve() if folder is not None else None
        names = {posixpath.normpath(name): body for name, body in (bodies or {}).items()}
        self._read = {name: Schema.document(body, name) for name, body in names.items()}

    def load(self, name: str) -> Schema:
        """The schema in a file of the kind's folder.

        Raises:
            SchemaFault: if the file is missing, lies elsewhere, or is not a JSON Schema 2020-12.
        """
        name = posixpath.normpath(name)
        if name not in self._read:
            self._read[name] = Schema.document(self._parse(name), name)
        return self._read[name]

    @property
    def bodies(self) -> dict[str, Any]:
        """Each file that was read, and what it holds."""
        return {name: schema.body for name, schema in self._read.items()}

    def _parse(self, name: str) -> Any:
        if self._folder is None:
            held = f"; it has the files {', '.join(self._read)}" if self._read else ""
            raise SchemaFault(
                f"names the file {name}, but this kind came from no folder{held}; write the schema itself"
            )
        try:
            path = (self._folder / name).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # loops of links, names that no file can have
            raise SchemaFault(f"{name!r} cannot be looked up: {error}") from None
        if not path.is_relative_to(self._folder):
            raise SchemaFault(
                f"{name} lies outside the kind's folder {self._folder}; schemas live beside their hookspec"
            )
        try:
            return json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_no_number)
        except FileNotFoundError:
            raise SchemaFault(f"there is no file {path}") from None
        except OSError as error:
            raise SchemaFault(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise SchemaFault(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from None
        except json.JSONDecodeError as error:
            raise SchemaFault(f"{name} is not JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise SchemaFault(f"{name} is not JSON that can be read: {error}") from None

    def misfits(self, schema: Schema) -> list[Misfit]:
        """What is wrong with a schema and all that it refers to; empty if it can be used."""
        found: list[Misfit] = []
        documents: dict[str, Schema] = {}
        checked: set[int] = set()
        waiting = deque([schema])
        while waiting:
            one = waiting.popleft()
            if one.file not in documents:
                documents[one.file] = one
                if broken := list(_broken(one)):
                    found += broken
                    continue
            for path, body in subschemas(one.body):
                if id(body) not in checked:
                    checked.add(id(body))
                    found += self._misfits_of(one, path, body, waiting)
        return found or self._not_compiled(schema) or list(self._bad_defaults(documents.values()))

    def _misfits_of(
        self, schema: Schema, path: tuple[str | int, ...], body: dict[str, Any], waiting: deque[Schema]
    ) -> Iterator[Misfit]:
        if "$id" in body:
            yield Misfit(schema.file, path, "'$id' inside a schema is not supported; use '$defs' and '$ref'")
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(ref := body.get(keyword), str):
                try:
                    target = self.resolve(schema, ref)
                except SchemaFault as error:
                    yield Misfit(schema.file, (*path, keyword), str(error))
                else:
                    # The document first: what is found there is told with its place in it.
                    waiting += [target.part(target.root), target]

    def _not_compiled(self, schema: Schema) -> list[Misfit]:
        try:
            self.validator(schema)
        except jsonschema_rs.ValidationError as error:
            return [Misfit(schema.file, tuple(error.instance_path), f"not a JSON Schema: {error.message}")]
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            return [Misfit(schema.file, (), str(error))]
        return []

    def _bad_defaults(self, documents: Iterable[Schema]) -> Iterator[Misfit]:
        """Defaults that their own schema refuses: each call that leaves the property out would fail."""
        for schema in documents:
            for path, body in subschemas(schema.body):
                if "default" in body:
                    for error in self.validator_at(schema, path).iter_errors(body["default"]):
                        yield Misfit(schema.file, (*path, "default"), sentence(error))

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
        body = _anchored(found.root, fragment) if fragment and fragment[0] != "/" else _pointed(found.root, fragment)
        if body is None:
            raise SchemaFault(f"{ref!r} points to nothing: there is no {fragment!r} in {found.file}")
        return found.part(body)

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


def _broken(schema: Schema) -> Iterator[Misfit]:
    """What keeps a document from being a JSON Schema at all."""
    if not isinstance(schema.body, dict | bool):
        yield Misfit(schema.file, (), f"a JSON Schema is an object, found {shown(schema.body)}")
        return
    if isinstance(schema.body, dict) and str(schema.body.get("$schema", DRAFT)).rstrip("#") != DRAFT:
        yield Misfit(schema.file, ("$schema",), f"found {shown(schema.body['$schema'])}; only {DRAFT!r} is supported")
        return
    try:
        # One slip is found by each vocabulary that it stands in the way of.
        found = {
            (tuple(error.instance_path), schema_sentence(error)) for error in _metaschema().iter_errors(schema.body)
        }
    except ValueError as error:
        yield Misfit(schema.file, (), f"not a JSON Schema: {error}")
        return
    for path, message in sorted(found, key=str):
        yield Misfit(schema.file, path, f"not a JSON Schema: {message}")


@cache
def _metaschema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": DRAFT})


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


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
