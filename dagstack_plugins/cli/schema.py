"""``dagstack-plugins schema``: the shapes of our files, for editors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from dagstack_plugins.cli.options import examples
from dagstack_plugins.cli.output import write_json
from dagstack_plugins.dag.pipeline.document import pipeline_schema
from dagstack_plugins.kinds.hookspec import hookspec_schema
from dagstack_plugins.lock import lock_schema
from dagstack_plugins.manifest import manifest_schema

_SCHEMAS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "manifest": manifest_schema,
    "hookspec": hookspec_schema,
    "lock": lock_schema,
    "pipeline": pipeline_schema,
}
_DRAFT_4: Final = "http://json-schema.org/draft-04/schema#"


@click.command(
    epilog=examples(
        "dagstack-plugins schema manifest > .schemas/dagstack.json",
        "dagstack-plugins schema hookspec > .schemas/hookspec.json",
    )
)
@click.argument("file", metavar="|".join(_SCHEMAS), type=click.Choice(list(_SCHEMAS)))
def schema(file: str) -> int:
    """Print the JSON Schema of a kind of file, with a description of each field.

    It is of draft 4, which language servers for TOML, YAML and JSON all understand: manifest for dagstack.toml and
    dagstack.json, hookspec for the YAML that declares kinds, lock for dagstack.lock, pipeline for what "dag run" runs.
    """
    write_json(for_editors(_SCHEMAS[file]()), sort=False)
    return 0


def for_editors(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of ours, which is of 2020-12, as one of draft 4 that admits the same.

    Args:
        schema: one that uses what we use: no conditions, no unevaluated properties.
    """
    converted: dict[str, Any] = _converted(schema)
    return {**converted, "$schema": _DRAFT_4}


def _converted(value: Any) -> Any:
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {_RENAMED.get(key, key): _converted(item) for key, item in value.items()}
    if isinstance(ref := found.get("$ref"), str):
        found["$ref"] = ref.replace("#/$defs/", "#/definitions/")
        if len(found) > 1:  # beside a reference, draft 4 reads nothing
            found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if isinstance(limit := found.get("exclusiveMinimum"), int | float) and not isinstance(limit, bool):
        found |= {"minimum": limit, "exclusiveMinimum": True}
    return found


_RENAMED: Final = {"$defs": "definitions"}
