"""``dagstack-plugins graph``: what depends on what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from dagstack_plugins.cli.dependencies import settled
from dagstack_plugins.cli.drawing import Drawing, as_dot, as_mermaid, as_text
from dagstack_plugins.cli.finding import complain_of_none, find, plugins_of
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, installed_option
from dagstack_plugins.cli.output import complain, speaks_unicode, told_path, write_lines

_FORMATS: Final[Mapping[str, Callable[[Drawing], str]]] = {
    "text": lambda drawing: as_text(drawing, in_ascii=not speaks_unicode()),
    "dot": as_dot,
    "mermaid": as_mermaid,
}


@click.command(
    epilog=examples(
        "dagstack-plugins graph plugins/",
        "dagstack-plugins graph --format dot plugins/ | dot -Tsvg > plugins.svg",
        "dagstack-plugins graph --format mermaid plugins/ > plugins.mmd",
    )
)
@click.argument("paths", metavar="PATH...", nargs=-1, type=FOLDER)
@installed_option
@click.option("--format", "form", type=click.Choice(list(_FORMATS)), default="text", help="Default: text.")
@hookspecs_option
def graph(paths: tuple[Path, ...], installed: bool, form: str, hookspecs: tuple[Path, ...]) -> int:
    """Draw what the plugins below folders depend on.

    In the tree, a plugin stands above what it depends on; an arrow leads from a plugin to what it depends on. A circle
    is an error.
    """
    if not paths and not installed:
        raise click.UsageError("Missing argument 'PATH...'.")
    found = find(paths, hookspecs, installed=installed)
    plugins = plugins_of(found.registry)
    for plugin in plugins:
        if plugin.name is None:
            complain(f"left out: {told_path(plugin.location)}, whose manifest is faulty; 'check' says why", "warning")
    named = [plugin for plugin in plugins if plugin.name is not None]
    dependencies = settled(named)
    if cycles := dependencies.cycles():
        for error in cycles:
            complain(str(error))
        return 1
    if not plugins:
        complain_of_none(paths, installed=installed)
    if plugins or form != "text":
        write_lines(_FORMATS[form](Drawing.of(named, dependencies)))
    return found.complain()
