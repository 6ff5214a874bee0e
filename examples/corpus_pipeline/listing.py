"""Which files there are, and to which partition each belongs."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SKIP = {
    ".git", ".hg", ".svn", ".dagstack", "__pycache__", "node_modules", "site-packages",
    ".tox", ".nox", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache",
}  # fmt: skip
"""Folders that are passed over, whatever lies in them."""


@attrs.frozen
class File:
    """A file, or a folder that can't be read.

    Attributes:
        path: from the corpus, with slashes.
        size: in bytes.
        changed: when it was written to last, and when anything of it changed, as who may read it; in nanoseconds.
        left_out: why there is nothing to be read; empty for a file.
    """

    path: str
    size: int = 0
    changed: tuple[int, int] = (0, 0)
    left_out: str = ""

    @property
    def line(self) -> bytes:
        """The file in a listing: another line when it changed."""
        told = attrs.asdict(self, filter=lambda _, value: value != "")
        return json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n"


def walk(corpus: Path, leave_out: Path) -> Iterator[File]:
    """All files below a folder, sorted by path; links are not followed.

    Args:
        corpus: the folder.
        leave_out: a folder that is passed over wherever it lies.
    """
    return iter(sorted(_walk(corpus, leave_out), key=lambda file: file.path))


def _walk(corpus: Path, leave_out: Path) -> Iterator[File]:
    folders = [corpus]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            if folder == corpus:
                raise
            yield _unreadable(folder, corpus, error)
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                folders += [] if entry.name in SKIP or path == leave_out else [path]
            elif entry.is_file(follow_symlinks=False):
                yield _looked_at(path, corpus)


def _looked_at(path: Path, corpus: Path) -> File:
    try:
        status = path.lstat()
    except OSError as error:
        return _unreadable(path, corpus, error)
    return File(_name(path, corpus), status.st_size, (status.st_mtime_ns, status.st_ctime_ns))


def _unreadable(path: Path, corpus: Path, error: OSError) -> File:
    return File(_name(path, corpus), left_out=(error.strerror or str(error)).lower())


def _name(path: Path, corpus: Path) -> str:
    return path.relative_to(corpus).as_posix()


def parted(files: Iterable[File], count: int) -> dict[int, list[File]]:
    """Files by partition; a file's path alone says which is its own, so that it stays there whatever else changes.

    Args:
        files: the files.
        count: how many partitions there are; those that get no file are left out.
    """
    parts: dict[int, list[File]] = {}
    for file in files:
        number = zlib.crc32(file.path.encode("utf-8", "surrogatepass")) % count
        parts.setdefault(number, []).append(file)
    return dict(sorted(parts.items()))
