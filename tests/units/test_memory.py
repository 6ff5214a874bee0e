"""A host that does units for ever needs no more memory for it.

MEMORY_UNITS=100000 asks for many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "memory.py"
UNITS = int(os.environ.get("MEMORY_UNITS", "5000"))


def grown(folder: Path, units: int, kept: int = 0) -> tuple[int, int, str]:
    """What a host needs more after all units than after the first tenth of them, in bytes.

    Args:
        folder: where its file is.
        units: how many.
        kept: bytes of each unit that it does not let go of.

    Returns:
        That; what it may be; and all that was measured.
    """
    command = [sys.executable, str(PROGRAM), str(folder), str(units), str(kept)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    measured = [int(line.split()[2]) for line in told.splitlines()]
    assert len(measured) == 10
    size = (folder / "units.db").stat().st_size
    # What a process needs goes up and down a little; what is left of each unit adds up.
    allowed = 2_000_000 + 50 * units
    return measured[-1] - measured[0], allowed, f"units, bytes, bytes without pages:\n{told}{size} bytes in the file"


@pytest.mark.timeout(120 + UNITS / 100)
def test_memory_does_not_grow_with_the_units_that_were_done(tmp_path: Path) -> None:
    more, allowed, told = grown(tmp_path, UNITS)
    sys.stdout.write(f"\n{told}\n")
    assert more < allowed, told


def test_what_is_kept_of_each_unit_is_seen(tmp_path: Path) -> None:
    more, allowed, _ = grown(tmp_path, 2000, 2500)
    assert more > allowed
