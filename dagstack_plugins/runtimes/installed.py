"""The runtimes that there are, and what each needs."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Iterable
from typing import Final

from dagstack_plugins.errors import RuntimeNotSupported

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


def installed_ones(runtimes: Iterable[str]) -> tuple[str, ...]:
    """The same runtimes, if all of them can be used here.

    Args:
        runtimes: what a host wants, in the order in which it chooses.

    Raises:
        RuntimeNotSupported: if one can't.
    """
    if isinstance(runtimes, str):
        raise TypeError(f"runtimes takes several: [{runtimes!r}], not {runtimes!r}")
    wanted = tuple(runtimes)
    if unknown := [runtime for runtime in wanted if runtime not in RUNTIMES]:
        raise RuntimeNotSupported(
            f"this installation cannot run {', '.join(unknown)}; it runs {', '.join(RUNTIMES)}",
            allowed=wanted,
            available=RUNTIMES,
        )
    if missing := [told for runtime in wanted if (told := lacking(runtime)) is not None]:
        available = [runtime for runtime in RUNTIMES if lacking(runtime) is None]
        raise RuntimeNotSupported("; ".join(missing), allowed=wanted, available=available)
    return wanted
