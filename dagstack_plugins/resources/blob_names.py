"""How a blob's key becomes the name of a file, on any file system, and back."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from dagstack_plugins.resources.blob_store import check_key

# Capitals are written as %41: some file systems don't tell `A` from `a`, nor one form of `é` from the other.
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_WRITTEN: Final = tuple(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in range(256))

# A folder's name and a file's begin differently, as the keys `a` and `a/b` may both exist; and neither is a device.
_FOLDER: Final = "+"
_FILE: Final = "="

_DIGEST: Final = re.compile(f"{re.escape(_FILE)}[0-9a-f]{{64}}")

_LOOKS: Final = 4
"""How often a folder is looked at that has just changed."""

_TICK: Final = 20_000_000
"""Nanoseconds within which a file system may not see that time went on."""

_LONGEST: Final = 150
"""Characters of a path below the root; longer ones would be refused by Windows, some much longer ones by all."""


def name_of(key: str) -> str | None:
    """The path of a key's file, with ``/``; ``None`` if it would be too long to be one.

    Args:
        key: a key that keeps the rules.

    Examples:
        >>> name_of("pages/index.html"), name_of("Été")
        ('+pages/=index.html', '=%c3%89t%c3%a9')
    """
    *folders, last = map(_written, key.split("/"))
    path = "/".join([*(_FOLDER + folder for folder in folders), _FILE + last])
    return path if len(path) <= _LONGEST else None


def digest_of(key: str) -> str:
    """A name for the file of a key whose own would be too long; the key can't be read from it."""
    return _FILE + hashlib.sha256(key.encode()).hexdigest()


def keys_below(root: Path, prefix: str) -> Iterator[str]:
    """The keys of the files below a folder that may begin with a prefix, in no order.

    Args:
        root: the folder, which may be missing.
        prefix: only the folder where it ends is looked into.
    """
    folder, slash, _ = prefix.rpartition("/")
    steps = [_FOLDER + _written(segment) for segment in folder.split("/")] if slash else []
    if len("/".join(steps)) <= _LONGEST:
        yield from _walked(root.joinpath(*steps), folder + slash)


def keys_of_digests(folder: Path) -> Iterator[Path]:
    """The files in a folder that are named by a digest."""
    return (folder / name for name in _names_in(folder) if _DIGEST.fullmatch(name))


def _walked(folder: Path, said: str) -> Iterator[str]:
    for name in _names_in(folder):
        segment = _read(name[1:])
        if segment is None:
            continue
        if name.startswith(_FILE):
            yield said + segment
        elif name.startswith(_FOLDER):
            yield from _walked(folder / name, f"{said}{segment}/")


def _names_in(folder: Path) -> set[str]:
    """What lies in a folder, none left out that is there all the while.

    On some file systems (tmpfs is one) a file that takes another's place moves to another place in the folder too,
    where a listing under way has been already. So a folder that has just changed is looked at several times.
    """
    names: set[str] = set()
    try:
        for _ in range(_LOOKS):
            started = time.time_ns()
            names.update(os.listdir(folder))  # noqa: PTH208 — names are all that is wanted
            if folder.stat().st_mtime_ns < started - _TICK:
                break
    except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
        pass
    return names


def _written(segment: str) -> str:
    written = "".join(map(_WRITTEN.__getitem__, segment.encode("utf-8", "surrogatepass")))
    return written if not written.endswith(".") else f"{written[:-1]}%2e"  # Windows drops a dot at the end


def _read(written: str) -> str | None:
    """The segment, ``None`` if it is not one of ours: somebody else's file lies there."""
    try:
        segment = unquote_to_bytes(written).decode()
        check_key(segment)
    except ValueError:
        return None
    return segment if _written(segment) == written else None
