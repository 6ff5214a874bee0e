"""The class of one object schema: its attributes, and the functions by which plain JSON comes in and goes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any, Final
from unicodedata import normalize

import attrs

from dagstack_plugins.kinds.payload import ABSENT, NO_EXTRA, NO_NULLS, Payload, plain
from dagstack_plugins.kinds.schemas import Schema

Convert = Callable[[Any], Any]

_PYTHON: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "array": "list[Any]",
    "object": "dict[str, Any]",
}
_OWN: Final = frozenset({*dir(Payload), "self"})
_SPECIAL: Final = re.compile(r"__\w*[^\W_]__")


class ObjectParts:
    """The object side of a schema: its properties, with those that ``$ref`` and ``allOf`` bring in.

    Args:
        parts: the schema, after all that it takes over.

    Attributes:
        properties: each with the schemas that it must fit.
        required: those that must be given, and have no default.
        filled: those that have a default.
        others: the schema of all undeclared ones, where it is the same for all.
        open: whether undeclared ones are admitted.
        description: what the object is.
    """

    def __init__(self, parts: list[Schema]) -> None:
        self.properties: dict[str, list[Schema]] = {}
        self.required: set[str] = set()
        self.others: Schema | None = None
        for part in parts:
            for name, body in part.body.get("properties", {}).items():
                self.properties.setdefault(name, []).append(part.part(body))
            self.required.update(part.body.get("required", ()))
            self.others = others_of(part) or self.others
        closing = ("additionalProperties", "unevaluatedProperties")
        self.open = not any(part.body.get(keyword) is False for part in parts for keyword in closing)
        self.description = next((part.body["description"] for part in parts[::-1] if "description" in part.body), "")
        self.filled = {
            name
            for name, schemas in self.properties.items()
            if any(isinstance(schema.body, dict) and "default" in schema.body for schema in schemas)
        }
        # What has a default may be left out all the same: it is filled in before anyone asks whether it is there.
        self.required -= self.filled


def others_of(schema: Schema) -> Schema | None:
    """The schema of all undeclared properties, where it is the same for all."""
    body = schema.body.get("additionalProperties")
    return schema.part(body) if isinstance(body, dict) and "patternProperties" not in schema.body else None


def _attribute_names(properties: Mapping[str, Any]) -> dict[str, str]:
    """Property to attribute: the same word, with ``_`` appended where Python or the class itself needs the word."""
    # Python normalises the names in source code (PEP 3131): that is how an attribute is asked for.
    words = {name: normalize("NFKC", name) for name in properties if name.isidentifier()}
    names: dict[str, str] = {}
    for name in sorted(words, key=lambda name: words[name] != name or _is_taken(words[name])):
        attribute = words[name]
        while _is_taken(attribute) or attribute in names.values():
            attribute += "_"
        names[name] = attribute
    return {name: names[name] for name in properties if name in names}


def _is_taken(word: str) -> bool:
    return iskeyword(word) or word in _OWN or _SPECIAL.fullmatch(word) is not None


def _annotation(schemas: list[Schema], *, optional: bool) -> Any:
    for schema in schemas:
        kinds = schema.body.get("type") if isinstance(schema.body, dict) else None
        if kinds:
            told = [_PYTHON[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
            return " | ".join([*told, "None"] if optional and "None" not in told else told)
    return Any


def make_class(
    name: str,
    declared: ObjectParts,
    converts: Mapping[str, Convert | None],
    nullable: frozenset[str],
    scalar: frozenset[str],
    others: Convert | None,
) -> type[Payload]:
    """Make the class of an object.

    Args:
        name: what it is called.
        declared: its properties.
        converts: for each of them what makes the kind's types of plain JSON, where that is needed.
        nullable: those that may be ``null`` as well as left out, which is kept apart.
        scalar: those whose values are no objects or arrays.
        others: what makes the kind's types of undeclared ones.
    """
    attributes = _attribute_names(declared.properties)
    optional = frozenset(attributes) - declared.required
    fields: dict[str, Any] = {}
    seen_optional = False
    for prop, attribute in attributes.items():
        note = _annotation(declared.properties[prop], optional=prop in optional)
        if prop in optional:
            fields[attribute] = attrs.field(default=ABSENT if prop in nullable else None, type=note, alias=attribute)
        else:
            # Python wants arguments without a default first; after an optional one they go by keyword.
            fields[attribute] = attrs.field(type=note, alias=attribute, kw_only=seen_optional)
        seen_optional = seen_optional or prop in optional
    source = _from_dict_source(attributes, optional, nullable & optional, converts) + _to_dict_source(
        attributes, optional, scalar
    )
    scope: dict[str, Any] = {
        "new": object.__new__,
        "known": frozenset(attributes),
        "NO_EXTRA": NO_EXTRA,
        "NO_NULLS": NO_NULLS,
        "others": others or (lambda value: value),
        "nullable": nullable & optional,
        "plain": plain,
        **{f"convert_{index}": converts[prop] for index, prop in enumerate(attributes)},
    }
    exec(compile(source, f"<payload class {name}>", "exec"), scope)  # names in it are repr()s and checked identifiers
    body = {
        "__doc__": f"Payload {name}; attributes: {', '.join(attributes.values()) or 'none'}.",
        "_attributes": attributes,
        "_optional": optional,
        "_filled": optional & declared.filled,
        "_converts": converts,
        "_nullable": nullable & optional,
        "from_dict": classmethod(scope["from_dict"]),
        "to_dict": scope["to_dict"],
    }
    # Python mangles the names of slots that start with two underscores.
    slots = not any(attribute.startswith("__") for attribute in attributes.values())
    made: type[Payload] = attrs.make_class(
        name, fields, bases=(Payload,), class_body=body, slots=slots, eq=False, repr=False, collect_by_mro=True
    )
    return made


def _from_dict_source(
    attributes: Mapping[str, str],
    optional: frozenset[str],
    nullable: frozenset[str],
    converts: Mapping[str, Convert | None],
) -> str:
    lines = ["def from_dict(cls, data):", "    self = new(cls)", "    get = data.get"]
    for index, (prop, attribute) in enumerate(attributes.items()):
        value = f"get({prop!r})" if prop in optional else f"data[{prop!r}]"
        if converts[prop] is None:
            lines.append(f"    self.{attribute} = {value}")
        else:
            lines.append(f"    value = {value}")
            lines.append(f"    self.{attribute} = None if value is None else convert_{index}(value)")
    lines.append("    if data.keys() <= known:")
    lines.append("        self._extra = NO_EXTRA")
    lines.append("    else:")
    lines.append("        self._extra = {key: others(value) for key, value in data.items() if key not in known}")
    if nullable:
        seldom = " or ".join(f"self.{attributes[prop]} is None" for prop in attributes if prop in nullable)
        lines.append(f"    if {seldom}:")
        lines.append("        self._nulls = frozenset(key for key in nullable if key in data and data[key] is None)")
        lines.append("    else:")
        lines.append("        self._nulls = NO_NULLS")
    else:
        lines.append("    self._nulls = NO_NULLS")
    return "\n".join([*lines, "    return self", ""])


def _to_dict_source(attributes: Mapping[str, str], optional: frozenset[str], scalar: frozenset[str]) -> str:
    lines = ["def to_dict(self):", "    data = {}"]
    for prop, attribute in attributes.items():
        value = f"self.{attribute}" if prop in scalar else f"plain(self.{attribute})"
        if prop in optional:
            lines.append(f"    if self.{attribute} is not None or {prop!r} in self._nulls:")
            lines.append(f"        data[{prop!r}] = {value}")
        else:
            lines.append(f"    data[{prop!r}] = {value}")
    return "\n".join([*lines, "    if self._extra:", "        data.update(plain(self._extra))", "    return data", ""])
