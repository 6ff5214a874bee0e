"""What the contract suite needs of the machine that it runs on."""

from __future__ import annotations

import importlib.util
import os
from typing import Final

_PARTS: Final = ("blockbuster", "forbiddenfruit", "hypothesis", "psutil")


def unmet() -> str:
    """Why the suite can't run here; empty if it can."""
    if os.name != "posix":
        return "the contract suite needs POSIX (Linux, macOS): plugins are tested in forked processes"
    if missing := [name for name in _PARTS if importlib.util.find_spec(name) is None]:
        return f'the contract suite needs {", ".join(missing)}: pip install "dagstack-plugins[contract]"'
    return ""
