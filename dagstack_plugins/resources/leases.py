"""Names that belong to a process for as long as it lives, so that others can tell what the dead left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import weakref
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

_SUFFIX: Final = ".lease"


class Lease:
    """A name, taken until ``close()`` or the end of the process, be it a violent one.

    Args:
        folder: where it is written down.

    Attributes:
        name: letters and digits.
        owner: the process that took it; a fork of it takes one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.owner = os.getpid()
        while True:
            self.name = secrets.token_hex(8)
            path = folder / f"{self.name}{_SUFFIX}"
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            self._end = weakref.finalize(self, _end, descriptor, path, self.owner)
            try:
                _lock(descriptor)
                if os.fstat(descriptor).st_nlink:
                    return
            except BlockingIOError:
                pass
            except BaseException:
                self._end()
                raise
            self._end()  # somebody took it for a dead one's, before it was locked

    def close(self) -> None:
        """Give the name back; does nothing the second time."""
        self._end()


def living(folder: Path) -> set[str]:
    """The names that are taken; those of the dead are given back.

    Args:
        folder: where they are written down.
    """
    return {file.name.removesuffix(_SUFFIX) for file in folder.glob(f"*{_SUFFIX}") if not _given_back(file)}


def _given_back(file: Path) -> bool:
    """Remove a lease whose holder is gone."""
    try:
        with file.open("r+b") as lease:
            _lock(lease.fileno())
            if sys.platform != "win32":
                file.unlink()  # while it is locked: who has just made it must not come by it
        if sys.platform == "win32":
            file.unlink()  # which fails while somebody has it open
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _lock(descriptor: int) -> None:
    # On Windows a file that is open can't be removed: that is lock enough.
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _end(descriptor: int, path: Path, owner: int) -> None:
    # A fork shares the lock with its parent: closing its own descriptor leaves the name taken.
    with contextlib.suppress(OSError):
        os.close(descriptor)
        if os.getpid() == owner:
            path.unlink(missing_ok=True)
