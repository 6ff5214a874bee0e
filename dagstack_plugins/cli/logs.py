"""The library's log, so that nothing is said twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dagstack_plugins.cli.output import safe

LIBRARY = logging.getLogger("dagstack_plugins")


@contextmanager
def quiet_library() -> Iterator[None]:
    """Keep back what the library logs of plugins that it refuses or cannot start: the command tells that itself."""
    before = LIBRARY.level
    LIBRARY.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        LIBRARY.setLevel(before)


def log_to_stderr(*, verbose: bool) -> None:
    """Send all logs to standard error, a line each.

    Args:
        verbose: show what is for information as well, and tracebacks.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Full() if verbose else _Brief())
    logging.basicConfig(handlers=[handler], level=logging.INFO if verbose else logging.WARNING, force=True)


class _Full(logging.Formatter):
    """A record with its traceback."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return safe(super().format(record))


class _Brief(logging.Formatter):
    """A record in one line, an error by its type and message."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and str(error) not in message:
            message += f": {type(error).__name__}: {error}"
        return safe(f"{record.levelname.lower()}: {message}")
