"""All schemas of a kind in one document: references between files become references inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.kinds.payloads import pascal
from dagstack_plugins.kinds.schemas import DRAFT, Schema, subschemas

_DROPPED: Final = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor"})


class CannotEmit(ValueError):
    """Something in a kind has no form in the document that is asked for; the message says what and where."""


class Bundle:
    """The schemas of a kind under names of their own.

    Args:
        kind: the kind.
        at: where they will stand, as a JSON Pointer: ``/$defs``.

    Attributes:
        schemas: those that were asked for, and the files that they refer to.

    Raises:
        CannotEmit: if a reference can't be told in one document.
    """

    def __init__(self, kind: Kind, at: str) -> None:
        self._kind = kind
        self._at = at
        self.schemas: dict[str, Any] = {}
        self._files: dict[str, str] = {}
        for hook in kind.hooks.values():
            for side, schema in sides(hook):
                if schema is not None:
                    self._name_of(schema, f"{pascal(hook.name)}{side}")

    def reference(self, schema: Schema) -> Any:
        """A schema, whole or a part of one, as a reference to where it stands here."""
        path = next((path for path, body in subschemas(schema.root) if body is schema.body), None)
        if path is None:  # true or false
            return schema.body
        name = self._name_of(Schema(schema.root, schema.file), pascal(schema.file.rpartition("/")[2]))
        return {"$ref": f"#{self._at}/{name}" + "".join(f"/{_escaped(part)}" for part in path)}

    def _key(self, schema: Schema) -> str:
        # Those that are written into the hookspec share its name, and nothing else.
        return schema.file if schema.file in self._kind.schemas.bodies else f"{schema.file} {id(schema.root)}"

    def _name_of(self, schema: Schema, wanted: str) -> str:
        key = self._key(schema)
        if key in self._files:
            return self._files[key]
        name, number = wanted, 2
        while name in self.schemas:
            name, number = f"{wanted}{number}", number + 1
        self._files[key] = name
        self.schemas[name] = {}  # so that a circle of references ends here
        self.schemas[name] = self._rewritten(schema, schema.root, {id(body) for _, body in subschemas(schema.root)})
        return name

    def _rewritten(self, document: Schema, value: Any, bodies: set[int]) -> Any:
        """Only schemas are rewritten: what stands in ``const`` or ``default`` may look like one."""
        if isinstance(value, list):
            return [self._rewritten(document, item, bodies) for item in value]
        if not isinstance(value, dict):
            return value
        if id(value) not in bodies:
            is_map = any(id(item) in bodies for item in value.values())
            return {name: self._rewritten(document, item, bodies) for name, item in value.items()} if is_map else value
        if "$dynamicRef" in value:
            raise CannotEmit(
                f"{document.file}: $dynamicRef {value['$dynamicRef']!r} depends on who refers to it, which one "
                "document can't say; use $ref"
            )
        found = {}
        for keyword, item in value.items():
            if keyword == "$ref":
                found[keyword] = self._moved(document, item)
            elif keyword not in _DROPPED:
                found[keyword] = self._rewritten(document, item, bodies)
        return found

    def _moved(self, document: Schema, ref: str) -> str:
        target = self._kind.schemas.resolve(document, ref)
        whole = Schema(target.root, target.file)
        name = self._name_of(whole, pascal(target.file.rpartition("/")[2].removesuffix(".json")))
        path = next((path for path, body in subschemas(target.root) if body is target.body), None)
        if path is None:  # true, or an entry of a keyword that JSON Schema doesn't know: by its pointer
            return f"#{self._at}/{name}{ref.partition('#')[2]}"
        return f"#{self._at}/{name}" + "".join(f"/{_escaped(part)}" for part in path)


def _escaped(part: str | int) -> str:
    return quote(str(part).replace("~", "~0").replace("/", "~1"), safe="~$")


def sides(hook: Hook) -> Iterator[tuple[str, Schema | None]]:
    """The schemas of a hook, with what they are called."""
    yield "Input", hook.input_schema
    yield "Output", hook.output_schema


def emit_jsonschema(kind: Kind) -> dict[str, Any]:
    """One JSON Schema (2020-12) with all payloads of a kind in its ``$defs``.

    Args:
        kind: the kind.

    Raises:
        CannotEmit: if a reference can't be told in one document.
    """
    bundle = Bundle(kind, "/$defs")
    told = {"description": kind.description} if kind.description else {}
    return {"$schema": DRAFT, "title": f"{kind.name} {kind.version}", **told, "$defs": bundle.schemas}
