"""Which files there are, and what text is in them."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SKIP = (
    ".git", ".hg", ".svn", ".code_index", "__pycache__", "node_modules", "site-packages",
    ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis",
)  # fmt: skip
LARGEST_TEXT = 8 * 1024 * 1024  # bytes; what is larger counts as data
BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# What Python, editors and XML parsers look for in the first two lines.
CODING = re.compile(rb"""\A(?:.*\n)?.*?coding[:=][ \t]*["']?([-\w.]+)""")


@attrs.frozen
class Problem:
    """What is wrong with a file.

    Attributes:
        path: the file, from the indexed folder, with slashes.
        message: what is wrong.
        line: 1-based, where known.
    """

    path: str
    message: str
    line: int | None = None

    @classmethod
    def of(cls, path: str, error: OSError) -> Problem:
        """What the operating system says about a file."""
        return cls(path, (error.strerror or str(error)).lower())


@attrs.frozen
class Found:
    """A file on disk.

    Attributes:
        path: from the indexed folder, with slashes.
        size: in bytes.
        stamp: another one whenever the file was written to, replaced or got other permissions.
    """

    path: str
    size: int
    stamp: str


def walk(root: Path, *, skip: Sequence[str] = SKIP, leave_out: Path | None = None) -> Iterator[Found | Problem]:
    """All regular files below a folder, sorted within each folder; links are not followed.

    Args:
        root: the folder.
        skip: names (or patterns of names) of files and folders that are passed over.
        leave_out: a folder that is passed over wherever it lies.

    Yields:
        Each file, or what is wrong with it.
    """
    skipped = re.compile("|".join(fnmatch.translate(pattern) for pattern in skip))
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            yield Problem.of(_name(folder, root), error)
            continue
        if any(entry.name == "pyvenv.cfg" for entry in entries) and folder != root:
            continue  # a virtual environment, whatever it is called
        inner = []
        for entry in entries:
            path = Path(entry.path)
            if skipped.match(entry.name) or path == leave_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                inner.append(path)
            elif entry.is_file(follow_symlinks=False):
                yield _look_at(path, root)
        folders += reversed(inner)


def _look_at(path: Path, root: Path) -> Found | Problem:
    name = _name(path, root)
    try:
        status = path.lstat()
        name.encode()
    except OSError as error:
        return Problem.of(name, error)
    except UnicodeEncodeError:
        return Problem(name.encode(errors="backslashreplace").decode(), "its name is not Unicode")
    # The change time too: modes and backdated copies leave the modification time as it was.
    return Found(name, status.st_size, f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}")


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def read(file: Found, root: Path) -> str | None:
    """A file's text.

    Args:
        file: the file.
        root: the folder that was walked.

    Returns:
        The text, or ``None`` for data.

    Raises:
        OSError: it cannot be read, or is gone.
        ValueError: it is text, but in no encoding that is known.
    """
    if file.size > LARGEST_TEXT:
        return None
    data = (root / file.path).read_bytes()
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return _decode_as_declared(data, error)


def _decode_as_declared(data: bytes, not_utf_8: UnicodeDecodeError) -> str:
    declared = CODING.match(data)
    if declared is None:
        where = f"byte 0x{data[not_utf_8.start]:02x} at offset {not_utf_8.start}"
        raise ValueError(f"not UTF-8 ({where}), and no other encoding is declared")
    try:
        return data.decode(declared[1].decode())
    except LookupError:
        raise ValueError(f"declares an encoding that is not known: {declared[1].decode()}") from None


def interpreter(text: str) -> str | None:
    """The program that a script's first line names: ``python`` for ``#!/usr/bin/env python3.12``.

    Args:
        text: the script.

    Returns:
        The name without its version, or ``None`` where no program is named.
    """
    if not text.startswith("#!"):
        return None
    words = text[2:].split("\n", 1)[0].split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    name = words[0].rpartition("/")[2].rstrip("0123456789.") if words else ""
    return name.lower() or None
