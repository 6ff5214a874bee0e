"""A kind as a page of documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dagstack_plugins.kinds.described import Property, described_properties, type_of
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.schemas import Schema

_GETS = {
    Dispatch.SINGLETON: "one plugin answers",
    Dispatch.BROADCAST_COLLECT: "all plugins that have it answer, the caller gets the list",
    Dispatch.BROADCAST_NOTIFY: "all plugins that have it are told, nobody answers",
    Dispatch.CHAIN: "each plugin gets what the one before it returned",
    Dispatch.CAPABILITY: "the plugin that fits the payload answers",
}
_COLOURS = {None: "settled by the plugins", True: "async", False: "sync"}


def emit_markdown(kind: Kind) -> str:
    """A page that describes a kind: its hooks, what they take and return.

    Args:
        kind: the kind.
    """
    return "\n".join(_page(kind)).rstrip() + "\n"


def _page(kind: Kind) -> Iterator[str]:
    yield f"# `{kind.name}` {kind.version}"
    yield ""
    if kind.description:
        yield from (" ".join(kind.description.split()), "")
    if kind.in_process_only:
        yield from ("Plugins of this kind run in the host's process.", "")
    if kind.singleton_per_runtime:
        yield from ("One plugin of this kind runs at a time.", "")
    for hook in kind.hooks.values():
        yield from _hook(kind, hook)


def _hook(kind: Kind, hook: Hook) -> Iterator[str]:
    yield f"## `{hook.name}`"
    yield ""
    if hook.description:
        yield from (" ".join(hook.description.split()), "")
    yield f"- dispatch: `{hook.dispatch}`, {_GETS[hook.dispatch]}"
    yield f"- {'required' if hook.required else 'optional'} of each plugin"
    yield f"- colour: {_COLOURS[hook.is_async]}"
    if hook.dispatch is Dispatch.SINGLETON:
        yield f"- {'the caller names the plugin' if hook.named else 'the active plugin is meant'}"
    if hook.best_effort:
        yield "- failures are collected beside the results"
    if hook.match:
        yield "- chosen by " + ", ".join(f"`{field}` (`{source}`)" for field, source in hook.match.items())
    if not hook.mcp_exposed:
        yield "- in process only"
    yield ""
    yield from _payload(kind, "Input", hook.input_schema, "any object")
    if hook.dispatch is not Dispatch.BROADCAST_NOTIFY:
        yield from _payload(kind, "Output", hook.output_schema, "anything")


def _payload(kind: Kind, side: str, schema: Schema | None, otherwise: str) -> Iterator[str]:
    found = described_properties(kind, schema)
    if not found:
        yield f"{side}: {otherwise if schema is None else _code(type_of(schema.body))}."
        yield ""
        return
    yield from (f"{side}:", "", "| property | type | | |", "|---|---|---|---|")
    yield from map(_row, found)
    yield ""


def _row(one: Property) -> str:
    given = one.as_json()
    must = "required" if one.required else ""
    if "default" in given:
        must = f"default {_code(json.dumps(given['default'], ensure_ascii=False))}"
    cells = (_code(one.name), _code(one.type), must, _cell(one.description))
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    pad = " " if fence == "``" else ""
    return f"{fence}{pad}{_cell(text)}{pad}{fence}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
