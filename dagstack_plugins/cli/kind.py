"""``dagstack-plugins kind diff``: what changed between two versions of a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.text import Text

from dagstack_plugins.cli.options import FILE, examples, json_option
from dagstack_plugins.cli.output import complain, safe, write, write_json
from dagstack_plugins.kinds.evolution import Evolution, evolution
from dagstack_plugins.kinds.hookspec import read_hookspec

_STYLES: Final = {"major": "bold red", "minor": "yellow", "patch": "dim"}


@click.group(epilog=examples("dagstack-plugins kind diff old/greeter/v1.yaml kinds/greeter/v1.yaml"))
def kind() -> None:
    """Work on kinds."""


@kind.command(
    epilog=examples(
        "dagstack-plugins kind diff old/greeter/v1.yaml kinds/greeter/v1.yaml",
        "git worktree add ../old main; dagstack-plugins kind diff ../old/kinds/greeter/v1.yaml kinds/greeter/v1.yaml",
    )
)
@click.argument("old", metavar="OLD.yaml", type=FILE)
@click.argument("new", metavar="NEW.yaml", type=FILE)
@json_option
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Tell what changed between two versions of a kind, and whether its version rises by as much as it must.

    patch: nobody can tell. minor: more is possible, and plugins and callers of before go on. major: one of them may
    fail. Exit status: 0 if the version rises enough, 1 if it doesn't.
    """
    try:
        found = evolution(read_hookspec(old), read_hookspec(new))
    except ValueError as error:
        complain(str(error))
        return 1
    if as_json:
        changes = [{"level": str(one.level), "where": one.where, "told": one.told} for one in found.changes]
        needed = None if found.needed is None else str(found.needed)
        told = {"old": found.old, "new": found.new, "needed": needed, "least": found.least}
        write_json({"ok": found.is_enough, **told, "changes": changes})
    else:
        write(*_told(found))
    return 0 if found.is_enough else 1


def _told(found: Evolution) -> list[Text]:
    lines = [
        Text.assemble((f"{one.level}  ", _STYLES[str(one.level)]), safe(f"{one.where} {one.told}"), overflow="fold")
        for one in found.changes
    ]
    told = "nothing changed" if found.needed is None else f"a {found.needed} change"
    if found.is_enough:
        return [*lines, Text(f"ok: {told}, {found.old} to {found.new}", "green")]
    return [*lines, Text(f"{told}: kind_api_version must be {found.least} or later, found {found.new}", "bold red")]
