"""Plugins that tell the schema of their own inputs: it is read once, after their setup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jsonschema_rs

from dagstack_plugins.discovery.admission import config_validator
from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.payloads import filler
from dagstack_plugins.plugin import OwnInput, Plugin
from dagstack_plugins.schemafaults import schema_sentence
from dagstack_plugins.wording import dotted, shown

Guarded = Callable[[Callable[..., Any], str], Awaitable[Any]]


async def read_own_schemas(plugin: Plugin, guarded: Guarded) -> dict[str, OwnInput]:
    """Ask a plugin for the schemas of its inputs, for hooks whose hookspec names an ``input_schema_hook``.

    Args:
        plugin: a plugin that was set up.
        guarded: calls a function of the plugin under its timeout.

    Returns:
        By hook, what its inputs must be beyond the kind's own schema.

    Raises:
        PluginLoadError: if what it answers is no schema.
    """
    found = {}
    for hook, source in plugin.schema_hooks.items():
        invoke = plugin.bindings[source].invoker(plugin.context, typed=False)
        answer = await guarded(invoke, source)
        found[hook] = _own_input(plugin, source, answer)
    return found


def listed_schemas(plugin: Plugin, schemas: Mapping[str, Any]) -> dict[str, OwnInput]:
    """What the server of a plugin says of its inputs, beside its tools.

    Args:
        plugin: a plugin whose code runs elsewhere.
        schemas: by hook, the schema of its tool.

    Raises:
        PluginLoadError: if one is none.
    """
    return {hook: _own_input(plugin, f"the tool of {hook}", schema) for hook, schema in schemas.items()}


def _own_input(plugin: Plugin, source: str, answer: Any) -> OwnInput:
    try:
        schema = to_json(answer)
        if not isinstance(schema, dict):
            raise _no_schema(plugin, source, f"expected an object, found {shown(answer)}")
        given = schema.get("properties")
        declared = tuple(given) if isinstance(given, dict) else ()
        required = schema.get("required", ())
        takes = ", ".join(name if name in required else f"[{name}]" for name in declared)
        return OwnInput(config_validator(schema), filler(schema), declared, takes, schema)
    except NotJson as error:
        raise _no_schema(plugin, source, f"{dotted(error.path)} {error}") from None
    except jsonschema_rs.ValidationError as error:
        raise _no_schema(plugin, source, f"{dotted(error.instance_path)}: {schema_sentence(error)}") from None
    except (ValueError, TypeError, LookupError) as error:
        raise _no_schema(plugin, source, str(error)) from None


def _no_schema(plugin: Plugin, source: str, told: str) -> PluginLoadError:
    return PluginLoadError(
        f"what {source!r} of {plugin.label} returned is not a JSON Schema: {told}",
        file=plugin.location,
        kind=plugin.kind,
        plugin=plugin.name,
        hook=source,
    )
