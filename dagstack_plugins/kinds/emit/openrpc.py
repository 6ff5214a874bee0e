"""A kind as an OpenRPC document: its hooks as methods."""

from __future__ import annotations

from typing import Any, Final

from dagstack_plugins.kinds.described import described_properties
from dagstack_plugins.kinds.emit.bundle import Bundle
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.properties import properties

_OPENRPC: Final = "1.3.2"
"""The version of the specification that the document follows."""


def emit_openrpc(kind: Kind) -> dict[str, Any]:
    """An OpenRPC document with a method for each hook, whose parameters are the payload's properties, by name.

    Args:
        kind: the kind.

    Raises:
        CannotEmit: if a reference between schemas can't be told in one document.
    """
    bundle = Bundle(kind, "/components/schemas")
    methods = [_method(kind, hook, bundle) for hook in kind.hooks.values()]
    info = {"title": kind.name, "version": kind.version, **_described(kind.description)}
    return {"openrpc": _OPENRPC, "info": info, "methods": methods, "components": {"schemas": bundle.schemas}}


def _method(kind: Kind, hook: Hook, bundle: Bundle) -> dict[str, Any]:
    told = " ".join(hook.description.split())
    return {
        "name": f"{kind.name}.{hook.name}",
        **({"summary": told.partition(". ")[0].rstrip(".")} if told else {}),
        **_described(told),
        "paramStructure": "by-name",
        "params": list(_parameters(kind, hook, bundle)),
        "result": {"name": "result", "schema": _result(hook, bundle)},
        "x-dispatch": str(hook.dispatch),
    }


def _parameters(kind: Kind, hook: Hook, bundle: Bundle) -> list[dict[str, Any]]:
    """One for each declared property, which is found where the payload's schema is."""
    if hook.input_schema is None:
        return []
    declared, _ = properties(hook.input_schema, kind.schemas)
    # By name, so in any order; the specification wants those first that must be given.
    in_order = sorted(described_properties(kind, hook.input_schema), key=lambda one: not one.required)
    return [
        {
            "name": one.name,
            "required": one.required,
            "schema": bundle.reference(declared[one.name]),
            **_described(one.description),
        }
        for one in in_order
    ]


def _result(hook: Hook, bundle: Bundle) -> dict[str, Any]:
    if hook.dispatch is Dispatch.BROADCAST_NOTIFY:
        return {"type": "null"}
    one: Any = {} if hook.output_schema is None else bundle.reference(hook.output_schema)
    return {"type": "array", "items": one} if hook.dispatch is Dispatch.BROADCAST_COLLECT else one


def _described(text: str) -> dict[str, str]:
    return {"description": text} if text else {}
