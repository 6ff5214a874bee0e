"""The common payload, an object of plain scalars, checked and typed by one function made for its schema.

A shortcut never refuses. It answers where it is sure that the long way (plain JSON, defaults, the validator, the class)
would give the same, and says ``None`` wherever it is not; what it must know is only what makes it sure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from dagstack_plugins.kinds.jsonvalues import NotJson, copied
from dagstack_plugins.kinds.payload import ABSENT, NO_EXTRA, NO_NULLS, Payload
from dagstack_plugins.kinds.payloads import Shape

FromDict = Callable[[dict[str, Any]], Any]
FromPayload = Callable[[Any], Any]

_ANNOTATIONS: Final = frozenset(
    {"title", "description", "$comment", "$schema", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
_SAFE: Final = 2**53
"""Integers below are exact as JSON numbers everywhere (RFC 8259, section 6); the long way knows about larger ones."""
_OBJECT: Final = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties"}
_PLAIN: Final[Mapping[str, str]] = {
    "string": "type({v}) is str and ({v}.isascii() or is_text({v}))",
    "integer": "type({v}) is int and -SAFE < {v} < SAFE",
    "number": "((type({v}) is int and -SAFE < {v} < SAFE) or (type({v}) is float and {v} - {v} == 0.0))",
    "boolean": "({v} is True or {v} is False)",
    "null": "{v} is None",
}
_LIMITS: Final[Mapping[str, str]] = {
    "minimum": "{v} >= {limit!r}",
    "maximum": "{v} <= {limit!r}",
    "exclusiveMinimum": "{v} > {limit!r}",
    "exclusiveMaximum": "{v} < {limit!r}",
    "minLength": "len({v}) >= {limit!r}",
    "maxLength": "len({v}) <= {limit!r}",
}
_LIMITED: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
}


@attrs.frozen(eq=False)
class _Test:
    """A condition on one property.

    Attributes:
        condition: Python, of ``{v}``: true only for values that are plain JSON; it copies those that can change.
        whole: whether what fulfils it keeps the property's schema, so that the validator has nothing to add.
    """

    condition: str
    whole: bool


@attrs.frozen(eq=False)
class Shortcut:
    """Both ways into one payload class.

    Attributes:
        from_dict: a ``dict`` to a payload, or ``None``.
        from_payload: a payload of this class to a fresh one, or ``None``.
        whole: whether it never asks the validator.
    """

    from_dict: FromDict
    from_payload: FromPayload
    whole: bool


def shortcut(schema: Any, shape: Shape, is_valid: Callable[[Any], bool] | None) -> Shortcut | None:
    """The shortcut for one object schema; ``None`` where there is none.

    Args:
        schema: the schema; it must say all itself, without ``$ref`` or ``allOf``.
        shape: what is made of its values.
        is_valid: the schema's validator; ``None`` if nothing is checked against it.
    """
    cls, defaults = shape.type, shape.defaults
    if cls is None or defaults is None or not isinstance(schema, dict):
        return None
    converts = cls._converts
    properties = schema.get("properties", {})
    if not schema.keys() <= _OBJECT or schema.get("type", "object") != "object":
        return None
    if isinstance(schema.get("additionalProperties"), dict) or cls._attributes.keys() != properties.keys():
        return None
    if any(name not in properties for name in schema.get("required", ())):
        return None
    if None in defaults.values():  # a null that was filled in must be told from a property left out
        return None
    tests = {name: _test(body) for name, body in properties.items()}
    whole = is_valid is None or all(test.whole for test in tests.values())
    scope: dict[str, Any] = {
        "ABSENT": ABSENT,
        "NO_EXTRA": NO_EXTRA,
        "NO_NULLS": NO_NULLS,
        "SAFE": _SAFE,
        "cls": cls,
        "defaults": dict(defaults),
        "copied": _copied_or_absent,
        "is_text": _is_text,
        "is_valid": is_valid,
        "new": object.__new__,
        **{f"convert_{place}": converts.get(name) for place, name in enumerate(cls._attributes)},
    }
    source = _from_dict(cls, tests, converts, defaults, whole=whole) + _from_payload(
        cls, tests, converts, defaults, whole=whole
    )
    exec(compile(source, f"<shortcut of {cls.__name__}>", "exec"), scope)  # of checked identifiers, numbers and repr()s
    return Shortcut(scope["from_dict"], scope["from_payload"], whole)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _copied_or_absent(value: Any) -> Any:
    try:
        return copied(value)
    except NotJson:  # the long way tells of it, or rewrites it
        return ABSENT


def _test(body: Any) -> _Test:
    kinds: Any = body.get("type") if isinstance(body, dict) else None
    if isinstance(kinds, list) and kinds and all(kind in _PLAIN for kind in kinds):
        return _Test(
            "(" + " or ".join(f"({_PLAIN[kind]})" for kind in kinds) + ")", body.keys() <= _ANNOTATIONS | {"type"}
        )
    if not isinstance(kinds, str) or kinds not in _PLAIN:
        return _Test("({v} := copied({v})) is not ABSENT", whole=False)
    conditions = [_PLAIN[kinds]]
    rest = body.keys() - _ANNOTATIONS - {"type"}
    for keyword in sorted(rest & _LIMITED.get(kinds, frozenset())):
        conditions.append(_LIMITS[keyword].replace("{limit!r}", repr(body[keyword])))
        rest -= {keyword}
    if kinds == "string" and "enum" in rest and all(type(option) is str for option in body["enum"]):
        conditions.append(f"{{v}} in {_braced(tuple(body['enum']))}")
        rest -= {"enum"}
    return _Test(" and ".join(conditions), whole=not rest)


def _braced(value: object) -> str:
    """A ``repr`` that survives ``str.format``."""
    return repr(value).replace("{", "{{").replace("}", "}}")


def _from_dict(
    cls: type[Payload],
    tests: Mapping[str, _Test],
    converts: Mapping[str, Callable[[Any], Any] | None],
    defaults: Mapping[str, Any],
    *,
    whole: bool,
) -> str:
    needed = [name for name in tests if name not in cls._optional]
    places = {name: f"v{place}" for place, name in enumerate(cls._attributes)}
    lines = ["def from_dict(data):", "    count = len(data)"]
    if needed:
        lines += ["    try:", *(f"        {places[name]} = data[{name!r}]" for name in needed)]
        lines += ["    except KeyError:", "        return None"]
    for name in tests:
        if name in cls._optional:
            v = places[name]
            lines += [f"    {v} = data.get({name!r}, ABSENT)", f"    if {v} is ABSENT:", "        count += 1"]
            lines += [f"        {v} = {_default(name, defaults)}"]
            # A null that was given must be told from a property left out: the long way knows how.
            lines += [f"    elif {v} is None or not ({tests[name].condition.format(v=v)}):", "        return None"]
    conditions = [f"count == {len(tests)}", *(tests[name].condition.format(v=places[name]) for name in needed)]
    if not whole:
        conditions.append("is_valid(data)")
    lines += [f"    if not ({' and '.join(conditions)}):", "        return None"]
    return "\n".join([*lines, *_made(cls, converts), ""])


def _from_payload(
    cls: type[Payload],
    tests: Mapping[str, _Test],
    converts: Mapping[str, Callable[[Any], Any] | None],
    defaults: Mapping[str, Any],
    *,
    whole: bool,
) -> str:
    if not whole:
        return "def from_payload(payload):\n    return from_dict(payload.to_dict())\n"
    lines = ["def from_payload(payload):", "    if payload._extra or payload._nulls:", "        return None"]
    for place, (name, attribute) in enumerate(cls._attributes.items()):
        v = f"v{place}"
        lines.append(f"    {v} = payload.{attribute}")
        if name in cls._optional:
            lines += [
                f"    if {v} is None:",
                f"        {v} = {_default(name, defaults)}",
                f"    elif not ({tests[name].condition.format(v=v)}):",
            ]
        else:
            lines.append(f"    if not ({tests[name].condition.format(v=v)}):")
        lines.append("        return None")
    return "\n".join([*lines, *_made(cls, converts), ""])


def _default(name: str, defaults: Mapping[str, Any]) -> str:
    return f"defaults[{name!r}]" if name in defaults else "None"


def _made(cls: type[Payload], converts: Mapping[str, Callable[[Any], Any] | None]) -> list[str]:
    lines = ["    self = new(cls)"]
    for place, (name, attribute) in enumerate(cls._attributes.items()):
        v = f"v{place}"
        value = v if converts.get(name) is None else f"None if {v} is None else convert_{place}({v})"
        lines.append(f"    self.{attribute} = {value}")
    return [*lines, "    self._extra = NO_EXTRA", "    self._nulls = NO_NULLS", "    return self"]
