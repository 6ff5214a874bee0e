"""What is wrong with a manifest, told to its author: every fault, where it stands, and what to write instead."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date, time
from functools import cache, lru_cache
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft202012Validator
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dagstack_plugins.errors import Fault, ManifestInvalid
from dagstack_plugins.schemafaults import expected, reach, sentence
from dagstack_plugins.wording import dotted, near, one_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jsonschema_rs import ValidationError

    from dagstack_plugins.manifest_text import Source

_Path = tuple[str | int, ...]
Found = tuple[_Path, str]
"""The path of a fault, which begins at ``plugin`` whatever stands above that in the file, and its message."""

_MIDDLEWARE = "horizontal_middleware"
_TABLES = ("plugin", "resources", "unit_of_work", "mcp_stdio", "mcp_http", "chain_wrap")
_HALF_PAIR = re.compile("[\ud800-\udfff]")  # of surrogates: such a string is no text
_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


def unreadable(source: Source, message: str, line: int | None = None, of: Any = None) -> ManifestInvalid:
    """The error for a document that can't be looked into.

    Args:
        source: where the document comes from.
        message: what was found and what is expected.
        line: 1-based line in the file, where known.
        of: the document, if it got that far.
    """
    return _error(source, of, [Fault("", message, line)])


def how_to_begin(document: Any, source: Source) -> str:
    """What to write into a file that holds no plugin."""
    if not isinstance(document, dict):
        return f"expected an object, found {as_found(document)}"
    found = "no plugin is described here" if document or source.text.strip(" \t\r\n{}") else "the file is empty"
    meant = near("plugin", document)
    hint = f" (found {meant!r}, did you mean 'plugin'?)" if meant else ""
    table = f"a table [{dotted((*source.above, 'plugin'), '')}]"
    where = 'an object "plugin"' if source.language == "JSON" else table
    return f"{found}{hint}; write {where} with the fields name, kind, core_version and runtime"


def invalid(source: Source, document: Mapping[str, Any], found: Iterable[Found]) -> ManifestInvalid:
    """The error that tells all that was found, in the order of the document.

    Args:
        source: where the document comes from.
        document: the document, from the key ``plugin`` on.
        found: what is wrong with it.
    """
    in_order = sorted(found, key=lambda one: _position(document, one[0]))
    faults = [
        Fault(dotted((*source.above, *path), "", toml=True), message, source.line(path)) for path, message in in_order
    ]
    return _error(source, document, faults)


def _error(source: Source, document: Any, faults: Sequence[Fault]) -> ManifestInvalid:
    texts = (reach(document, ("plugin", key)) for key in ("kind", "name"))
    kind, name = (text if isinstance(text, str) else None for text in texts)
    whose = f" of {kind}/{name}" if kind and name else f" of {name}" if name else ""
    where = f" {source.file}" if source.file else ""
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    file = str(source.file) if source.file else None
    return ManifestInvalid(f"manifest{where}{whose} has {count}:", file=file, faults=faults, kind=kind, plugin=name)


def _position(document: Any, path: _Path) -> list[int]:
    """Sorts faults into the document's order; what is missing comes at the end of its table."""
    order: list[int] = []
    for step in path:
        places: list[str | int] = list(range(len(document)) if isinstance(step, int) else document or ())
        order.append(places.index(step) if step in places else len(places))
        document = reach(document, [step])
    return order


@cache
def schema() -> dict[str, Any]:
    """The manifest's JSON Schema, read once; not to be changed."""
    read: dict[str, Any] = json.loads(Path(__file__).with_name("manifest.schema.json").read_text("utf-8"))
    return read


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema(), validate_formats=True)


def examined(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Found]]:
    """Look for faults, in the shape of a document and then across its fields.

    Args:
        document: the document, with the key ``plugin`` at its top.

    Returns:
        The table ``plugin``, without what breaks the schema; and everything that is wrong.
    """
    found = [] if _fits(document) else list(_shape_faults(document))
    table = (_without(document, {path for path, _ in found}) if found else document)["plugin"]
    wrong = {path for path, _ in found}
    for rule in _RULES:
        faults = [(("plugin", *path), message) for path, message in rule(table)]
        # What is wrong already isn't missing, too.
        found += [fault for fault in faults if not any(fault[0][: len(path)] == path for path in wrong)]
    return table, found


def _fits(document: Mapping[str, Any]) -> bool:
    try:
        return _validator().is_valid(document)
    except ValueError:  # something that isn't JSON, where the schema asks for a type
        return False


def _without(value: Any, wrong: set[_Path], path: _Path = ()) -> Any:
    """What is left without the wrong values, for the rules that come after.

    A wrong table or list item leaves an empty table: so it doesn't count as missing, and other items keep their places.
    """
    if path in wrong:
        return {}
    if isinstance(value, Mapping):
        kept = ((key, item) for key, item in value.items() if (*path, key) not in wrong or key in _TABLES)
        return {key: _without(item, wrong, (*path, key)) for key, item in kept}
    if isinstance(value, list | tuple):
        return [_without(item, wrong, (*path, index)) for index, item in enumerate(value)]
    return value


