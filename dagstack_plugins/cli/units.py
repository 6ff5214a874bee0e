"""``dagstack-plugins units``: look at units of work, stop them, queue them again, and work on them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dagstack_plugins.cli.configuration import config_option, read_config
from dagstack_plugins.cli.finding import complain_of_none, find
from dagstack_plugins.cli.logs import log_to_stderr
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, installed_option, json_option
from dagstack_plugins.cli.output import complain, counted, own_stdout, safe, told_path, write, write_json
from dagstack_plugins.cli.signals import INTERRUPTED, TERMINATED, terminable
from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginUnavailable, UnitUnknown
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.submission import Patience, Units
from dagstack_plugins.units.celery import CeleryOrchestrator
from dagstack_plugins.units.chosen import VARIABLE, orchestrator
from dagstack_plugins.units.local import FILE, LocalOrchestrator

_OPEN: Final = ("queued", "running")
_STATES: Final = (*_OPEN, "succeeded", "failed", "cancelled", "expired")
_STYLES: Final = {"succeeded": "green", "failed": "red", "expired": "red", "cancelled": "yellow", "queued": "dim"}
_SHOWN: Final = 20
"""Units that are shown while they change."""
_LOOK: Final = 0.5
"""Seconds between looks at units that run."""

file_option = click.option(
    "--file",
    "file",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The file of the units. Default: what {VARIABLE} or the configuration says, else {FILE}.",
)


@click.group()
def units() -> None:
    """Look at units of work, stop them, queue them again, and work on them."""


def _which(command: Callable[..., int]) -> Callable[..., int]:
    """The options that choose among units."""
    options = (
        click.option("--plugin", "plugin_name", metavar="NAME", help="Only units of this plugin."),
        click.option("--partition", "partition_key", metavar="KEY", help="Only units of this partition."),
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice(_STATES),
            help="Only units in this state; may be repeated.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@units.command(
    "list",
    epilog=examples(
        "dagstack-plugins units list --state failed",
        "dagstack-plugins units list --watch",
        "dagstack-plugins units list --json | jq '.[].unit_id'",
    ),
)
@_which
@click.option("--limit", type=click.IntRange(1, 1000), default=20, help="At most so many.  [default: 20]")
@click.option("--watch", is_flag=True, help="Show them until nothing waits or runs any more, or until Ctrl-C.")
@file_option
@config_option
@json_option
def list_units(
    limit: int, watch: bool, file: Path | None, config: Path | None, as_json: bool, **conditions: Any
) -> int:
    """Units of work, the newest first."""
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs")
    with _opened(file, config) as registry:
        wanted = {**_given(conditions), "limit": limit}
        if watch:
            _watched(registry.units, wanted)
            return 0
        rows = [one.to_dict() for one in registry.units.list(**wanted)]
        if as_json:
            write_json(rows, sort=False)
        elif rows:
            write(_table(rows))
        else:
            complain("there is no such unit", "note")
    return 0


@units.command(epilog=examples("dagstack-plugins units show 5b1c0f2d9e4a4c0c8e7d1f2a3b4c5d6e"))
@click.argument("unit_id", metavar="ID")
@file_option
@config_option
@json_option
def show(unit_id: str, file: Path | None, config: Path | None, as_json: bool) -> int:
    """One unit of work: how it is doing, and what it came to."""
    with _opened(file, config) as registry:
        answer = registry.get_plugin("orchestrator").result(unit_id=unit_id).to_dict()
        came_to = {name: answer[name] for name in ("value", "error") if name in answer}
        told = {**registry.units.status(unit_id).to_dict(), **came_to}
    if as_json:
        write_json(told, sort=False)
    else:
        rows = Table.grid(padding=(0, 2, 0, 0))
        for name, value in told.items():
            rows.add_row(Text(name.replace("_", " "), "dim"), Text(safe(_words(value))))
        write(rows)
    return 0


@units.command(epilog=examples("dagstack-plugins units cancel 5b1c0f2d9e4a4c0c8e7d1f2a3b4c5d6e"))
@click.argument("unit_ids", metavar="ID...", nargs=-1, required=True)
@file_option
@config_option
def cancel(unit_ids: tuple[str, ...], file: Path | None, config: Path | None) -> int:
    """Stop units of work: those that run end at their next checkpoint."""
    with _opened(file, config) as registry:
        for unit in unit_ids:
            state = registry.units.cancel(unit)
            told = "it ends at its next checkpoint" if state == "running" else f"it is {state}"
            complain(f"{unit}: {told}", "note")
    return 0


@units.command(
    epilog=examples(
        "dagstack-plugins units backfill --state failed",
        "dagstack-plugins units backfill --plugin importer --since 2026-01-01T00:00:00Z",
    )
)
@_which
@click.option("--since", metavar="TIME", help="Only units queued then or later, as 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="TIME", help="Only units queued before.")
@file_option
@config_option
def backfill(file: Path | None, config: Path | None, **conditions: Any) -> int:
    """Queue past units of work again: all that ended and fit."""
    given = _given(conditions)
    if not given:
        raise click.UsageError(
            "say which: --state failed, --plugin NAME, --partition KEY, --since TIME or --until TIME"
        )
    with _opened(file, config) as registry:
        told = registry.units.backfill(**given)
    complain(f"{counted(told['enqueued_count'], 'unit')} queued again, {told['skipped_count']} left alone", "note")
    return 0


@units.command(
    epilog=examples(
        "dagstack-plugins units worker plugins/",
        "dagstack-plugins units worker plugins/ --workers 8 --config host.toml",
    )
)
@click.argument("plugins", nargs=-1, type=FOLDER)
@installed_option
@hookspecs_option
@click.option("--workers", type=click.IntRange(1), metavar="N", help="How many units at once. Default: as configured.")
@click.option("--until-done", is_flag=True, help="End when nothing waits or runs any more.")
@file_option
@config_option
@click.option("--verbose", is_flag=True, help="Show what plugins log for information.")
def worker(
    plugins: tuple[Path, ...],
    installed: bool,
    hookspecs: tuple[Path, ...],
    workers: int | None,
    until_done: bool,
    file: Path | None,
    config: Path | None,
    verbose: bool,
) -> int:
    """Work on units, with the plugins below folders (default: here), until Ctrl-C or SIGTERM.

    What runs then goes on from its last checkpoint when there is a worker again.
    """
    own_stdout()  # from here on, plugins may print
    log_to_stderr(verbose=verbose)
    plugin, manifest = _orchestrator(file)
    if not isinstance(plugin, LocalOrchestrator):
        raise click.UsageError(
            f"{VARIABLE} says that the units are in Redis, where Celery's workers are at work: "
            "celery -A dagstack_plugins.units.celery worker"
        )
    context = _context(config, workers)
    folders = plugins or (() if installed else (Path(),))
    found = find(folders, hookspecs, installed=installed, verbose=verbose)
    found.complain()
    registry = found.registry
    if not registry.list_manifests():
        complain_of_none(folders, installed=installed)
        return 1
    for status in registry.unavailable_plugins():
        if status.state is PluginState.UNAVAILABLE:
            complain(f"left out: {told_path(status.location)}, as {status.reason}", "warning")
    registry.register(plugin, manifest)
    with terminable() as signals, registry.running(context):
        path = plugin.file(context.config["orchestrator"]["local"])
        complain(f"works on the units in {told_path(path)}", "note")
        try:
            _watched(registry.units, {"states": _OPEN, "limit": 1000}, for_ever=not until_done)
        except KeyboardInterrupt:
            return TERMINATED if signals else INTERRUPTED
    return 0


@contextmanager
def _opened(file: Path | None, config: Path | None) -> Iterator[PluginRegistry]:
    plugin, manifest = _orchestrator(file)
    context = _context(config, 0)
    if isinstance(plugin, LocalOrchestrator):
        path = plugin.file(context.config.get("orchestrator", {}).get("local", {}))
        if not path.exists():
            raise click.UsageError(
                f"there are no units in {told_path(path)}; --file PATH or {VARIABLE} says where they are"
            )
    registry = PluginRegistry()
    registry.register(plugin, manifest)
    with registry.running(context):
        yield registry


def _orchestrator(file: Path | None) -> tuple[Any, Mapping[str, Any]]:
    if file is not None:
        return LocalOrchestrator(file), LocalOrchestrator.manifest
    try:
        plugin, manifest = orchestrator()
        if isinstance(plugin, CeleryOrchestrator):
            plugin.keeps = False  # which it would do by the configuration given here, and not by the deployment's
        return plugin, manifest
    except PluginUnavailable as error:
        raise click.UsageError(str(error)) from None


def _context(config: Path | None, workers: int | None) -> PluginContext:
    given = read_config(config)
    section = dict(given.get("orchestrator", {}).get("local", {}))
    if workers is not None:
        section["workers"] = workers
    return PluginContext({**given, "orchestrator": {**given.get("orchestrator", {}), "local": section}})


def _given(conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in conditions.items() if value}


def _watched(found: Units, wanted: Mapping[str, Any], *, for_ever: bool = False) -> None:
    """Show units while they change: bars on a terminal, else a line for each end."""
    console = Console(stderr=True)
    seen: set[str] = set()
    patience = Patience(lambda error: complain(f"{error}; it is asked again", "warning"))
    with (
        Live(console=console, refresh_per_second=4, transient=for_ever)
        if console.is_terminal
        else nullcontext() as live
    ):
        while True:
            with patience:
                is_over = not for_ever and not found.list(states=_OPEN, limit=1)  # before the last look at all
                rows = _rows(found, **wanted)
                if live is not None:
                    shown = list(rows.values())[:_SHOWN]
                    live.update(Group(_table(shown), Text(counted(len(rows), "unit"), "dim")))
                else:
                    seen = _tell_ends(found, rows, seen)
                if is_over:
                    return
            threading.Event().wait(_LOOK)


def _rows(found: Units, limit: int, states: Sequence[str] = _STATES, **wanted: Any) -> Mapping[str, Mapping[str, Any]]:
    """Units by id; those that run come first, as the newest are those that wait."""

    def those(states: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        rows = found.list(states=states, limit=limit, **wanted) if states else []
        return {row.unit_id: row.to_dict() for row in rows}

    others = those([state for state in states if state != "running"])  # asked first: what begins meanwhile is in both
    running = those([state for state in states if state == "running"])
    return dict(islice({**running, **others, **running}.items(), limit))


def _tell_ends(found: Units, rows: Mapping[str, Mapping[str, Any]], seen: Iterable[str]) -> set[str]:
    """Say which have ended of those that had not; the ones that have not ended now."""
    now = dict(rows)
    for unit in [unit for unit in seen if unit not in rows]:
        with suppress(UnitUnknown):  # it ended long ago, or the orchestrator forgot it
            now[unit] = found.status(unit).to_dict()
    for unit in [unit for unit in seen if unit in now and now[unit]["state"] not in _OPEN]:
        complain(f"{safe(now[unit]['plugin_name'])} {now[unit]['state']}", unit)
    return {unit for unit, row in now.items() if row["state"] == "running" or (unit in rows and row["state"] in _OPEN)}


def _table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("Unit", "Plugin", "Hook", "Partition", "State", "Progress", "Said"):
        table.add_column(name, no_wrap=name == "Unit")
    for row in rows:
        percent = row.get("progress")
        bar: RenderableType = "" if percent is None else ProgressBar(total=100, completed=percent, width=20)
        error = row.get("error") or {}
        said = (
            f"{error['type']}: {error['message']}" if error and row["state"] != "succeeded" else row.get("message", "")
        )
        table.add_row(
            Text(row["unit_id"]),
            Text(safe(f"{row['kind']}/{row['plugin_name']}")),
            Text(safe(row["hook"])),
            Text(safe(row.get("partition_key", ""))),
            Text(row["state"], _STYLES.get(row["state"], "")),
            bar,
            Text(safe(said.splitlines()[0] if said else "")),
        )
    return table


def _words(value: Any) -> str:
    if isinstance(value, Mapping) and value.keys() == {"type", "message"}:
        return f"{value['type']}: {value['message']}"
    return str(value)
