"""``dagstack-plugins list``: the plugins that are there, refused ones with their reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dagstack_plugins.cli.finding import complain_of_none, find, plugins_of
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, installed_option, json_option
from dagstack_plugins.cli.output import columns, counted, indented, safe, told_path, write, write_json
from dagstack_plugins.cli.telling import with_hint
from dagstack_plugins.plugin import Plugin

_HEADS = ("Kind", "Name", "Version", "Priority", "Runtime", "State", "Location")
_NONE = "-"


@click.command(
    "list",
    epilog=examples(
        "dagstack-plugins list",
        "dagstack-plugins list plugins/ more_plugins/",
        "dagstack-plugins list --installed",
        "dagstack-plugins list --json plugins/ | jq -r '.plugins[].name'",
    ),
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=FOLDER)
@installed_option
@hookspecs_option
@json_option
def list_plugins(paths: tuple[Path, ...], installed: bool, hookspecs: tuple[Path, ...], as_json: bool) -> int:
    """List the plugins below folders (default: here).

    Refused ones are listed too, with the reason. The plugins' code is loaded, but nothing is started.
    """
    folders = paths or (() if installed else (Path(),))
    found = find(folders, hookspecs, installed=installed)
    plugins = plugins_of(found.registry)
    if as_json:
        write_json({"plugins": [_as_json(plugin) for plugin in plugins]})
    elif plugins:
        write(*_told(plugins))
    else:
        complain_of_none(folders, installed=installed)
    return found.complain()


def _as_json(plugin: Plugin) -> dict[str, Any]:
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "version": plugin.manifest.version if plugin.manifest else None,
        "priority": plugin.manifest.priority if plugin.manifest else None,
        "runtime": plugin.runtime,
        "state": str(plugin.state),
        "location": plugin.location,
        "content_hash": plugin.status().content_hash,
        "error": type(plugin.error).__name__ if plugin.error else None,
        "reason": plugin.reason,
    }


def _told(plugins: Sequence[Plugin]) -> Iterator[RenderableType]:
    rows = [_cells(plugin) for plugin in plugins]
    widths = [max(map(cell_len, column)) for column in zip(_HEADS, *rows, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= columns():
        yield _row(_HEADS, widths, "bold", gap=2)
        for plugin, row in zip(plugins, rows, strict=True):
            yield _row(row, widths, _style(plugin), gap=2)
    else:
        # A place that is cut into pieces can't be copied: it gets a line of its own.
        yield _row(_HEADS[:-1], widths[:-1], "bold", gap=1)
        for plugin, row in zip(plugins, rows, strict=True):
            yield _row(row[:-1], widths[:-1], _style(plugin), gap=1)
            yield indented(Text(row[-1], "dim", overflow="fold"))
    yield from _refused([plugin for plugin in plugins if plugin.refused])


def _cells(plugin: Plugin) -> list[str]:
    manifest = plugin.manifest
    return [
        safe(plugin.kind or _NONE),
        safe(plugin.name or _NONE),
        safe((manifest and manifest.version) or _NONE),
        str(manifest.priority) if manifest else _NONE,
        plugin.runtime or _NONE,
        str(plugin.state),
        told_path(plugin.location),
    ]


def _style(plugin: Plugin) -> str:
    return "red" if plugin.refused else ""


def _row(cells: Sequence[str], widths: Sequence[int], style: str, gap: int) -> Table:
    row = Table.grid(padding=(0, gap, 0, 0))
    for head, width in zip(_HEADS, widths, strict=False):
        row.add_column(width=width, overflow="fold", justify="right" if head == "Priority" else "left")
    row.add_row(*map(Text, cells), style=style)
    return row


def _refused(plugins: Sequence[Plugin]) -> Iterator[RenderableType]:
    if plugins:
        yield Text(f"\n{counted(len(plugins), 'plugin')} cannot be used:", "bold")
    for plugin in plugins:
        label = safe(plugin.label if plugin.name else told_path(plugin.location))
        yield indented(Text(f"\n{label}", "red", overflow="fold"))
        yield indented(Text(safe(with_hint(plugin.error) if plugin.error else plugin.reason), overflow="fold"), 4)
