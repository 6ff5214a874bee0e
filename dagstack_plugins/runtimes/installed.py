"""The runtimes that there are, and what each needs."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from typing import Final

RUNTIMES: Final = ("in_process", "mcp_stdio", "mcp_http")
"""Those that this package has, in the order in which it chooses."""


@functools.cache
def lacking(runtime: str) -> str | None:
    """What keeps a runtime from being used here; ``None`` if it can be.

    Args:
        runtime: one of ``RUNTIMES``.
    """
    if runtime == "in_process":
        return None
    if runtime == "mcp_stdio" and os.name != "posix":
        return "mcp_stdio needs POSIX (Linux, macOS)"
    if runtime == "mcp_stdio" and (not sys.executable or getattr(sys, "frozen", False)):
        return "mcp_stdio needs a Python interpreter to start, and this program has none of its own"
    if importlib.util.find_spec("mcp") is None:
        return f"{runtime} needs the MCP SDK: pip install 'dagstack-plugins[mcp]'"
    return None
