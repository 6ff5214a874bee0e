"""Manifests as text: from a file to the document in it, and from a place in the document back to its line."""

from __future__ import annotations

import codecs
import json
import re
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import attrs
import tomli

from dagstack_plugins.schemafaults import reach
from dagstack_plugins.wording import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

# The search for a line ends here: nobody waits longer for a message.
_PLACES_TRIED = 30
_LONGEST_TEXT = 50_000  # characters


class Unreadable(Exception):
    """Bytes that are no text, or a text that is no document.

    Args:
        message: what was found and what is expected.
        line: 1-based line in the file, where known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def decoded(raw: bytes) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        Unreadable: it is not UTF-8.
    """
    body = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = len(raw) - len(body) + error.start
        found = f"byte 0x{raw[offset]:02x} at offset {offset} is not UTF-8"
        raise Unreadable(f"{found}; save the file as UTF-8", raw.count(b"\n", 0, offset) + 1) from None


def read_inside(folder: Path | None, name: str) -> Any:
    """The content of a JSON file that a manifest names.

    Args:
        folder: the plugin's folder, which the file may not be outside of.
        name: a path below it.

    Raises:
        Unreadable: there is no such file, it is elsewhere, or it is no JSON.
    """
    if folder is None:
        raise Unreadable("a file name, but the plugin has no folder that it could be in; write the schema as a table")
    try:
        file = (folder / name).resolve()
        # As Windows reads it, on every platform: a manifest means the same everywhere.
        read_anywhere = PureWindowsPath(name)
        if read_anywhere.anchor or ".." in read_anywhere.parts or not file.is_relative_to(folder.resolve()):
            raise Unreadable("expected a file inside the plugin's folder, as a relative path without '..'")
        if not file.is_file():
            raise Unreadable("there is no such file in the plugin's folder")
        return parsed(decoded(file.read_bytes()), "JSON")
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links is a RuntimeError, a null byte a ValueError
        raise Unreadable((error.strerror if isinstance(error, OSError) else None) or str(error)) from None


def read_tables(file: Path) -> dict[str, Any]:
    """What a file of configuration says: JSON by its name, else TOML.

    Raises:
        Unreadable: it is neither, or holds something else than tables.
        OSError: it can't be read.
    """
    value = parsed(decoded(file.read_bytes()), "JSON" if file.suffix == ".json" else "TOML")
    if not isinstance(value, dict):
        raise Unreadable(f"holds {shown(value)}; write {{kind: {{name: {{…}}}}}}")
    return value


def parsed(text: str, language: Literal["TOML", "JSON"]) -> Any:
    """The document that a text holds, as plain dicts, lists and scalars.

    Raises:
        Unreadable: it is not of that language.
    """
    try:
        if language == "TOML":
            return tomli.loads(text)
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:
        line: int | None = getattr(error, "lineno", None)
        if line is None:  # ours, or one of converting a number
            raise Unreadable(f"is not valid {language}: {error}") from None
        reason: Any = error
        there = text.split("\n")[line - 1].strip()
        told = f"{reason.msg}, at column {reason.colno}" + (f" of {shown(there)}" if there else "")
        raise Unreadable(f"is not valid {language}: {told}", line) from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {key!r} stands twice in one object")
        table[key] = value
    return table


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


@attrs.frozen(eq=False)
class Source:
    """Where a document comes from.

    Attributes:
        file: its file, if it has one.
        text: the file's text; empty where there is none.
        language: the text's language.
        above: the keys that lead to the manifest in it.
    """

    file: Path | None
    text: str = ""
    language: Literal["TOML", "JSON"] = "TOML"
    above: tuple[str, ...] = ()

    def line(self, path: Sequence[str | int]) -> int | None:
        """The 1-based line where a key or list item stands; ``None`` where that can't be told for certain.

        Every place where it may stand is tried: if with another word there the parser finds that word at ``path``, then
        this is the place. So there is no grammar here that could be guessed wrong.

        Args:
            path: the keys and indexes below `above`.
        """
        if not path or not 0 < len(self.text) <= _LONGEST_TEXT:
            return None
        above, last = (*self.above, *path[:-1]), path[-1]
        pattern = _as_written(reach(parsed(self.text, self.language), above), last)
        if pattern is None:
            return None
        mark = "here"
        while mark in self.text:
            mark += "_"
        for place in islice(re.finditer(pattern, self.text), _PLACES_TRIED):
            try:
                changed = parsed(f'{self.text[: place.start()]}"{mark}"{self.text[place.end() :]}', self.language)
            except Unreadable:
                continue
            around = reach(changed, above) or ()
            if mark in around if isinstance(last, str) else reach(around, [last]) == mark:
                return self.text.count("\n", 0, place.start()) + 1
        return None


def _as_written(above: Any, step: str | int) -> str | None:
    """A regular expression for a key, or a list's item, as it is usually written; ``None`` for what isn't there."""
    if isinstance(step, str):
        return rf"""(?<![\w-])(["']?){re.escape(step)}\1(?![\w-])""" if step in (above or ()) else None
    item = reach(above, [step])
    if isinstance(item, str):
        return rf"""(["']){re.escape(item)}\1"""
    if isinstance(item, dict | list):
        return None
    return rf"(?<![\w.-]){re.escape(json.dumps(item, default=str))}(?![\w.-])"
