"""The file in which units of work are kept: its tables, and what becomes of one that is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagstack_plugins.sqlite_files import connected

_VERSION: Final = 2
"""Of the tables, as ``PRAGMA user_version``."""
_BESIDE: Final = ("", "-wal", "-shm")
"""What SQLite keeps beside a file, by its ending."""
_TABLES: Final = """
CREATE TABLE units (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    plugin TEXT NOT NULL,
    hook TEXT NOT NULL,
    args TEXT NOT NULL,
    code TEXT NOT NULL,
    key TEXT,
    part TEXT,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    -- May be taken now: due, and the first of its partition that has not ended.
    ready INTEGER NOT NULL,
    -- When one that is first of its partition becomes ready by itself.
    due REAL,
    -- When it was put back to wait for that.
    put_at REAL,
    -- Whose turn it is: the smallest first.
    turn INTEGER NOT NULL,
    queued_at REAL NOT NULL,
    not_before REAL,
    expires_at REAL,
    started_at REAL,
    finished_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    crew TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    progress REAL,
    message TEXT,
    error TEXT,
    result TEXT
);
CREATE UNIQUE INDEX units_key ON units (key) WHERE key IS NOT NULL AND state IN ('queued', 'running', 'succeeded');
CREATE INDEX units_ready ON units (priority DESC, turn, number) WHERE ready = 1;
CREATE INDEX units_due ON units (due) WHERE due IS NOT NULL;
CREATE INDEX units_put ON units (put_at) WHERE put_at IS NOT NULL;
CREATE INDEX units_part ON units (part, number) WHERE part IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX units_crew ON units (crew) WHERE crew IS NOT NULL;
CREATE INDEX units_expiry ON units (expires_at) WHERE expires_at IS NOT NULL AND state = 'queued';
CREATE INDEX units_ended ON units (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX units_state ON units (state, number);
CREATE TABLE crews (id TEXT PRIMARY KEY, place TEXT NOT NULL, beats INTEGER NOT NULL DEFAULT 0);
CREATE TABLE results (hash TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE checkpoints (
    number INTEGER NOT NULL REFERENCES units ON DELETE CASCADE,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (number, scope, key)
) WITHOUT ROWID;
-- Where fair queueing stands: the turn that was served last, and that which the last unit without a partition got.
CREATE TABLE turns (one INTEGER PRIMARY KEY CHECK (one = 1), served INTEGER NOT NULL, given INTEGER NOT NULL);
INSERT INTO turns VALUES (1, 0, 0);
"""
_log: Final = logging.getLogger("dagstack_plugins.units")


def opened(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made if it isn't there; one that is damaged is set aside.

    Args:
        path: the file.

    Raises:
        OSError: if its folder can't be made.
        sqlite3.Error: if it can't be opened, or is of a later version of this package.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path)
    except sqlite3.OperationalError:  # locked, not readable: nothing says that it is damaged
        raise
    except sqlite3.DatabaseError as error:
        aside = _set_aside(path)
        _log.error("%s is damaged (%s); it was set aside as %s, and a new one begun", path, error, aside)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    connection = connected(path)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -16000")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        _made(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _made(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been here
        if version == 0:
            for statement in _statements():
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            version = _VERSION
        connection.execute("COMMIT")
    if version != _VERSION:
        raise sqlite3.OperationalError(
            f"{path} has tables of version {version}, and this package knows version {_VERSION}: install the one that "
            "wrote it, or give another path"
        )


def _statements() -> list[str]:
    lines = "\n".join(line for line in _TABLES.splitlines() if not line.lstrip().startswith("--"))
    return [statement for statement in lines.split(";") if statement.strip()]


def _set_aside(path: Path) -> Path:
    number, aside = 0, path
    while aside == path or aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d')}-{number}")
    for ending in reversed(_BESIDE):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{ending}", f"{aside}{ending}")  # noqa: PTH105 - the names only differ in their endings
    return aside
