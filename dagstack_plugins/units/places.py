"""Processes, as others on their machine know them: that one is gone can be seen there, and need not be waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NUMBERS: Final = Path("/proc/self/ns/pid")
"""Within which numbers of processes mean the same: containers have their own."""
_ENDED: Final = ("Z", "X")
"""States of processes of which only the number is left."""
_GONE: Final = "-"


def here() -> str:
    """This process, in one word; empty where processes can't be known for sure."""
    begun = _begun(os.getpid())
    if begun is None:
        return ""
    return f"{_machine()}:{os.getpid()}:{begun}"


def is_gone(place: str) -> bool:
    """Whether a process has ended; false wherever that can't be said from here.

    Args:
        place: what ``here`` said in it.

    Examples:
        >>> is_gone(here()), is_gone("")
        (False, False)
    """
    machine, _, process = place.rpartition(":")[0].rpartition(":")
    if not machine or machine != _machine():
        return False
    begun = _begun(int(process))
    return _has_ended(int(process)) if begun is None else begun != place.rpartition(":")[2]


def _machine() -> str:
    try:
        return f"{_BOOT.read_text('ascii').strip()}:{_NUMBERS.stat().st_ino}"
    except OSError:
        return ""


def _has_ended(process: int) -> bool:
    """Whether there is none of that number: those of other users may be hidden (``hidepid``)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _begun(process: int) -> str | None:
    """When a process began, as numbers are used again; ``None`` if it can't be seen."""
    try:
        told = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    state, *fields = told.rpartition(")")[2].split()  # its name is before, in brackets, and may have any
    return _GONE if state in _ENDED else fields[18]
