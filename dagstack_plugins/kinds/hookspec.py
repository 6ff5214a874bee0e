"""A hookspec file becomes a ``Kind``: every fault at once, each with its line."""

from __future__ import annotations

import json
import keyword
import re
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import jsonschema_rs

from dagstack_plugins.errors import Fault, HookspecInvalid
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.schemas import Schema, SchemaFault, SchemaFiles
from dagstack_plugins.kinds.yamldoc import YamlDocument, read_yaml
from dagstack_plugins.schemafaults import sentence
from dagstack_plugins.wording import dotted, nearest, shown

DEFAULT_MATCH: Final[Mapping[str, str]] = {
    "language": "supports_languages",
    "extension": "supports_extensions",
    "mime_type": "supports_mime_types",
}
_VERSION_FILE: Final = re.compile(r"v(\d+)\.ya?ml")
_ONLY_FOR: Final = {
    "selection": Dispatch.SINGLETON,
    "error_policy": Dispatch.BROADCAST_COLLECT,
    "match": Dispatch.CAPABILITY,
}
_ELSEWHERE: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties", "dependentSchemas", "if"})
"""Keywords by which a schema may declare properties without naming them in ``properties``."""
RESERVED: Final = ("aio", "sync", "setup", "teardown", "health", "matches")
"""Names that no hook may have: proxies and plugins have them already."""

_Path = tuple[str | int, ...]


