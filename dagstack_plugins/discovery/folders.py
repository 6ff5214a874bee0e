"""Folders that hold a manifest, below a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from dagstack_plugins.manifest import MANIFEST_FILES, find_manifest

DEFAULT_IGNORE: Final = (
    "__pycache__",
    "node_modules",
    ".git",
    ".venv",
    "venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    "dist",
    "build",
)
"""Names of folders that no plugin lies in."""


def plugin_folders(
    root: Path, *, recursive: bool = True, ignore: Collection[str] = DEFAULT_IGNORE
) -> Iterator[Path | OSError]:
    """Manifest files below ``root``, in sorted order of their folders; an ``OSError`` for a folder that can't be read.

    A folder that holds a manifest is a plugin; nothing below it is looked at. Each folder is looked at once, however
    many links lead to it, so loops end.

    Args:
        root: where to look; may be a plugin itself.
        recursive: look below the folders in ``root`` as well.
        ignore: glob patterns for names of folders to pass over.

    Raises:
        FileNotFoundError, NotADirectoryError: if ``root`` isn't a folder.
    """
    if isinstance(ignore, str):
        raise TypeError(f"ignore takes several patterns: [{ignore!r}], not {ignore!r}")
    if not root.exists():
        raise FileNotFoundError(f"there is no folder {root}; plugins are looked for in a folder")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is a file; name the folder that it is in")
    return _walk(root, recursive, tuple(ignore))


def _walk(root: Path, recursive: bool, ignore: tuple[str, ...]) -> Iterator[Path | OSError]:
    seen: set[tuple[int, int]] = set()
    # A stack of our own: a tree may be deeper than Python's.
    waiting = [(str(root), 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116 - a Path for each folder costs more than the look
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                listing = list(entries)
            names = {entry.name for entry in listing}
            manifest = None if names.isdisjoint(MANIFEST_FILES) else find_manifest(Path(folder), names)
        except OSError as error:
            # A folder may be listed and yet not entered; then it is a file in it that can't be looked at.
            yield OSError(error.errno, error.strerror, folder)
            continue
        if manifest is not None:
            yield manifest
        elif recursive or depth == 0:
            inner = sorted(entry.path for entry in listing if _is_folder(entry) and not _ignored(entry.name, ignore))
            waiting += [(path, depth + 1) for path in reversed(inner)]


class RealFolders:
    """Folders without the links that led to them; what lies beside each other is resolved once."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def path(self, folder: str) -> str:
        """The folder's real path.

        Args:
            folder: an absolute path.
        """
        if os.path.islink(folder):  # noqa: PTH114 - a Path for each folder costs more than the look
            return os.path.realpath(folder)
        parent, name = os.path.split(folder)
        real = self._parents.get(parent)
        if real is None:
            real = self._parents[parent] = os.path.realpath(parent)
        return os.path.join(real, name)  # noqa: PTH118


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _ignored(name: str, patterns: tuple[str, ...]) -> bool:
    return name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
