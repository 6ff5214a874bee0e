"""An error of a plugin's code, as another process is told of it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.wording import place_of, raised

_OURS: Final = str(Path(__file__).parent.parent)
_BETWEEN: Final = ("anyio", "asyncio")
"""What runs functions for us."""
_LONGEST: Final = 100_000
"""Characters of a traceback, its end."""


def level_line(level: int, text: str) -> str:
    """A line of a log, for a host that reads it from standard error.

    Args:
        level: its level, as ``logging`` has it.
        text: the line.
    """
    return f"<{level}>{text}"


def level_of(line: str, default: int) -> tuple[int, str]:
    """The level of such a line, and the rest of it.

    Args:
        line: any line.
        default: the level of one that says none.

    Examples:
        >>> level_of(level_line(40, "it broke"), 20), level_of("printed", 20)
        ((40, 'it broke'), (20, 'printed'))
    """
    number, found, rest = line[1:].partition(">")
    return (int(number), rest) if line[:1] == "<" and found and number.isdigit() else (default, line)


def told_of(error: BaseException | None) -> dict[str, Any]:
    """Type, text, place and traceback of an error.

    Args:
        error: the error; ``None`` for nothing to tell.
    """
    if error is None:
        return {}
    return {
        "type": type(error).__name__,
        "message": raised(error),
        "place": place_of(error),
        "traceback": _traceback(error),
    }


def _traceback(error: BaseException) -> str:
    """From the first line of others."""
    modules = [sys.modules[name] for name in _BETWEEN if name in sys.modules]
    passed_over = (_OURS, "<", *(str(Path(module.__file__).parent) for module in modules if module.__file__))
    begin = error.__traceback__
    while begin is not None and begin.tb_frame.f_code.co_filename.startswith(passed_over):
        begin = begin.tb_next
    try:
        return "".join(traceback.format_exception(error.with_traceback(begin)))[-_LONGEST:]
    except Exception:  # its own text is code of the plugin
        return "".join(traceback.format_tb(begin))[-_LONGEST:]
