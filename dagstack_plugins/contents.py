"""A plugin's files, and the one hash by which a host recognises what it decided to trust."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

CACHES: Final = frozenset({".git", ".hg", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".svn"})
"""Folders that tools write into while nothing of the plugin changes; no import leads into one."""

_ESCAPED: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


class Contents:
    """The files of one plugin.

    Args:
        base: the folder that their names start from.
        only: the files; left out, all below ``base``, but for those in folders that tools write into.
    """

    def __init__(self, base: Path, only: tuple[str, ...] | None = None) -> None:
        self._base = base
        self._only = only
        self._hash: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._base, self._only)  # who gets it looks anew

    @property
    def hash(self) -> str:
        """``sha256:…`` over names and bytes of the files, read once.

        It is what ``sha256sum`` prints for the files in the order of their names' bytes, through ``sha256sum`` again.

        Raises:
            OSError: if one can't be read.
        """
        if self._hash is None:
            whole = hashlib.sha256()
            for name, path in sorted(self._files(), key=lambda pair: os.fsencode(pair[0])):
                whole.update(os.fsencode(_line(name, path)))
            self._hash = f"sha256:{whole.hexdigest()}"
        return self._hash

    @property
    def readable_hash(self) -> str | None:
        """The same; ``None`` if a file can't be read."""
        try:
            return self.hash
        except OSError:
            return None

    def _files(self) -> Iterator[tuple[str, str]]:
        if self._only is not None:
            yield from ((name, os.path.join(self._base, name)) for name in self._only)
        else:
            yield from _below(str(self._base))


def _below(base: str) -> Iterator[tuple[str, str]]:
    """Regular files, by names with ``/``; links are followed, as imports follow them, but not round in circles."""
    waiting: list[tuple[str, str, str, frozenset[str]]] = [(base, os.path.realpath(base), "", frozenset())]
    while waiting:
        folder, real, prefix, above = waiting.pop()
        if real in above:
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if _is(entry.is_dir):
                    if entry.name not in CACHES:
                        # Only a link leads elsewhere; to ask of each folder takes as long as its path is deep.
                        place = os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}"
                        waiting.append((entry.path, place, f"{name}/", above | {real}))
                # Nothing that would block, such as a pipe; and what Python compiles for itself is not the plugin's.
                elif _is(entry.is_file) and not (prefix.endswith("__pycache__/") and name.endswith(".pyc")):
                    yield name, entry.path


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except OSError:  # a link to itself
        return False


def _line(name: str, path: str) -> str:
    with open(path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is no regular file any more")
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if any(char in name for char in _ESCAPED):
        return f"\\{digest}  {''.join(_ESCAPED.get(char, char) for char in name)}\n"
    return f"{digest}  {name}\n"
