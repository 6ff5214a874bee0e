"""What the program shows: a bar while it runs, tables and lists at the end."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from update import Run
    from walk import Problem


class _Gathering(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        message = record.getMessage() + (f": {type(error).__name__}: {error}" if error else "")
        if message not in self.messages:
            self.messages.append(message)


@contextmanager
def gathered_warnings() -> Iterator[list[str]]:
    """Gather the warnings and errors that are logged inside, each message once, as they would run across the bar."""
    root, handler = logging.getLogger(), _Gathering()
    root.addHandler(handler)
    try:
        yield handler.messages
    finally:
        root.removeHandler(handler)


@contextmanager
def progress_bar(files: int) -> Iterator[Callable[[], object]]:
    """Show how far the run is, if someone is looking.

    Args:
        files: how many there are.

    Yields:
        What to call after each file.
    """
    console = Console(stderr=True)
    columns = (TextColumn("Indexing"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=files)
        yield lambda: bar.advance(task)


class Report:
    """Prints the outcome of a run.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def table(self, title: str, columns: list[str], rows: list[list[str | int]]) -> None:
        """Print a table; columns of numbers are set to the right."""
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
        )
        for index, column in enumerate(columns):
            numbers = bool(rows) and all(isinstance(row[index], int) for row in rows)
            table.add_column(
                column, justify="right" if numbers else "left", header_style="dim", overflow="fold", no_wrap=numbers
            )
        for row in rows:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else escape(cell) for cell in row))
        self._console.print(table)
        self._console.print()

    def listing(self, title: str, lines: Iterable[str]) -> None:
        """Print a headline and lines, never broken, so that terminals and editors find the paths in them."""
        told = list(lines)
        if told:
            self._console.print(f"[bold yellow]{title}[/] ({len(told):,})")
            for line in told:
                indented = "  " + line.replace("\n", "\n    ")
                self._console.print(indented, markup=False, highlight=False, soft_wrap=True)
            self._console.print()

    def summary(self, run: Run, index: str) -> None:
        """Print what the run did, in one line, and where the index is."""
        word = "[bold red]Interrupted[/]: indexed" if run.interrupted else "[bold]Indexed[/]"
        self._console.print(
            f"{word} {run.indexed:,} files in {run.seconds:.1f} s; "
            f"{run.unchanged:,} unchanged, {run.removed:,} removed, {len(run.problems):,} broken",
            highlight=False,
            soft_wrap=True,
        )
        self._console.print(f"Index: {escape(index)}", highlight=False, soft_wrap=True)


def place(problem: Problem) -> str:
    """A problem as one line: ``src/a.py:3: invalid syntax``."""
    line = f":{problem.line}" if problem.line else ""
    return f"{problem.path}{line}: {problem.message}"
