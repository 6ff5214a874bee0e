"""What a test process is at, written down for who finds it dead."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any


def enter(scratch: Path, phase: str, payload: Any = None) -> None:
    """Write down what begins, for who finds this process dead.

    Args:
        scratch: the scratch folder.
        phase: ``load``, ``setup``, ``teardown``, or the name of a hook; no hook has one of those names.
        payload: what the hook is called with.
    """
    with suppress(OSError, ValueError):
        os.pwrite(_diary(scratch), json.dumps({"phase": phase, "payload": payload}).encode() + b"\n", 0)


@cache
def _diary(scratch: Path) -> int:
    """Opened once: it is written to before each call."""
    return os.open(scratch / "phase", os.O_WRONLY | os.O_CREAT, 0o600)
