"""What the command itself says: standard output belongs to it alone, and text of plugins does no harm there."""

from __future__ import annotations

import atexit
import json
import os
import sys
import unicodedata
from contextlib import suppress
from functools import cache
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, Final, TextIO

import click
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

_BROKEN_PIPE: Final = 141
"""What a shell reports of a program that SIGPIPE ended."""
_UNFOLDED: Final = 100_000
"""Columns where nobody looks: a line in a file or pipe stays one line."""
_UNSAFE: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that steer a terminal, break lines, or that no encoding has."""


@cache
def own_stdout() -> TextIO:
    """Standard output; whatever else is written there from the first call on goes to standard error.

    That holds for programs that plugins start, and for what runs at the exit, so it is never taken back.
    """
    shared = sys.stdout
    if shared is None:  # closed by the caller
        return Path(os.devnull).open("w", encoding="utf-8")
    shared.flush()
    try:
        own = os.dup(shared.fileno())
        os.dup2(sys.stderr.fileno(), shared.fileno())
    except (AttributeError, UnsupportedOperation):  # not a file: what a program put there that runs this inside itself
        sys.stdout = sys.stderr
        return shared
    if hasattr(shared, "reconfigure"):
        shared.reconfigure(line_buffering=True)  # so that it comes in order with what goes to standard error
    file = open(own, "w", encoding=shared.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115 - until the exit
    atexit.register(_close, file)
    return file


def _close(file: TextIO) -> None:
    with suppress(OSError):  # nobody reads any more
        file.close()


def write(*parts: RenderableType) -> None:
    """Print for people: with colour on a terminal, else plain."""
    console = _console(own_stdout())
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    text = captured.get()
    _write(text if console.is_terminal else "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def write_lines(text: str) -> None:
    """Print text as it is: a drawing for another program."""
    _write(f"{text}\n")


def write_json(value: Any, *, sort: bool = True) -> None:
    """Print one JSON document."""
    in_ascii = own_stdout().encoding.lower().replace("-", "") != "utf8"
    _write(json.dumps(value, indent=2, sort_keys=sort, ensure_ascii=in_ascii) + "\n")


def speaks_unicode() -> bool:
    """Whether lines and corners can be drawn on standard output."""
    return own_stdout().encoding.lower().startswith("utf")


def columns() -> int:
    """How many columns a line on standard output has."""
    return _columns(own_stdout())


def complain(message: str, word: str = "error") -> None:
    """Say on standard error what is wrong.

    Args:
        message: what was found, where, and what to do.
        word: how bad it is: ``error``, ``warning`` or ``note``.
    """
    if sys.stderr is None:  # closed by the caller
        return
    style = "bold red" if word == "error" else "yellow"
    _console(sys.stderr).print(Text.assemble((f"{word}: ", style), safe(message)), soft_wrap=True)


def safe(text: object) -> str:
    """Text of a plugin, in which nothing steers the terminal."""
    return "".join(char if char in "\n\t" or _is_safe(char) else _escaped(char) for char in str(text))


def _is_safe(char: str) -> bool:
    return " " <= char <= "~" or unicodedata.category(char) not in _UNSAFE


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def told_path(path: str | Path) -> str:
    """A path as people read it: from the working directory if it lies below that."""
    with suppress(ValueError, OSError):
        path = Path(path).relative_to(Path.cwd())
    return safe(path).replace("\n", "\\n")


def indented(part: RenderableType, by: int = 2) -> Padding:
    """A part set to the right by a number of columns."""
    return Padding(part, (0, 0, 0, by), expand=False)


def counted(number: int, word: str) -> str:
    """``1 plugin``, ``2 plugins``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _console(stream: TextIO) -> Console:
    # Rich would measure whichever standard stream is a terminal, and leave the program when a pipe breaks.
    return Console(file=stream, width=_columns(stream), height=25, markup=False, emoji=False, highlight=False)


def _columns(stream: TextIO) -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _UNFOLDED
    except (OSError, UnsupportedOperation):
        return _UNFOLDED


def _write(text: str) -> None:
    stream = own_stdout()
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # The rest of the text is still in the stream, whose end would try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):  # `| head` has seen enough
            raise click.exceptions.Exit(_BROKEN_PIPE) from None
        raise
