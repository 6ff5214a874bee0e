"""Plain JSON out of what Python code hands over, or the place where that is not possible."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Final

import attrs

from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.wording import shown

_DIGITS: Final = 4300
"""Python's own limit on text to ``int`` and back; beyond it the validator silently takes a number for null."""
_MOST: Final = 10**_DIGITS
_LEAST: Final = -_MOST


class NotJson(Exception):
    """A value that JSON has no form for.

    Args:
        message: what it is, and what to use instead.
        path: the way to it from the value that was handed over.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.path: list[str | int] = []


def to_json(value: Any) -> Any:
    """``value`` as plain JSON: ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``, exactly.

    Dataclasses, attrs objects, payloads, other mappings, tuples, enums and subclasses of the plain types are rewritten.
    Dicts and lists are new ones at any depth, so that who hands over and who takes share nothing that can change.

    Raises:
        NotJson: for NaN and the infinities (RFC 8259, section 6), lone surrogates, keys that are not strings,
            values that contain themselves, and anything else.
    """
    try:
        return _to_json(value, _rewritten)
    except RecursionError:
        raise NotJson("is nested too deeply, or contains itself") from None


def copied(value: Any) -> Any:
    """A copy of ``value``, which must be plain JSON already.

    Raises:
        NotJson: if it isn't, wherever ``to_json`` would have to rewrite something.
    """
    try:
        return _to_json(value, _refused)
    except RecursionError:
        raise NotJson("is nested too deeply, or contains itself") from None


Other = Callable[[Any], Any]
"""What becomes of a value that is not plain JSON."""


def _to_json(value: Any, other: Other) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _encodable(value)
    if kind is int:
        if _LEAST < value < _MOST:
            return value
        raise NotJson(f"is an integer of more than {_DIGITS:,} digits, which JSON parsers do not read")
    if kind is bool or value is None:
        return value
    if kind is float:
        if math.isfinite(value):
            return value
        raise NotJson(f"is {value!r}, which JSON has no number for")
    if kind is dict:
        return _dict(value, other)
    if kind is list:
        return _list(value, other)
    return other(value)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotJson(f"has a lone surrogate at position {error.start}, which no JSON text can carry") from None
    return text


def _dict(value: dict[Any, Any], other: Other) -> dict[str, Any]:
    made = {}
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            if not isinstance(key, str):
                raise NotJson(f"has the key {shown(key)}, {_a(key)}; keys of JSON objects are strings")
            key = _encodable(key) if type(key) is str else other(str.__str__(key))
        try:
            made[key] = _to_json(item, other)
        except NotJson as error:
            error.path.insert(0, key)
            raise
    return made


def _list(value: list[Any], other: Other) -> list[Any]:
    made = []
    for index, item in enumerate(value):
        try:
            made.append(_to_json(item, other))
        except NotJson as error:
            error.path.insert(0, index)
            raise
    return made


def _refused(value: Any) -> Any:
    raise NotJson(f"is {_a(value)}, not plain JSON")


def _rewritten(value: Any) -> Any:
    match value:
        case Payload():
            return _dict(value.to_dict(), _rewritten)
        case Enum():
            return _to_json(value.value, _rewritten)
        case Mapping():
            return _dict(dict(value.items()), _rewritten)
        case tuple() | list():
            return _list(list(value), _rewritten)
        case str():
            return _encodable(str.__str__(value))
        case int():
            return _to_json(int.__int__(value), _rewritten)
        case float():
            return _to_json(float.__float__(value), _rewritten)
    return _from_object(value)


def _from_object(value: Any) -> dict[str, Any]:
    if isinstance(value, type):
        raise NotJson(f"is the class {value.__name__}; a payload is made of values")
    if attrs.has(type(value)):
        return _dict({one.name.lstrip("_"): getattr(value, one.name) for one in attrs.fields(type(value))}, _rewritten)
    if is_dataclass(value):
        return _dict({one.name: getattr(value, one.name) for one in dataclass_fields(value)}, _rewritten)
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise NotJson(
            f"is {_a(value)}, which nobody awaits; make the method `async def`, "
            "or say execution_model = 'async' in the manifest"
        )
    raise NotJson(f"is {_a(value)}, which has no form in JSON; use dict, list, str, int, float, bool or None")


def _a(value: object) -> str:
    name = type(value).__qualname__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
