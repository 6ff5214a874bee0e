"""``dagstack-plugins kinds``: which kinds there are, and what their plugins do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dagstack_plugins.cli.finding import find_kinds
from dagstack_plugins.cli.options import examples, hookspecs_option, json_option
from dagstack_plugins.cli.output import indented, safe, told_path, write, write_json
from dagstack_plugins.discovery.kind_folders import nearest_kinds
from dagstack_plugins.kinds.builtin import builtin_hookspecs
from dagstack_plugins.kinds.described import Property, described_properties, type_of
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.schemas import Schema

_COLOURS = {None: "settled by the plugins", True: "async", False: "sync"}


@click.command(
    epilog=examples(
        "dagstack-plugins kinds",
        "dagstack-plugins kinds --hookspecs host/kinds payment_provider",
        "dagstack-plugins kinds --json tool | jq '.hooks[].input_schema'",
    )
)
@click.argument("kind", metavar="[KIND]", required=False)
@hookspecs_option
@json_option
def kinds(kind: str | None, hookspecs: tuple[Path, ...], as_json: bool) -> int:
    """List the kinds that are known here, or describe one.

    Built-in kinds are always known.
    """
    found = find_kinds(hookspecs or nearest_kinds([Path()]))
    status = found.complain()
    if kind is not None:
        described = found.registry.slot(kind).compiled.kind
        write_json(_as_json(described)) if as_json else write(*_described(described))
        return status
    known = [slot.compiled.kind for name in found.registry.kinds() for slot in found.registry.slots(name)]
    write_json({"kinds": [_as_json(one) for one in known]}) if as_json else write(*_listed(known))
    return status


def _as_json(kind: Kind) -> dict[str, Any]:
    return {
        "name": kind.name,
        "version": kind.version,
        "description": kind.description,
        "built_in": _is_built_in(kind),
        "file": str(kind.file) if kind.file else None,
        "in_process_only": kind.in_process_only,
        "singleton_per_runtime": kind.singleton_per_runtime,
        "hooks": [_hook_as_json(kind, hook) for hook in kind.hooks.values()],
    }


def _hook_as_json(kind: Kind, hook: Hook) -> dict[str, Any]:
    return {
        "name": hook.name,
        "dispatch": str(hook.dispatch),
        "description": hook.description,
        "required": hook.required,
        "async": hook.is_async,
        "selection": ("named" if hook.named else "active") if hook.dispatch is Dispatch.SINGLETON else None,
        "error_policy": _error_policy(hook),
        "match": dict(hook.match),
        "mcp_exposed": hook.mcp_exposed,
        "properties": [one.as_json() for one in described_properties(kind, hook.input_schema)],
        "input_schema": hook.input_schema.body if hook.input_schema else None,
        "output_schema": hook.output_schema.body if hook.output_schema else None,
    }


def _error_policy(hook: Hook) -> str | None:
    if hook.dispatch is not Dispatch.BROADCAST_COLLECT:
        return None
    return "best_effort" if hook.best_effort else "fail_fast"


def _is_built_in(kind: Kind) -> bool:
    return kind.file is not None and kind.file.resolve().is_relative_to(builtin_hookspecs())


def _listed(known: Sequence[Kind]) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("Kind", "Version", "Hook", "Dispatch"):
        table.add_column(head, overflow="fold")
    for kind in known:
        for number, hook in enumerate(kind.hooks.values()):
            first = (kind.name, kind.version) if number == 0 else ("", "")
            table.add_row(*map(Text, (*first, hook.name, str(hook.dispatch))))
    yield table
    yield Text()
    for folder, names in _by_folder(known).items():
        yield Text(f"{folder}: {', '.join(names)}", "dim", overflow="fold")


def _by_folder(known: Sequence[Kind]) -> dict[str, list[str]]:
    """Where kinds come from: the folder that theirs lie in."""
    found: dict[str, list[str]] = {}
    for kind in known:
        place = "built in" if _is_built_in(kind) or kind.file is None else told_path(kind.file.parent.parent)
        found.setdefault(place, []).append(kind.name)
    return found


def _described(kind: Kind) -> Iterator[RenderableType]:
    yield Text(f"{kind.name} {kind.version}", "bold")
    yield from _paragraph(kind.description)
    rules = [
        *(["its plugins run in the host's process"] if kind.in_process_only else []),
        *(["one plugin of it runs at a time"] if kind.singleton_per_runtime else []),
    ]
    yield from _paragraph("; ".join(rules))
    if kind.file is not None:
        yield Text(f"declared in {told_path(kind.file)}", "dim", overflow="fold")
    for hook in kind.hooks.values():
        yield Text()
        yield Text.assemble((hook.name, "bold"), f"  {hook.dispatch}, {'required' if hook.required else 'optional'}")
        for part in _hook_described(kind, hook):
            yield indented(part)


def _paragraph(text: str) -> Iterator[Text]:
    if text.strip():
        yield Text(safe(text.strip()), overflow="fold")


def _hook_described(kind: Kind, hook: Hook) -> Iterator[RenderableType]:
    yield from _paragraph(hook.description)
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="cyan")
    facts.add_column(overflow="fold")
    for word, told in _facts(kind, hook):
        facts.add_row(Text(word), told if isinstance(told, Table) else Text(safe(told), overflow="fold"))
    yield facts


def _facts(kind: Kind, hook: Hook) -> Iterator[tuple[str, str | Table]]:
    yield "colour", _COLOURS[hook.is_async]
    if hook.dispatch is Dispatch.SINGLETON:
        yield "selection", "the caller names the plugin" if hook.named else "the active plugin"
    if policy := _error_policy(hook):
        yield "failures", policy
    if hook.match:
        yield "match", ", ".join(f"{field}: {source}" for field, source in hook.match.items())
    if not hook.mcp_exposed:
        yield "runs", "in process only"
    yield "input", _input(described_properties(kind, hook.input_schema))
    yield "output", _output(kind, hook.output_schema)


def _input(found: Sequence[Property]) -> str | Table:
    return _property_table(found) if found else "any object"


def _output(kind: Kind, schema: Schema | None) -> str | Table:
    if schema is None:
        return "anything"
    found = described_properties(kind, schema)
    return _property_table(found) if found else type_of(schema.body)


def _property_table(found: Sequence[Property]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for one in found:
        table.add_row(
            Text(safe(one.name), overflow="fold"), Text(safe(one.type)), Text(safe(one.told), overflow="fold")
        )
    return table
