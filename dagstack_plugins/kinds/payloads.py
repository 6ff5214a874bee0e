"""The types of a kind's schemas: which classes there are, and how whole payloads become instances of them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from keyword import iskeyword
from typing import Any, Final
from urllib.parse import unquote
from weakref import WeakValueDictionary

import attrs

from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.kinds.payload_class import Convert, ObjectParts, make_class, others_of
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles, subschemas
from dagstack_plugins.wording import nearest

_SCALARS: Final = frozenset({"string", "integer", "number", "boolean", "null"})


@attrs.frozen(eq=False)
class Shape:
    """What is made of the values of one schema.

    Attributes:
        type: the class of its objects, if it describes objects with properties.
        convert: plain JSON to the kind's types; ``None`` where they are the same.
        fill: plain JSON to the same with defaults filled in, copied where it changes; ``None`` where there are none.
        defaults: what ``fill`` fills in, where that is a few scalars of the object itself and nothing below it.
    """

    type: type[Payload] | None = None
    convert: Convert | None = None
    fill: Convert | None = None
    defaults: Mapping[str, Any] | None = None


class PayloadTypes:
    """The payload classes of a kind, by attribute and by item: ``types.ChargeInput``, ``types["ChargeInput"]``.

    Args:
        kind: the kind whose schemas are compiled, once.
    """

    def __init__(self, kind: Kind) -> None:
        builder = TypeBuilder.of(kind)
        self._kind = kind.name
        self.inputs: Mapping[str, Shape] = builder.inputs
        self.outputs: Mapping[str, Shape] = builder.outputs
        self._classes: Mapping[str, type[Payload]] = builder.classes

    @classmethod
    def of(cls, kind: Kind) -> PayloadTypes:
        """Those of a kind; the same ones for all kinds of the same content, wherever they were read."""
        # Two that differ only in the order of properties are two: arguments bind in that order.
        content = json.dumps(kind.content)
        types = _shared.get(content)
        if types is None:
            types = _shared.setdefault(content, cls(kind))
        return types

    def __getitem__(self, name: str) -> type[Payload]:
        try:
            return self._classes[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def __getattr__(self, name: str) -> type[Payload]:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(self._missing(name)) from None

    def _missing(self, name: str) -> str:
        known = ", ".join(self._classes) or "none"
        return f"kind {self._kind!r} has no payload class {name!r}{nearest(name, self._classes)}; it has: {known}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._classes]

    def __repr__(self) -> str:
        return f"<payload classes of {self._kind!r}: {', '.join(self._classes)}>"


_shared: Final[WeakValueDictionary[str, PayloadTypes]] = WeakValueDictionary()


def pascal(words: str) -> str:
    """``charge_card`` or ``charge card`` as a class name: ``ChargeCard``."""
    name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", words) if word)
    if not name or not name.isidentifier():
        name = f"Type{name}"
    return f"{name}_" if iskeyword(name) else name


class TypeBuilder:
    """Makes the classes of a kind's schemas.

    Args:
        schemas: what references lead to.
        reserved: names that only the top of a hook's schema may have.

    Attributes:
        classes: those that were made, by name.
        declared: of each, what its schema declares.
        inputs: what is made of each hook's payload.
        outputs: what is made of its result.
    """

    def __init__(self, schemas: SchemaFiles, reserved: frozenset[str] = frozenset()) -> None:
        self.classes: dict[str, type[Payload]] = {}
        self.declared: dict[str, ObjectParts] = {}
        self.inputs: dict[str, Shape] = {}
        self.outputs: dict[str, Shape] = {}
        self._schemas = schemas
        self._reserved = reserved
        self._shapes: dict[tuple[str, int], Shape] = {}
        self._bodies: dict[str, Any] = {}

    @classmethod
    def of(cls, kind: Kind) -> TypeBuilder:
        """One that has made the classes of a kind."""
        hooks = kind.hooks.values()
        builder = cls(
            kind.schemas, frozenset(pascal(hook.name) + side for hook in hooks for side in ("Input", "Output"))
        )
        builder.inputs = {hook.name: builder.root(hook.input_schema, pascal(hook.name) + "Input") for hook in hooks}
        builder.outputs = {hook.name: builder.root(hook.output_schema, pascal(hook.name) + "Output") for hook in hooks}
        return builder

    def root(self, schema: Schema | None, name: str) -> Shape:
        """What is made of the top of a hook's schema.

        Args:
            schema: the schema.
            name: what its class is called.
        """
        if schema is None:
            return Shape()
        # Hooks that share a schema still have classes of their own names, so the root is never looked up; but what in
        # it refers to its top means this very class.
        key = (schema.file, id(schema.body))
        self._shapes[key] = self._forward(key)
        parts = self.parts(schema)
        if any("properties" in part.body for part in parts):
            self._shapes[key] = self._object(parts, self._unique(name, name, schema.body))
        else:
            self._shapes[key] = self._other(parts, name)
        return self._shapes[key]

    def _shape(self, schema: Schema, hint: str) -> Shape:
        target, hint = self.target(schema, hint)
        if not isinstance(target.body, dict):
            return Shape()
        key = (target.file, id(target.body))
        if key not in self._shapes:
            # A schema that contains itself finds this entry, whose functions look the finished ones up when called.
            self._shapes[key] = self._forward(key)
            self._shapes[key] = self._build(target, hint)
        return self._shapes[key]

    def made_of(self, schema: Schema) -> type[Payload] | None:
        """The class that was made of a schema, if one was."""
        shape = self._shapes.get((schema.file, id(schema.body)))
        return None if shape is None else shape.type

    def _forward(self, key: tuple[str, int]) -> Shape:
        def convert(value: Any) -> Any:
            finished = self._shapes[key].convert
            return finished(value) if finished is not None and finished is not convert else value

        def fill(value: Any) -> Any:
            finished = self._shapes[key].fill
            return finished(value) if finished is not None and finished is not fill else value

        return Shape(None, convert, fill)

    def _build(self, schema: Schema, hint: str) -> Shape:
        parts = self.parts(schema)
        if any("properties" in part.body for part in parts):
            title = schema.body.get("title")
            wanted = pascal(title) if isinstance(title, str) else hint
            if wanted in self.classes and self._bodies[wanted] == schema.body and not _refers(schema.body):
                cls = self.classes[wanted]
                return self._object_shape(cls, ObjectParts(parts), hint)
            return self._object(parts, self._unique(wanted, hint, schema.body))
        return self._other(parts, hint)

    def _other(self, parts: list[Schema], hint: str) -> Shape:
        """An array, a map, or one alternative beside scalars."""
        for part in parts:
            if isinstance(items := part.body.get("items"), dict) and "prefixItems" not in part.body:
                return _array_shape(self._shape(part.part(items), hint + "Item"))
            if (others := others_of(part)) is not None:
                return _map_shape(self._shape(others, hint + "Value"))
            for keyword in ("anyOf", "oneOf"):
                alternatives = [part.part(body) for body in part.body.get(keyword, ())]
                compound = [alternative for alternative in alternatives if not _is_scalar(alternative)]
                if len(compound) == 1:
                    return self._shape(compound[0], hint)
        return Shape()

    def target(self, schema: Schema, hint: str) -> tuple[Schema, str]:
        """Follow a bare ``$ref``; what it points to is named after it, unless it has a title."""
        seen: set[int] = set()
        while isinstance(schema.body, dict) and "$ref" in schema.body and "properties" not in schema.body:
            if id(schema.body) in seen:
                break
            seen.add(id(schema.body))
            ref = schema.body["$ref"]
            last = re.split(r"[/#]", ref.removesuffix(".json").rstrip("#/"))[-1]
            hint = pascal(unquote(last)) if last else hint
            schema = self._schemas.resolve(schema, ref)
        return schema, hint

    def parts(self, schema: Schema, seen: set[int] | None = None) -> list[Schema]:
        """The schema itself and all that it takes over by ``$ref`` and ``allOf``, those first."""
        seen = set() if seen is None else seen
        if not isinstance(schema.body, dict) or id(schema.body) in seen:
            return []
        seen.add(id(schema.body))
        parts: list[Schema] = []
        if isinstance(ref := schema.body.get("$ref"), str):
            parts += self.parts(self._schemas.resolve(schema, ref), seen)
        for body in schema.body.get("allOf", ()):
            parts += self.parts(schema.part(body), seen)
        return [*parts, schema]

    def _unique(self, wanted: str, fallback: str, body: Any) -> str:
        # Only the top of a hook's schema, for which it is its own fallback, may have a reserved name.
        taken = self._bodies.keys() | (self._reserved - {fallback})
        name, number = (wanted if wanted not in taken else fallback), 2
        while name in taken:
            name, number = f"{fallback}{number}", number + 1
        self._bodies[name] = body
        return name

    def _object(self, parts: list[Schema], name: str) -> Shape:
        declared = ObjectParts(parts)
        shapes = {
            prop: self._property(schemas, name + pascal(prop)).convert for prop, schemas in declared.properties.items()
        }
        nullable = frozenset(
            prop
            for prop, schemas in declared.properties.items()
            if prop not in declared.required and all(map(self._admits_null, schemas))
        )
        scalar = frozenset(prop for prop, schemas in declared.properties.items() if any(map(_is_scalar, schemas)))
        others = self._shape(declared.others, name + "Value").convert if declared.others is not None else None
        cls = make_class(name, declared, shapes, nullable, scalar, others)
        self.classes[name] = cls
        self.declared[name] = declared
        return self._object_shape(cls, declared, name)

    def _object_shape(self, cls: type[Payload], declared: ObjectParts, name: str) -> Shape:
        from_dict = cls.from_dict

        def convert(value: Any) -> Any:
            return from_dict(value) if type(value) is dict else value

        return Shape(cls, convert, *self._filler(declared, name))

    def _admits_null(self, schema: Schema, seen: frozenset[int] = frozenset()) -> bool:
        if not isinstance(schema.body, dict) or id(schema.body) in seen:
            return schema.body is True
        seen |= {id(schema.body)}
        for part in self.parts(schema):
            body = part.body
            kinds = body.get("type", "null")
            alternatives = body.get("anyOf") or body.get("oneOf")
            if (
                "null" not in ([kinds] if isinstance(kinds, str) else kinds)
                or None not in body.get("enum", (None,))
                or body.get("const") is not None
                or (alternatives and not any(self._admits_null(part.part(one), seen) for one in alternatives))
            ):
                return False
        return True

    def _property(self, schemas: list[Schema], hint: str) -> Shape:
        return next((shape for shape in (self._shape(schema, hint) for schema in schemas) if shape.convert), Shape())

    def _filler(self, declared: ObjectParts, name: str) -> tuple[Convert | None, Mapping[str, Any] | None]:
        defaults: dict[str, Any] = {}
        nested: dict[str, Convert] = {}
        for prop, schemas in declared.properties.items():
            for schema in schemas:
                if isinstance(schema.body, dict) and "default" in schema.body:
                    defaults[prop] = schema.body["default"]
                if (fill := self._shape(schema, name + pascal(prop)).fill) is not None:
                    nested[prop] = fill
        others = self._shape(declared.others, name + "Value").fill if declared.others is not None else None
        known = frozenset(declared.properties)
        simple = not nested and others is None and not any(isinstance(one, dict | list) for one in defaults.values())
        fill = _fill_object(defaults, nested, others, known) if defaults or nested or others else None
        return fill, defaults if simple else None


def _is_scalar(schema: Schema) -> bool:
    if not isinstance(schema.body, dict):
        return False
    kinds = schema.body.get("type", "any")
    return {*([kinds] if isinstance(kinds, str) else kinds)} <= _SCALARS


def _refers(body: Any) -> bool:
    """Whether what a schema means depends on where it stands."""
    return any("$ref" in part for _, part in subschemas(body))


def _fill_object(
    defaults: Mapping[str, Any], nested: Mapping[str, Convert], others: Convert | None, known: frozenset[str]
) -> Convert:
    def fill(value: Any) -> Any:
        if type(value) is not dict:
            return value
        filled = value
        for name, default in defaults.items():
            if name not in value:
                filled = dict(value) if filled is value else filled
                filled[name] = copy.deepcopy(default)
        for name, inner in nested.items():
            if name in filled and (new := inner(filled[name])) is not filled[name]:
                filled = dict(value) if filled is value else filled
                filled[name] = new
        if others is not None and not filled.keys() <= known:
            filled = {key: item if key in known else others(item) for key, item in filled.items()}
        return filled

    return fill


def _array_shape(item: Shape) -> Shape:
    def each(function: Convert | None) -> Convert | None:
        if function is None:
            return None
        return lambda value: [function(entry) for entry in value] if type(value) is list else value

    return Shape(None, each(item.convert), each(item.fill))


def _map_shape(item: Shape) -> Shape:
    def each(function: Convert | None) -> Convert | None:
        if function is None:
            return None
        return lambda value: {key: function(entry) for key, entry in value.items()} if type(value) is dict else value

    return Shape(None, each(item.convert), each(item.fill))


def filler(schema: Mapping[str, Any]) -> Convert | None:
    """What fills the defaults of a schema that stands alone into a value; ``None`` if it has none."""
    return TypeBuilder(SchemaFiles(None)).root(Schema(dict(schema), "schema"), "Value").fill
