"""The schemas of a kind, as a tool's: each by itself, an object at its top."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dagstack_plugins.kinds.emit.bundle import Bundle
from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.kinds.schemas import Schema, subschemas
from dagstack_plugins.runtimes.mcp.results import RESULT, Expected

_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def input_schema(kind: Kind, hook: Hook) -> dict[str, Any]:
    """What a hook takes.

    Args:
        kind: the hook's kind.
        hook: the hook.

    Raises:
        CannotEmit: if a reference can't be told in one document.
    """
    return {**_ANY_OBJECT, **_at_top(kind, hook.input_schema)}


def output_schema(kind: Kind, hook: Hook) -> dict[str, Any] | None:
    """What a hook returns, in an object if it isn't one; ``None`` if that may be anything.

    Args:
        kind: the hook's kind.
        hook: the hook.

    Raises:
        CannotEmit: if a reference can't be told in one document.
    """
    if hook.output_schema is None:
        return None
    if Expected.of(hook, kind.schemas).is_object:
        return {**_ANY_OBJECT, **_at_top(kind, hook.output_schema)}
    whole = _alone(kind, hook.output_schema)
    shared = {"$defs": whole.pop("$defs")} if "$defs" in whole else {}
    return {**_ANY_OBJECT, "properties": {RESULT: whole}, "required": [RESULT], **shared}


def _at_top(kind: Kind, schema: Schema | None) -> dict[str, Any]:
    """A schema for the top of a document: as it stands in its file, if it refers to nothing outside."""
    if schema is not None and schema.body is schema.root and isinstance(schema.body, dict):
        refs = [body[word] for _, body in subschemas(schema.body) for word in ("$ref", "$dynamicRef") if word in body]
        if all(str(ref).startswith("#") for ref in refs):
            return dict(schema.body)
    return _alone(kind, schema)


def _alone(kind: Kind, schema: Schema | None) -> dict[str, Any]:
    """A schema with all that it refers to, and with nothing else."""
    if schema is None or not isinstance(schema.body, dict):
        return {}
    bundle = Bundle(kind, "/$defs")
    name = bundle.reference(schema)["$ref"].rpartition("/")[2]
    whole = dict(bundle.schemas[name])
    needed: dict[str, Any] = {}
    waiting = [whole]
    while waiting:
        text = json.dumps(waiting.pop())
        for other, body in bundle.schemas.items():
            if other not in needed and f'"#/$defs/{other}' in text:
                needed[other] = body
                waiting.append(body)
    return {**whole, "$defs": needed} if needed else whole