def hookspec_files(path: Path) -> list[Path]:
    """The hookspec files that ``path`` stands for: itself, the versions in a kind's folder, or a folder of kinds.

    Raises:
        HookspecInvalid: if there is none.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise HookspecInvalid(f"there is no hookspec {path}; name a YAML file or a folder of kinds", file=str(path))
    found = sorted(
        file for file in (*path.glob("*.y*ml"), *path.glob("*/*.y*ml")) if _VERSION_FILE.fullmatch(file.name)
    )
    if not found:
        raise HookspecInvalid(f"{path} holds no hookspec; expected <kind>/v<major>.yaml below it", file=str(path))
    return found


def read_hookspec(file: Path) -> Kind:
    """Read and check one hookspec file.

    Raises:
        HookspecInvalid: with every fault of the file and of the schemas that it names.
    """
    file = file.absolute()
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(file, [Fault("", f"not UTF-8: {error.reason} at byte {error.start}")]) from None
    except OSError as error:
        raise HookspecInvalid(f"hookspec {file} cannot be read: {error.strerror}", file=str(file)) from None
    return build_kind(read_yaml(text), SchemaFiles(file.parent), file)


def build_kind(document: YamlDocument, schemas: SchemaFiles, file: Path | None = None) -> Kind:
    """Check a hookspec that was read, and build its kind.

    Args:
        document: the declaration.
        schemas: the schema files that it may name.
        file: where it came from.

    Raises:
        HookspecInvalid: with every fault.
    """
    reader = _Reader(document, schemas, file)
    kind = reader.kind()
    if kind is None:
        raise _invalid(file, reader.faults, document.data)
    return kind


def _invalid(file: Path | None, faults: list[Fault], data: Any = None) -> HookspecInvalid:
    kind = data.get("kind") if isinstance(data, dict) else None
    return HookspecInvalid(
        f"hookspec {file or 'given as an object'} is not valid:",
        file=str(file) if file else None,
        faults=sorted(faults, key=lambda fault: fault.line or 0),
        kind=kind if isinstance(kind, str) else None,
    )


@cache
def hookspec_schema() -> dict[str, Any]:
    """The shape of a hookspec, as a JSON Schema (2020-12)."""
    text = Path(__file__).with_name("hookspec.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _shape() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(hookspec_schema())


class _Schemas(NamedTuple):
    """The schemas of one hook."""

    input: Schema | None
    output: Schema | None


class _Reader:
    """Turns one document into a kind, collecting faults on the way."""

    def __init__(self, document: YamlDocument, schemas: SchemaFiles, file: Path | None) -> None:
        self.faults: list[Fault] = list(document.faults)
        self._document = document
        self._schemas = schemas
        self._file = file

    def kind(self) -> Kind | None:
        data = self._document.data
        if not self._check_shape(data):
            return None
        self._check_file_name(data.get("kind_api_version"))
        # What has the wrong shape was told of; everything else is looked at all the same.
        entries = data["hooks"] if isinstance(data.get("hooks"), list) else []
        schemas = [
            self._check_hook(entry, ("hooks", index)) for index, entry in enumerate(entries) if isinstance(entry, dict)
        ]
        self._check_unique([entry.get("name") if isinstance(entry, dict) else None for entry in entries])
        self._check_schema_hooks([entry for entry in entries if isinstance(entry, dict)])
        if self.faults:
            return None
        hooks = {entry["name"]: _hook(entry, own) for entry, own in zip(entries, schemas, strict=True)}
        constraints = data.get("constraints", {})
        return Kind(
            name=data["kind"],
            version=data["kind_api_version"],
            description=data.get("description", ""),
            hooks=hooks,
            in_process_only=constraints.get("in_process_only", False),
            singleton_per_runtime=constraints.get("singleton_per_runtime", False),
            file=self._file,
            declared=data,
            content=self._content(data, hooks),
            schemas=self._schemas,
        )

    def _fault(self, path: _Path, message: str) -> None:
        self.faults.append(Fault(dotted(path, ""), message, self._document.line(path)))

    def _check_shape(self, data: Any) -> bool:
        """Check the document against the hookspecs' schema; whether there is anything more to look at."""
        if data is None and self.faults:
            return False
        if not isinstance(data, dict):
            told = "the file is empty" if data is None else f"found {shown(data)}"
            self._fault((), f"{told}; a hookspec is a mapping with 'kind', 'kind_api_version' and 'hooks'")
            return False
        try:
            to_json(data)
        except NotJson as error:
            self._fault(tuple(error.path), str(error))
            return False
        faulty = {fault.path for fault in self.faults}
        for found in _shape().iter_errors(data):
            if dotted(found.instance_path, "") not in faulty:
                self._shape_fault(found)
        return True

    def _shape_fault(self, error: jsonschema_rs.ValidationError) -> None:
        path = tuple(error.instance_path)
        if error.kind.name == "additionalProperties":
            fields = _fields_at(path)
            for name in error.kind.as_dict()["unexpected"]:
                self._fault((*path, name), f"unknown field{nearest(name, fields)}; known are {', '.join(fields)}")
            return
        self._fault(path, _advice(path, error) or sentence(error))

    def _check_file_name(self, version: Any) -> None:
        named = _VERSION_FILE.fullmatch(self._file.name) if self._file else None
        if not named or not isinstance(version, str) or not version.partition(".")[0].isdecimal():
            return
        major = version.partition(".")[0]
        if named[1] != major:
            self._fault(
                ("kind_api_version",), f"the file is {named[0]}, but declares major {major}; rename one of them"
            )

    def _check_unique(self, names: list[Any]) -> None:
        for index, name in enumerate(names):
            if isinstance(name, str) and name in names[:index]:
                self._fault(("hooks", index, "name"), f"a second hook is named {name!r}; names are unique")

    def _check_schema_hooks(self, entries: list[dict[str, Any]]) -> None:
        names = {entry.get("name") for entry in entries}
        for index, entry in enumerate(entries):
            source = entry.get("input_schema_hook")
            if isinstance(source, str) and (source not in names or source == entry.get("name")):
                self._fault(("hooks", index, "input_schema_hook"), f"{source!r} is no other hook of this kind")

    def _check_hook(self, entry: dict[str, Any], path: _Path) -> _Schemas:
        dispatch = entry.get("dispatch")
        for field, only in _ONLY_FOR.items():
            if field in entry and dispatch in list(Dispatch) and dispatch != only:
                self._fault((*path, field), f"is for dispatch {only.value} only; this hook is {dispatch}")
        if isinstance(name := entry.get("name"), str) and keyword.iskeyword(name):
            self._fault((*path, "name"), f"{name!r} is a word of Python's own; no method can be named so")
        if isinstance(template := entry.get("mcp_tool_name_template"), str):
            self._check_template(template, (*path, "mcp_tool_name_template"))
        schemas = _Schemas(self._input_schema(entry, path), self._schema(entry, "output_schema", path))
        if dispatch == Dispatch.CHAIN and schemas.output is not None and _never_an_object(schemas.output.body):
            found = _type_of(schemas.output.body)
            self._fault(
                (*path, "output_schema"),
                f"what a chain's plugin returns is the next one's input, an object; this schema's type is {found}",
            )
        self._check_match(entry, schemas.input, path)
        return schemas

    def _check_match(self, entry: dict[str, Any], schema: Schema | None, path: _Path) -> None:
        body = schema.body if schema is not None and isinstance(schema.body, dict) else {}
        declared = body.get("properties")
        matched = entry.get("match")
        if not isinstance(declared, dict) or not isinstance(matched, dict) or not body.keys().isdisjoint(_ELSEWHERE):
            return
        for name in matched:
            hint = nearest(str(name), declared)
            if name not in declared and (hint or body.get("additionalProperties") is False):
                self._fault((*path, "match", name), f"no property of the input is called so{hint}")

    def _check_template(self, template: str, path: _Path) -> None:
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
        except ValueError as error:
            self._fault(path, f"{template!r} is not a template: {error}")
            return
        if unknown := fields - {"kind", "plugin", "hook"}:
            told = ", ".join(f"{{{field}}}" for field in sorted(unknown))
            self._fault(path, f"unknown {told}; known are {{kind}}, {{plugin}} and {{hook}}")

    def _schema(self, entry: dict[str, Any], field: str, path: _Path) -> Schema | None:
        given, where = entry.get(field), (*path, field)
        if not isinstance(given, str | dict):
            return None
        try:
            schema = self._schemas.load(given) if isinstance(given, str) else Schema.document(given, self._own_name())
        except SchemaFault as error:
            self._fault(where, str(error))
            return None
        misfits = self._schemas.misfits(schema)
        for file, inside, message in misfits:
            if isinstance(given, dict) and file == schema.file:
                self._fault((*where, *inside), message)
            else:
                self._fault(where, f"{file}{', at ' if inside else ''}{dotted(inside, '')}: {message}")
        return None if misfits else schema

    def _input_schema(self, entry: dict[str, Any], path: _Path) -> Schema | None:
        schema = self._schema(entry, "input_schema", path)
        if schema is not None and _never_an_object(schema.body):
            found = _type_of(schema.body)
            self._fault((*path, "input_schema"), f"a payload is an object, but this schema's type is {found}")
            return None
        return schema

    def _content(self, data: dict[str, Any], hooks: Mapping[str, Hook]) -> dict[str, Any]:
        """The declaration with all its schemas read in: what makes two hookspecs the same."""
        entries = [_content(entry, hooks[entry["name"]]) for entry in data["hooks"]]
        named = {schema.file for hook in hooks.values() for schema in (hook.input_schema, hook.output_schema) if schema}
        referred = {file: body for file, body in self._schemas.bodies.items() if file not in named}
        return {**data, "hooks": entries, **({"files": referred} if referred else {})}

    def _own_name(self) -> str:
        return self._file.name if self._file else "hookspec"


