"""How messages show values, names and errors: short, safe for any log, whatever their author's code does."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

from dagstack_plugins.interrupts import is_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_SHOWN = 60
"""A value is shown with at most this many characters: messages go to logs."""

_PACKAGE = f"{Path(__file__).parent}{os.sep}"

_LIBRARY = f"{Path(os.__file__).parent}{os.sep}"

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")


def shown(value: object) -> str:
    """A value as it stands in a message: its ``repr``, cut where it is long, safe for any terminal."""
    text = printable(_text(repr, value, f"<{type(value).__name__}>"))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def raised(error: BaseException) -> str:
    """An error of a plugin's code, as messages show it: type and text."""
    name, text = type(error).__name__, said(error)
    return f"{name}: {text}" if text else name


def said(error: BaseException) -> str:
    """The text of an error of a plugin's code, which may fail to give it."""
    # The text of a SyntaxError ends with its place, in words of its own.
    message = error.msg if isinstance(error, SyntaxError) and error.filename else error
    return printable(_text(str, message, "its message cannot be shown"))


def place_of(error: BaseException, known: str = "") -> str:
    """File and line of an error in the code of others, in brackets, where they are known.

    Args:
        error: the error.
        known: a file that was told already; of that, the line is enough.
    """
    file, line = place_parts(error)
    return "" if file is None else _place(file, line, known)


def place_parts(error: BaseException) -> tuple[str | None, int | None]:
    """File and line of an error in the code of others, as far as they are known."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    # Frame by frame: traceback's own summaries read every file.
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    others = [place for place in places if not place[0].startswith(("<", _PACKAGE))]
    # Where Python's own library raised it, whoever called that is to blame.
    to_blame = [place for place in others if not _is_pythons(place[0])] or others
    return to_blame[-1] if to_blame else (None, None)


def _is_pythons(file: str) -> bool:
    return file.startswith(_LIBRARY) and "-packages" not in file


def _place(file: str, line: int | None, known: str) -> str:
    return f" (line {line})" if file == known else f" ({file}, line {line})"


def _text(make: Callable[[object], str], value: object, otherwise: str) -> str:
    """What ``repr`` or ``str`` gives; both are code of the value's author."""
    try:
        return make(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return otherwise


def printable(text: str) -> str:
    """A text that any log takes: half characters, as in names of files that are no UTF-8, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """A text of somebody else's, for a log: what would move a terminal's cursor is written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def dot_string(text: str) -> str:
    """A text in the language of Graphviz."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def mermaid_string(text: str) -> str:
    """A text in the language of Mermaid, which knows no backslashes, but characters by their numbers."""
    return '"' + "".join(char if char.isalnum() or char in "/_-. " else f"#{ord(char)};" for char in text) + '"'


def dotted(path: Iterable[str | int], root: str = "$", *, toml: bool = False) -> str:
    """A path as users write it: ``$.items[2].name``; with ``root=""`` it starts without a dot.

    Args:
        path: keys and indexes.
        root: how it starts.
        toml: write odd keys as TOML does, ``a."b c"`` for ``a['b c']``.
    """
    text = root
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif toml:
            key = part if _BARE_KEY.fullmatch(part) else json.dumps(part)
            text += f".{key}" if text else key
        elif part.isidentifier() or part.replace("-", "_").isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def nearest(name: str, names: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` where one of ``names`` is near to ``name``, else nothing."""
    meant = near(name, names)
    return "" if meant is None else f" (did you mean {meant!r}?)"


def near(name: str, names: Iterable[str], *, at_least: float = 0.6) -> str | None:
    """The one of ``names`` that ``name`` is likely meant to be, if there is one.

    Args:
        name: what was found.
        names: what there is.
        at_least: how alike they must be, from 0 to 1 (``difflib``'s ratio).
    """
    known = list(names)
    if not known:
        return None
    import difflib  # imported here: only mistakes need it

    found = difflib.get_close_matches(name, known, n=1, cutoff=at_least)
    return found[0] if found else None


def one_of(words: Sequence[str]) -> str:
    """Words as a choice: ``a, b or c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
