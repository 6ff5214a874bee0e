"""``dagstack-plugins test``: the contract suite, as a table of plugins by checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import RenderableType
from rich.text import Text

from dagstack_plugins.cli.finding import complain_of_none
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, json_option
from dagstack_plugins.cli.output import complain, counted, own_stdout, safe, speaks_unicode, write, write_json
from dagstack_plugins.discovery.folders import plugin_folders
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.manifest import load_manifest

if TYPE_CHECKING:
    from dagstack_plugins.contract.results import CheckResult

_SECONDS: Final = click.FloatRange(0, min_open=True)
_COUNT: Final = click.IntRange(1)
_SIGNS: Final = {
    "failed": ("✗", "F"),
    "not_proven": ("?", "?"),
    "excused": ("e", "e"),
    "passed": ("✓", "."),
    "not_applicable": ("-", "-"),
}
"""From the worst to the best, in Unicode and in ASCII; a check that has several results is as good as its worst."""
_STYLES: Final = {"failed": "bold red", "not_proven": "yellow", "excused": "cyan", "passed": "green"}


@click.command(
    "test",
    epilog=examples(
        "dagstack-plugins test plugins/",
        "dagstack-plugins test --check boundaries --check lifecycle plugins/my_tool",
        "dagstack-plugins test --json . | jq -r '.results[] | select(.status == \"failed\") | .plugin'",
    ),
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=FOLDER)
@hookspecs_option
@click.option("--check", "checks", metavar="NAME", multiple=True, help="Run this check only; may be repeated.")
@click.option("--timeout", type=_SECONDS, default=30.0, show_default=True, help="Seconds that each check may take.")
@click.option("--examples", "number", type=_COUNT, default=100, show_default=True, help="Inputs made for each hook.")
@click.option("--seed", type=int, default=0, show_default=True, help="What inputs are made from.")
@json_option
def test(
    paths: tuple[Path, ...],
    hookspecs: tuple[Path, ...],
    checks: tuple[str, ...],
    timeout: float,
    number: int,
    seed: int,
    as_json: bool,
) -> int:
    """Prove that plugins keep their contract.

    A PATH is a plugin's folder, or a folder of plugins. The plugins run in processes of their own, which watch them.
    Exit status: 0 if all is well, 1 if something failed, is not proven, or no plugin was found, 2 for a wrong command
    line. `pytest --contracts` runs the same checks as tests.
    """
    from dagstack_plugins.contract.needs import unmet
    from dagstack_plugins.contract.suite import ALL_CHECKS, check_names

    if told := unmet():
        complain(told)
        return 1

    own_stdout()
    wanted = checks or ALL_CHECKS
    try:
        check_names(wanted)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    results = [result for path in paths for result in _results(path, hookspecs, wanted, timeout, number, seed)]
    if not results:
        complain_of_none(paths)
    ok = bool(results) and all(result.status.ok for result in results)
    if as_json:
        write_json({"ok": ok, "results": [result.to_dict() for result in results]})
    elif results:
        write(*_told(results, wanted))
    return 0 if ok else 1


def _results(
    root: Path, hookspecs: Sequence[Path], checks: Sequence[str], timeout: float, number: int, seed: int
) -> Iterator[CheckResult]:
    from dagstack_plugins.contract.bench import Notes, shared_bench
    from dagstack_plugins.contract.subject import subject_of
    from dagstack_plugins.contract.suite import broken_manifest, cases, run_case

    bench = shared_bench()
    bench.start()
    for file in plugin_folders(root.absolute()):
        if isinstance(file, OSError):
            complain(str(file), "warning")
            continue
        try:
            manifest = load_manifest(file)
            subject = subject_of(manifest, hookspecs=hookspecs, examples=number, seed=seed)
        except (PluginRegistryError, OSError) as error:
            yield broken_manifest(file, error)
            continue
        kind, notes = subject.kind(), Notes()
        for case in cases(manifest, kind, checks):
            yield run_case(bench, notes, subject, kind, case, timeout)


def _told(results: Sequence[CheckResult], checks: Sequence[str]) -> Iterator[RenderableType]:
    plugins = list(dict.fromkeys(result.plugin for result in results))
    width = max(len(safe(plugin)) for plugin in plugins)
    yield from _heads(checks, width)
    for plugin in plugins:
        row = Text(safe(plugin).ljust(width))
        for check in checks:
            status = _worst(result for result in results if (result.plugin, result.check) == (plugin, check))
            row.append(f" {_sign(status)}", _STYLES.get(status, "dim"))
        yield row
    yield Text()
    yield from _unproven(results)
    for result in results:
        if result.status == "failed":
            yield Text(f"{safe(result)}\n", overflow="fold")
        elif result.note:
            yield Text(
                f"note: {safe(result.plugin)}: {safe(result.label)} {safe(result.note)}", "yellow", overflow="fold"
            )
    yield _summary(results, len(plugins))


def _unproven(results: Sequence[CheckResult]) -> Iterator[Text]:
    """What is not proven, told once where it is so for one reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.status == "not_proven":
            reasons.setdefault((result.plugin, result.reason), []).append(result.label)
    for (plugin, reason), labels in reasons.items():
        yield Text(f"not proven: {safe(plugin)}: {', '.join(labels)}: {safe(reason)}\n", overflow="fold")


def _heads(checks: Sequence[str], width: int) -> Iterator[Text]:
    """The checks' names, each above its column and bent away from it: one line for each."""
    line, corner = ("│ ", "┌ ") if speaks_unicode() else ("| ", ", ")
    for index, check in enumerate(checks):
        yield Text(" " * (width + 1) + line * index + corner + check, "dim")


def _worst(results: Iterator[CheckResult]) -> str:
    found = {str(result.status) for result in results}
    return next((status for status in _SIGNS if status in found), "not_applicable")


def _sign(status: str) -> str:
    return _SIGNS[status][0 if speaks_unicode() else 1]


def _summary(results: Sequence[CheckResult], plugins: int) -> Text:
    counts = {status: sum(result.status == status for result in results) for status in _SIGNS}
    told = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
    ok = all(result.status.ok for result in results)
    return Text(f"{'ok: ' if ok else ''}{counted(plugins, 'plugin')}: {told}", "green" if ok else "bold red")
