"""``dagstack-plugins new``: files to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from rich.text import Text

from dagstack_plugins.cli.finding import find_kinds
from dagstack_plugins.cli.options import examples, hookspecs_option
from dagstack_plugins.cli.output import told_path, write
from dagstack_plugins.discovery.kind_folders import nearest_kinds
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.scaffold.files import write_new
from dagstack_plugins.scaffold.kind import new_kind
from dagstack_plugins.scaffold.plugin import new_package, new_plugin

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(
    epilog=examples(
        "dagstack-plugins new kind greeter",
        "dagstack-plugins new plugin polite --kind greeter",
        "dagstack-plugins new plugin acme-polite --kind greeter --package",
    )
)
def new() -> None:
    """Write files to begin with: a kind, a plugin, a package. Nothing is ever overwritten."""


@new.command(
    epilog=examples(
        "dagstack-plugins new kind greeter", "dagstack-plugins new kind filter --dispatch chain --hook apply"
    )
)
@click.argument("name")
@click.option("--hook", metavar="NAME", default="run", show_default=True, help="Its hook.")
@click.option(
    "--dispatch",
    type=click.Choice([str(one) for one in Dispatch]),
    default=str(Dispatch.SINGLETON),
    show_default=True,
    help="How many plugins answer.",
)
@click.option("--in", "folder", type=_FOLDER, default=Path("kinds"), show_default=True, help="The folder of kinds.")
def kind(name: str, hook: str, dispatch: str, folder: Path) -> int:
    """Write a hookspec with one hook, and its schemas, for a kind called NAME."""
    try:
        files = new_kind(name, hook, Dispatch(dispatch))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    where = "" if folder.name in ("kinds", "hookspecs") else f" --hookspecs {told_path(folder.absolute())}"
    return _write(folder, files, f"dagstack-plugins new plugin my_{name} --kind {name}{where}")


@new.command(
    epilog=examples(
        "dagstack-plugins new plugin polite --kind greeter",
        "dagstack-plugins new plugin acme-polite --kind greeter --hookspecs ../host/kinds --package",
    )
)
@click.argument("name")
@click.option("--kind", "kind_name", metavar="KIND", required=True, help="The kind that it implements.")
@click.option("--package", is_flag=True, help="A project that pip can install, with tests.")
@click.option("--in", "folder", type=_FOLDER, help="Where its folder goes. Default: plugins, for a package here.")
@hookspecs_option
def plugin(name: str, kind_name: str, package: bool, folder: Path | None, hookspecs: tuple[Path, ...]) -> int:
    """Write a plugin called NAME, which passes check and the contract suite as it is."""
    found = find_kinds(hookspecs or nearest_kinds([folder if folder is not None and folder.exists() else Path()]))
    found.complain()
    known = found.registry.slot(kind_name).compiled.kind
    try:
        files = new_package(name, known) if package else new_plugin(name, known)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    folder = folder or Path() if package else folder or Path("plugins")
    place = told_path((folder / name).absolute())
    return _write(
        folder, files, f"cd {place}; pip install -e '.[test]'; pytest" if package else f"dagstack-plugins test {place}"
    )


def _write(folder: Path, files: Mapping[str, str], after: str) -> int:
    made = write_new(folder.absolute(), files)
    write(*(Text(told_path(file), overflow="fold") for file in made), Text(f"next: {after}", "green", overflow="fold"))
    return 0
