"""``dagstack-plugins check``: all that is wrong, with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import attrs
import click
from rich.console import RenderableType
from rich.text import Text

from dagstack_plugins.cli.finding import Found, find
from dagstack_plugins.cli.findings import Finding, findings, warnings
from dagstack_plugins.cli.options import FILE, FILE_OR_FOLDER, examples, hookspecs_option, installed_option, json_option
from dagstack_plugins.cli.output import complain, counted, indented, safe, told_path, write, write_json
from dagstack_plugins.cli.strays import strays
from dagstack_plugins.discovery.folders import plugin_folders
from dagstack_plugins.discovery.kind_folders import kind_folders
from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.hookspec import hookspec_files
from dagstack_plugins.lock import LOCK_FILE, PluginLock

_HOOKSPEC_SUFFIXES: Final = (".yaml", ".yml")


@click.command(
    epilog=examples(
        "dagstack-plugins check plugins/",
        "dagstack-plugins check plugins/my_tool kinds/payment_provider/v1.yaml",
        "dagstack-plugins check --hookspecs ../host/kinds --json .",
        "dagstack-plugins check --locked --installed plugins/",
    )
)
@click.argument("paths", metavar="PATH...", nargs=-1, type=FILE_OR_FOLDER)
@installed_option
@hookspecs_option
@click.option("--locked", is_flag=True, help=f"Refuse plugins that differ from the lock file {LOCK_FILE}.")
@click.option("--lock", "lock_file", metavar="FILE", type=FILE, help="The same, with another lock file.")
@json_option
def check(
    paths: tuple[Path, ...],
    installed: bool,
    hookspecs: tuple[Path, ...],
    locked: bool,
    lock_file: Path | None,
    as_json: bool,
) -> int:
    """Check plugins and kinds, and tell all their faults.

    A PATH is a plugin's folder, a folder of plugins, a hookspec, or a folder of kinds. The plugins' code is loaded, but
    nothing is started. What the host decides, such as resources and configuration, is not checked. Warnings are about
    what was likely meant otherwise. Exit status: 0 if all is well, 1 if there are faults, 2 for a wrong command line.
    """
    if not paths and not installed:
        raise click.UsageError("Missing argument 'PATH...'.")
    lock = PluginLock.read(lock_file or LOCK_FILE) if locked or lock_file else None
    sorted_out = [_sorted_out(path) for path in paths]
    folders = [folder for one in sorted_out for folder in one.plugins]
    found = find(
        folders, hookspecs, [kinds for one in sorted_out for kinds in one.kinds], installed=installed, lock=lock
    )
    empty = [_nothing_in(one.path) for one in sorted_out if one.is_empty]
    faults = sorted([*empty, *findings(found)], key=lambda fault: fault.sort_key)
    plugins = len(found.registry.status())
    odd = [*warnings(found), *_not_found(lock, found)]
    odd += [stray for path in paths if path.is_dir() for stray in strays(path.absolute())]
    if as_json:
        told = [attrs.asdict(fault) for fault in faults]
        less = [{"file": one.file, "message": one.message, "kind": one.kind, "plugin": one.plugin} for one in odd]
        counts = {"plugins": plugins, "hookspecs": len(found.hookspecs)}
        write_json({"ok": not faults, **counts, "faults": told, "warnings": less})
    else:
        for one in odd:
            complain(f"{told_path(one.file)}: {one.message}", "warning")
        checked = f"{counted(plugins, 'plugin')} and {counted(len(found.hookspecs), 'hookspec')} checked"
        write(*_told(faults), _summary(faults, checked))
    return 1 if faults else 0


def _not_found(lock: PluginLock | None, found: Found) -> Iterator[Finding]:
    """What is locked and not here; it may lie in a folder that was not named."""
    if lock is None or lock.file is None:
        return
    here = {(status.kind, status.name) for status in found.registry.status()}
    for kind, name in sorted(lock.plugins.keys() - here):
        yield Finding(
            file=str(lock.file), message=f"{kind}/{name} is locked, but was not found", error="", kind=kind, plugin=name
        )


@attrs.frozen
class _SortedOut:
    """What one PATH stands for."""

    path: Path
    plugins: list[Path] = attrs.field(factory=list)
    kinds: list[Path] = attrs.field(factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.plugins and not self.kinds


def _sorted_out(path: Path) -> _SortedOut:
    if path.is_file():
        if path.suffix not in _HOOKSPEC_SUFFIXES:
            raise click.UsageError(f"{path} is no hookspec; for a plugin, name the folder that its manifest is in")
        return _SortedOut(path, kinds=[path])
    kinds = kind_folders(path)
    if next(plugin_folders(path.absolute()), None) is not None:
        return _SortedOut(path, [path], kinds)
    try:
        hookspec_files(path)
    except HookspecInvalid:
        return _SortedOut(path, [], kinds)
    return _SortedOut(path, [], [path])


def _nothing_in(path: Path) -> Finding:
    return Finding(
        file=str(path.absolute()),
        message="holds neither a plugin nor a kind; a plugin is a folder with a dagstack.toml, "
        "a kind is declared in <kind>/v<major>.yaml",
        error="FileNotFoundError",
    )


def _told(faults: Sequence[Finding]) -> Iterator[RenderableType]:
    for file, here in groupby(faults, key=lambda fault: fault.file):
        yield Text(told_path(file), "bold", overflow="fold")
        for fault in here:
            where = [f"line {fault.line}"] if fault.line is not None else []
            where += [safe(fault.path)] if fault.path else []
            head = Text(", ".join(where) + (": " if where else ""), "cyan")
            yield indented(Text.assemble(head, safe(fault.message).replace("\n", "\n  "), overflow="fold"))
        yield Text()


def _summary(faults: Sequence[Finding], checked: str) -> Text:
    if not faults:
        return Text(f"ok: {checked}", "green")
    files = len({fault.file for fault in faults})
    return Text(f"{counted(len(faults), 'fault')} in {counted(files, 'place')}; {checked}", "bold red")
