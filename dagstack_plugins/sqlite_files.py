"""SQLite files that several processes share, and that outlast them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final

_PATIENCE: Final = 30.0
"""Seconds to wait for another process's transaction."""
_PAUSE: Final = 0.01
"""Seconds between two attempts to have a file alone."""


def connected(path: Path) -> sqlite3.Connection:
    """A connection for any thread, in WAL mode, whose transactions are on the disk when they end.

    Args:
        path: the file; it is made if its folder is there.

    Raises:
        sqlite3.Error: if it can't be opened.
    """
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switching a new file to WAL needs it alone, for a moment, and SQLite does not wait for that by itself."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if (
                error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                or time.monotonic() > end
            ):
                raise
            time.sleep(_PAUSE)
