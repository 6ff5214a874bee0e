"""``dagstack-plugins test``: the contract suite, as a table of plugins by checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import click
from rich.console import RenderableType
from rich.text import Text

from dagstack_plugins.cli.finding import complain_of_none
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, json_option
from dagstack_plugins.cli.output import (
    complain,
    counted,
    own_stdout,
    safe,
    speaks_unicode,
    told_path,
    write,
    write_json,
)
from dagstack_plugins.discovery.folders import plugin_folders
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.manifest import load_manifest

if TYPE_CHECKING:
    from dagstack_plugins.contract.results import CheckResult
    from dagstack_plugins.contract.suite import Plan

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
    rows = [row for path in paths for row in _rows(path, hookspecs, wanted, number, seed)]
    if not rows:
        complain_of_none(paths)
        if as_json:
            write_json({"ok": False, "results": []})
        return 1
    if as_json:
        results = [result for row in rows for result in row.results(timeout)]
        write_json({"ok": _all_well(results), "results": [result.to_dict() for result in results]})
    else:
        results = _show(rows, wanted, timeout)
    return 0 if _all_well(results) else 1


@attrs.frozen
class _Row:
    """A plugin: a row of the table.

    Attributes:
        folder: where it lies.
        plan: its checks; ``None`` if its manifest can't be read.
        broken: what is said of it then.
    """

    folder: Path
    plan: Plan | None
    broken: CheckResult | None = None

    @property
    def plugin(self) -> str:
        """``kind/name``."""
        return self.plan.subject.label if self.plan is not None else f"?/{self.folder.name}"

    def results(self, timeout: float) -> list[CheckResult]:
        """Run its checks."""
        from dagstack_plugins.contract.bench import shared_bench

        if self.plan is None:
            assert self.broken is not None
            return [self.broken]
        return [self.plan.run(case, shared_bench(), timeout) for case in self.plan.cases]


def _rows(root: Path, hookspecs: Sequence[Path], checks: Sequence[str], number: int, seed: int) -> Iterator[_Row]:
    from dagstack_plugins.contract.bench import shared_bench
    from dagstack_plugins.contract.subject import subject_of
    from dagstack_plugins.contract.suite import Plan, broken_manifest

    shared_bench().start()  # it loads while manifests are read
    for file in plugin_folders(root.absolute()):
        if isinstance(file, OSError):
            complain(str(file), "warning")
            continue
        try:
            subject = subject_of(load_manifest(file), hookspecs=hookspecs, examples=number, seed=seed)
        except (PluginRegistryError, OSError) as error:
            yield _Row(file.parent, None, broken_manifest(file, error))
        else:
            yield _Row(file.parent, Plan.of(subject, checks))


def _all_well(results: Sequence[CheckResult]) -> bool:
    return all(result.status.ok for result in results)


def _show(rows: Sequence[_Row], checks: Sequence[str], timeout: float) -> list[CheckResult]:
    """Draw the table while its plugins are tested, and tell what was found; also after an interrupt."""
    labels = _labels(rows)
    width = max(map(len, labels))
    write(*_heads(checks, width))
    done: list[list[CheckResult]] = []
    try:
        for row, label in zip(rows, labels, strict=True):
            done.append(row.results(timeout))
            write(_drawn(label.ljust(width), done[-1], checks))
    finally:
        results = [result for row in done for result in row]
        if results:
            write(Text(), *_told(results), _summary(done))
    return results


def _labels(rows: Sequence[_Row]) -> list[str]:
    """What rows are called: where two plugins have one name, with the folder."""
    names = Counter(row.plugin for row in rows)
    return [safe(row.plugin) + (f" in {told_path(row.folder)}" if names[row.plugin] > 1 else "") for row in rows]


def _drawn(label: str, results: Sequence[CheckResult], checks: Sequence[str]) -> Text:
    row = Text(label)
    for check in checks:
        status = _cell(results, check)
        row.append(f" {_sign(status)}", _STYLES.get(status, "dim"))
    return row


def _told(results: Sequence[CheckResult]) -> Iterator[RenderableType]:
    yield from _unproven(results)
    for result in results:
        if result.status == "failed":
            yield Text(f"{safe(result)}\n", overflow="fold")
        elif result.note:
            yield Text(
                f"note: {safe(result.plugin)}: {safe(result.label)} {safe(result.note)}", "yellow", overflow="fold"
            )


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


def _summary(rows: Sequence[Sequence[CheckResult]]) -> Text:
    """How many signs of each sort the table shows."""
    cells = [_cell(row, check) for row in rows for check in dict.fromkeys(result.check for result in row)]
    told = ", ".join(f"{count} {sign.replace('_', ' ')}" for sign in _SIGNS if (count := cells.count(sign)))
    ok = all(map(_all_well, rows))
    return Text(f"{'ok: ' if ok else ''}{counted(len(rows), 'plugin')}: {told}", "green" if ok else "bold red")


def _cell(row: Sequence[CheckResult], check: str) -> str:
    return _worst(result for result in row if result.check == check)