def _shape_faults(document: Mapping[str, Any]) -> Iterator[Found]:
    for error in _validator().iter_errors(_for_validator(document)):
        for one in _meant_by(error):
            yield from _told(one, document)


def _for_validator(value: Any) -> Any:
    """What isn't JSON becomes null, which no field takes: so it is told of like any other wrong type."""
    if isinstance(value, Mapping):
        return {str(key): _for_validator(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_for_validator(item) for item in value]
    return value if _is_json_scalar(value) else None


def _meant_by(error: ValidationError) -> list[ValidationError]:
    """For an ``anyOf`` the errors of the branch whose type fits, if there is one."""
    branches = error.kind.value if error.kind.name == "anyOf" else ()
    for branch in branches:
        if not any(one.kind.name == "type" and one.instance_path == error.instance_path for one in branch):
            return [meant for one in branch for meant in _meant_by(one)]
    return [error]


def _told(error: ValidationError, document: Mapping[str, Any]) -> Iterator[Found]:
    path = tuple(error.instance_path)
    node, value = reach(schema(), error.schema_path[:-1]), reach(document, path)
    match error.kind.name:
        case "required":
            missing = error.kind.value
            yield (*path, missing), f"is missing{_example(missing, node['properties'][missing])}"
        case "additionalProperties":
            for key in error.kind.value:
                yield (*path, key), f"unknown field{_meant_field(key, node['properties'])}"
        case "uniqueItems":
            for index, item in enumerate(value):
                if item in value[:index]:
                    yield (*path, index), f"{item!r} stands twice in the list"
        case "type" if "enum" in node:
            pass  # a list of the values that would do says more than their type
        case _:
            yield path, _sentence(error, node, value)


def _sentence(error: ValidationError, node: Mapping[str, Any], value: Any) -> str:
    match error.kind.name:
        case "minLength":
            return "is empty; expected some text"
        case "minItems":
            return "is an empty list; write at least one entry"
        case "pattern":
            return _pattern_sentence(error.instance_path, node, value)
    wanted = expected(error, _TYPES)
    meant = near(str(value), node["enum"]) if "enum" in node else None
    hint = f"; did you mean {meant!r}?" if meant else ""
    return f"expected {wanted}, found {as_found(value)}{hint}" if wanted else sentence(error)


def _pattern_sentence(path: Sequence[str | int], node: Mapping[str, Any], value: str) -> str:
    hint = ""
    if path[-1] == "entry_point" and (fault := _entry_point_fault(value)):
        return fault
    if "depends_on" in path and value.count("/") == 1:
        kind, name = value.split("/")
        hint = f'; for a plugin of one kind write {{ kind = "{kind}", name = "{name}" }}'
    return f"{node['patternErrorMessage']}, found {as_found(value)}{hint}"


def _example(key: str, node: Mapping[str, Any]) -> str:
    return f"; write for example {key} = {json.dumps(node['examples'][0])}" if "examples" in node else ""


def _meant_field(key: str, known: Mapping[str, Any]) -> str:
    fields = schema()["properties"]["plugin"]["properties"]
    if meant := near(key, known):
        homes = [repr(meant)]
    elif key in fields:
        homes = [f"plugin.{key}"]
    else:
        homes = [f"plugin.{name}.{key}" for name, node in fields.items() if key in node.get("properties", ())]
    if homes:
        return f"; did you mean {one_of(homes)}?"
    return f"; known here: {', '.join(known)}" if len(known) <= 12 else ""


def as_found(value: Any) -> str:
    """A value as its author knows it, with its type."""
    match value:
        case None:
            return "null"
        case Mapping():
            return "a table" if value else "an empty table"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case bool():
            return f"{str(value).lower()} (bool)"
        case str():
            half = _HALF_PAIR.search(value)
            return f"{shown(value)} ({'half a surrogate pair, which is no text' if half else 'string'})"
        case date() | time():
            return f"{value} ({type(value).__name__})"
        case _:
            return f"{shown(value)} ({type(value).__name__})"


# The rules that reach across fields. Each gets the table without what breaks the schema, so what is there has its type;
# a required field may be missing.


def _order_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    priority = table.get("priority", 0)
    kind = table.get("kind", _MIDDLEWARE)
    if priority > 100 and (priority < 1000 or kind != _MIDDLEWARE):
        most = "0 to 100, or 1000 and up" if kind == _MIDDLEWARE else "0 to 100"
        reserved = f"; 1000 and up is for the kind {_MIDDLEWARE}" if priority >= 1000 else ""
        yield ("priority",), f"expected {most}, found {as_found(priority)}{reserved}"
    if table.get("tryfirst") and table.get("trylast"):
        yield ("trylast",), "tryfirst and trylast can't both be true; keep one"
    if "chain_wrap" in table and kind != _MIDDLEWARE:
        yield ("chain_wrap",), f"only for the kind {_MIDDLEWARE}; this is a {kind}: remove the table"


def _runtime_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    given = table.get("runtime", ())
    runtimes = [given] if isinstance(given, str) else [runtime for runtime in given if runtime]
    for runtime in runtimes:
        if runtime != "in_process" and table.get("in_process_only"):
            yield ("runtime",), f"in_process_only = true refuses {runtime!r}; keep one of the two"
        # A host starts a server for code that it could run itself.
        needs_table = runtime != "in_process" and (runtime == "mcp_http" or "in_process" not in runtimes)
        if needs_table and runtime not in table:
            yield ("runtime",), f"{runtime!r} needs a table [plugin.{runtime}], which is missing"
    stdio, http = table.get("mcp_stdio"), table.get("mcp_http")
    if isinstance(stdio, Mapping) and "command" not in stdio and "in_process" not in runtimes:
        yield ("mcp_stdio", "command"), "is missing; only a plugin that also runs as 'in_process' goes without one"
    if isinstance(http, Mapping) and "@" in http.get("url", "").partition("://")[2].partition("/")[0]:
        yield ("mcp_http", "url"), "holds a user or a password; auth_secret_env names the variable that holds a secret"
    if isinstance(http, Mapping) and "auth_header" in http and "auth_secret_env" not in http:
        yield ("mcp_http", "auth_header"), "needs auth_secret_env, the environment variable that holds the secret"
    if "entry_point" in table and runtimes and "in_process" not in runtimes:
        told = "only for the runtime 'in_process', which `runtime` doesn't list: add it there, or remove entry_point"
        yield ("entry_point",), told


def _entry_point_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    if "entry_point" in table and (fault := _entry_point_fault(table["entry_point"])):
        yield ("entry_point",), fault


def _entry_point_fault(text: str) -> str | None:
    module, colon, name = text.partition(":")
    if "/" in text or "\\" in text:
        return f"{text!r} is a path; name the module with dots, from the plugin's folder down: 'sub.module:Class'"
    if not colon:
        return f"{text!r} has no ':'; expected module:Class, such as 'plugin:EchoTool'"
    if module.startswith(".") or ".." in module:
        return f"{text!r} has dots that lead nowhere; name the module from the plugin's folder down: 'sub.module:Class'"
    if "." in name or ":" in name:
        return f"{name!r} is no class at the top of a module; write one name behind the ':'"
    for part in (*module.split("."), name):
        if iskeyword(part):
            return f"{part!r} in {text!r} is a keyword of Python; rename the module or class"
        if not part.isidentifier():
            return f"{part!r} in {text!r} is no Python name; expected module:Class, such as 'plugin:EchoTool'"
    return None


def _version_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    text = table.get("core_version")
    if text is not None and not _are_specifiers(text):
        told = f"{text!r} is no list of PEP 440 version specifiers; write for example '>=0.1.0,<1.0.0'"
        yield ("core_version",), told


@lru_cache(maxsize=256)
def _are_specifiers(text: str) -> bool:
    try:
        return len(SpecifierSet(text)) > 0
    except InvalidSpecifier:
        return False


def _dependency_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    own = {"kind": table.get("kind"), "name": table.get("name")}
    for index, item in enumerate(table.get("depends_on", ())):
        if item == own:
            yield ("depends_on", index), f"the plugin depends on itself ({own['kind']}/{own['name']}); remove it"
        elif item == own["name"]:  # a bare name fits any kind, so it always fits the plugin itself
            other = f'if a plugin of another kind is meant, write {{ kind = "...", name = "{item}" }}'
            yield ("depends_on", index), f"the plugin depends on itself ({item}); remove it, or {other}"


def _unit_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    if table.get("unit_of_work", {}).get("idempotency_mode") == "output_hash":
        required = table.get("resources", {}).get("required", ())
        if missing := [name for name in ("clock", "rng") if name not in required]:
            told = f"'output_hash' needs clock and rng in resources.required; missing there: {', '.join(missing)}"
            yield ("unit_of_work", "idempotency_mode"), told


def _json_rules(table: Mapping[str, Any]) -> Iterator[Found]:
    for key in ("supports", "config_schema", "contract"):
        if key in table:
            yield from _not_json(table[key], (key,))


def _not_json(value: Any, path: _Path) -> Iterator[Found]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _not_json(item, (*path, key))
            else:
                yield path, f"the key {as_found(key)} is not a string"
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_json(item, (*path, index))
    elif not _is_json_scalar(value):
        yield path, f"expected a JSON value, found {as_found(value)}"


def _is_json_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return not _HALF_PAIR.search(value)
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


_RULES = (
    _order_rules,
    _runtime_rules,
    _entry_point_rules,
    _version_rules,
    _dependency_rules,
    _unit_rules,
    _json_rules,
)
