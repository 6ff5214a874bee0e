"""Files and folders that outlast a power cut, as far as the file system can see to that."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

if sys.platform == "darwin":
    import fcntl

_NOT_FOR_FOLDERS: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""How file systems say that they don't synchronise folders."""

_PATIENCE: Final = (0.001, 0.01, 0.05, 0.2, 0.5) if os.name == "nt" else ()
"""Seconds between attempts at what others hinder by reading."""

_TRIES: Final = 100
"""How often a folder is made again that others remove, as it was empty, while a file is on its way into it."""


def write(file: str, *pieces: bytes) -> None:
    """Write a new file, to the disk.

    Args:
        file: its path, which must be free.
        pieces: what is in it, one after the other.
    """
    with open(file, "xb", buffering=0) as stream:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[stream.write(rest) or 0 :]
        flush(stream.fileno())


def move(file: str, to: str) -> None:
    """Move a file to another name, whose folder is made if it is missing; ``sync_folder`` makes it last.

    Args:
        file: its path.
        to: its new path, on the same file system; a file there is replaced.
    """
    for attempt in itertools.count(1):
        try:
            _patiently(lambda: os.replace(file, to))
        except FileNotFoundError:
            if attempt >= _TRIES or not os.path.exists(file):
                raise
            with contextlib.suppress(FileNotFoundError):  # the folder above was removed in its turn
                make_folder(Path(to).parent)
        else:
            break


def remove(file: str) -> None:
    """Remove a file; ``sync_folder`` makes that last."""
    _patiently(lambda: os.unlink(file))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, to stay; one that is there is fine."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):  # others make it
        folder.mkdir()
        sync_folder(folder.parent)


def sync_folder(folder: str | Path) -> None:
    """Make last what was made, replaced and removed in a folder; if others removed it since, make that last."""
    if sys.platform == "win32":  # which does that by itself
        return
    while True:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            break
        except FileNotFoundError:
            folder = os.path.dirname(folder) or os.curdir
    try:
        flush(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def flush(descriptor: int) -> None:
    """Bring what was written to the disk itself."""
    if sys.platform == "darwin":  # where fsync() leaves it in the drive's own memory
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def _patiently(change: Callable[[], None]) -> None:
    """On Windows a file that somebody reads can't be replaced or removed; that is over soon."""
    for wait in _PATIENCE:
        try:
            return change()
        except PermissionError:
            time.sleep(wait)
    return change()