def _hook(entry: dict[str, Any], schemas: _Schemas) -> Hook:
    dispatch = Dispatch(entry["dispatch"])
    return Hook(
        name=entry["name"],
        dispatch=dispatch,
        description=entry.get("description", ""),
        input_schema=schemas.input,
        output_schema=schemas.output,
        is_async=entry.get("async"),
        required=entry.get("required", not dispatch.is_broadcast),
        named=entry.get("selection") == "named",
        best_effort=entry.get("error_policy") == "best_effort",
        input_schema_hook=entry.get("input_schema_hook"),
        match=entry.get("match", DEFAULT_MATCH) if dispatch is Dispatch.CAPABILITY else {},
        mcp_exposed=entry.get("mcp_exposed", True),
        mcp_tool_name_template=entry.get("mcp_tool_name_template", "{kind}.{plugin}.{hook}"),
    )


def _content(entry: dict[str, Any], hook: Hook) -> dict[str, Any]:
    schemas = {"input_schema": hook.input_schema, "output_schema": hook.output_schema}
    return {**entry, **{field: schema.body for field, schema in schemas.items() if schema is not None}}


def _fields_at(path: _Path) -> list[str]:
    schema = hookspec_schema()
    if not path:
        return list(schema["properties"])
    if path == ("constraints",):
        return list(schema["properties"]["constraints"]["properties"])
    return list(schema["$defs"]["hook"]["properties"])


def _advice(path: _Path, error: jsonschema_rs.ValidationError) -> str | None:
    """A better sentence for the slips that YAML invites."""
    field, found = path[-1] if path else None, error.instance
    if len(path) > 1 and path[-2] == "match":
        return f"{shown(found)} names no list of a manifest; use {', '.join(DEFAULT_MATCH.values())} or supports.<name>"
    if field == "kind_api_version":
        return f"found {shown(found)}; expected major.minor.patch, such as 1.0.0" + (
            f" (YAML reads {found} as a number)" if isinstance(found, int | float) else ""
        )
    if field == "name" and isinstance(found, bool):
        return f"YAML reads this word as {str(found).lower()}; write it in quotes"
    if field == "name" and found in RESERVED:
        return f"{found!r} is reserved; hooks are not named {', '.join(RESERVED)}"
    if field in {"name", "kind"} and error.kind.name == "pattern":
        return f"{shown(found)} is not snake_case: lower-case letters, digits and underscores, a letter first"
    return None


def _type_of(body: Any) -> str:
    return shown(body.get("type") if isinstance(body, dict) else body)


def _never_an_object(body: Any) -> bool:
    if not isinstance(body, dict):
        return body is False
    kinds = body.get("type", "object")
    return "object" not in ([kinds] if isinstance(kinds, str) else kinds)
