"""Indexes any folder through plugins, and answers from the index; ``python examples/code_indexer --help`` says how."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from command_line import PROGRAM, understand
from dagstack_plugins import PluginRegistryError
from entries import Reader
from host import left_out, plugins
from report import Report, gathered_warnings, place, progress_bar
from update import Run, Update
from walk import SKIP, Found, walk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from dagstack_plugins import PluginRegistry

DONE, FAILED, INTERRUPTED = 0, 1, 130  # argparse exits with 2
NOTHING_FOUND, UNANSWERED = 1, 2  # as grep does


def main(arguments: list[str]) -> int:
    """Run the program.

    Args:
        arguments: the command line, without the program's name.

    Returns:
        The exit status.
    """
    options = understand(arguments)
    try:
        return index(options) if options.word is None else search(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (PluginRegistryError, OSError) as error:
        print(f"code_indexer: {error}", file=sys.stderr)
        return FAILED if options.word is None else UNANSWERED


def index(options: argparse.Namespace) -> int:
    """Bring the index up to date and show what is in it."""
    _make_folder(options.index)
    report = Report(Console(soft_wrap=False))
    with gathered_warnings() as warnings, plugins(options.index, options.plugins, options.isolate) as registry:
        warnings.clear()  # the start's are about plugins that are left out, which are listed with their reasons
        run = _update(registry, options)
        tables, failed = _measure(registry)
        refused = left_out(registry)
    for table in tables:
        report.table(table.title, table.columns, table.rows)
    report.listing("Broken files", map(place, run.problems))
    report.listing("Plugins left out", refused)
    report.listing("Warnings", [*failed, *warnings])
    report.summary(run, str(options.index))
    return INTERRUPTED if run.interrupted else DONE


def search(options: argparse.Namespace) -> int:
    """Print the symbols whose name contains a word, those that bear it exactly first."""
    if not options.index.is_dir():
        print(f"code_indexer: no index at {options.index}; make one: {PROGRAM} {options.root}", file=sys.stderr)
        return UNANSWERED
    with gathered_warnings(), plugins(options.index, options.plugins, options.isolate) as registry:
        matches = registry.get_plugin("index_store").search(word=options.word).matches
    word = options.word.casefold()
    matches.sort(key=lambda match: match.name.casefold().rpartition(".")[2] != word)
    for match in matches:
        detail = f"  {match.detail}" if match.detail else ""
        print(f"{match.path}:{match.line} {match.kind} {match.name}{detail}")
    return DONE if matches else NOTHING_FOUND


def _update(registry: PluginRegistry, options: argparse.Namespace) -> Run:
    seen = list(walk(options.root, skip=[*SKIP, *options.skip], leave_out=options.index))
    update = Update(registry, Reader(registry, options.root))
    with progress_bar(sum(isinstance(item, Found) for item in seen)) as advance, _ctrl_c() as pressed:
        return update(str(options.root), seen, advance=advance, stopped=pressed)


def _measure(registry: PluginRegistry) -> tuple[list[Any], list[str]]:
    files = registry.get_plugin("index_store").files().files
    fields = ("path", "language", "size", "lines", "counts")
    tables = registry.kind("index_metrics").measure(files=[{name: file[name] for name in fields} for file in files])
    return tables, [f"index_metrics/{plugin}: {error!r}" for plugin, error in tables.errors]


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the run between two files, no plugin being cut short; a second one ends it at once."""
    pressed = threading.Event()

    def note(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n")  # an index is no part of the repository that it lies in
    except OSError as error:
        raise OSError(f"cannot write the index: {error}; choose another folder with --index DIR") from error


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a name that the terminal cannot show is no reason to stop
    sys.exit(main(sys.argv[1:]))
