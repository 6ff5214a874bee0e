"""What a JSON Schema validator found, said for humans: one ``Fault`` each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagstack_plugins.errors import Fault
from dagstack_plugins.wording import dotted, near, nearest, one_of, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jsonschema_rs import ValidationError

_NAMES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def reach(document: Any, path: Iterable[str | int]) -> Any:
    """The value at a path; ``None`` where there is none."""
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document


def faults_of(errors: Iterable[ValidationError], root: str = "$", declared: Collection[str] = ()) -> list[Fault]:
    """Every error of a validator as a fault, in the order of the validator.

    Args:
        errors: what ``iter_errors`` gave.
        root: how paths start.
        declared: the properties of the whole, so that slips of the pen are recognised.
    """
    return [Fault(dotted(error.instance_path, root), sentence(error) + _slip(error, declared)) for error in errors]


def _slip(error: ValidationError, declared: Collection[str]) -> str:
    """Which property was likely meant, or which key likely means the property that is missing."""
    if error.instance_path or not declared:
        return ""
    known: dict[str, Any] = error.kind.as_dict()
    given: Any = error.instance
    match error.kind.name:
        case "required":
            meant = near(known["property"], [key for key in given if key not in declared])
            return "" if meant is None else f" (is it {meant!r}?)"
        case "additionalProperties" | "unevaluatedProperties" if len(known["unexpected"]) == 1:
            return nearest(known["unexpected"][0], declared)
        case _:
            return ""


def sentence(error: ValidationError) -> str:
    """What one error means, as expected and found."""
    known: dict[str, Any] = error.kind.as_dict()
    match error.kind.name:
        case "type":
            return f"expected {expected(error)}, found {_found(error.instance)}"
        case "required":
            return f"{known['property']!r} is missing"
        case "additionalProperties" | "unevaluatedProperties":
            return f"unknown: {', '.join(map(repr, known['unexpected']))}"
        case "enum":
            return f"expected one of {_options(known['options'])}, found {_near_option(error, known['options'])}"
        case "const":
            return f"expected {known['expected_value']!r}, found {shown(error.instance)}"
        case "pattern":
            return f"{shown(error.instance)} does not match {known['pattern']!r}"
        case "format":
            return f"{shown(error.instance)} is not a valid {known['format']}"
        case _:
            return error.message if len(error.message) <= 200 else f"{error.message[:199]}…"


def schema_sentence(error: ValidationError) -> str:
    """What one error of a document that should be a JSON Schema means.

    Args:
        error: what the metaschema's validator found.
    """
    if error.instance_path[-1:] == ["type"] and error.kind.name == "anyOf":
        return f"{shown(error.instance)} is no type; there are array, boolean, integer, null, number, object and string"
    return sentence(error)


def expected(error: ValidationError, names: Mapping[str, str] = _NAMES) -> str | None:
    """What the schema asks for in place of the value, such as ``a string or a list``.

    Args:
        error: what the validator found.
        names: what the document's authors call the types.

    Returns:
        Words that fit behind "expected"; ``None`` for keywords that ask for more than such words can say.
    """
    known: Any = error.kind
    match error.kind.name:
        case "type":
            return one_of([names.get(name, name) for name in known.types])
        case "anyOf":
            types = [name for branch in known.context for one in branch for name in _types_at(one, error.instance_path)]
            return one_of([names.get(name, name) for name in dict.fromkeys(types)]) if types else None
        case "enum":
            return one_of([repr(option) for option in known.options])
        case "minimum":
            return f"{known.limit} or more"
        case "exclusiveMinimum":
            return f"more than {known.limit}"
        case _:
            return None


def _types_at(error: ValidationError, path: list[str | int]) -> Sequence[str]:
    known: Any = error.kind
    return known.types if error.kind.name == "type" and error.instance_path == path else ()


def _options(options: Sequence[object]) -> str:
    return ", ".join(map(repr, options))


def _near_option(error: ValidationError, options: Sequence[object]) -> str:
    found = error.instance
    words = [option for option in options if isinstance(option, str)]
    return shown(found) + (nearest(found, words) if isinstance(found, str) else "")


def _found(value: object) -> str:
    if value is None:
        return "null"
    name = {str: "a string", bool: "a boolean", dict: "an object", list: "a list", int: "an integer", float: "a number"}
    return f"{shown(value)}, {name.get(type(value), type(value).__name__)}"
