from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagstack_plugins import PluginContext

TABLES = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    made_by TEXT NOT NULL,
    language TEXT NOT NULL,
    size INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    counts TEXT NOT NULL,
    problem TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS symbols (
    path TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
    line INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX IF NOT EXISTS symbols_by_path ON symbols (path);
"""
SECONDS_TO_WAIT_FOR_ANOTHER_RUN = 30.0


class SqliteStore:
    def setup(self, ctx: PluginContext) -> None:
        self._path = Path(ctx.config["folder"]) / "index.sqlite"
        self._logger = ctx.logger
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None

    def teardown(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def files(self) -> dict[str, Any]:
        columns = "path, stamp, made_by, language, size, lines, counts, problem"
        with self._lock:
            rows = self._database().execute(f"SELECT {columns} FROM files ORDER BY path").fetchall()
        return {"files": [_file(row) for row in rows]}

    def save(self, entries: list[Any], gone: list[str]) -> None:
        with self._lock, self._database() as database:  # one transaction: all of it or, if we die here, nothing
            for path in [*gone, *(entry.file.path for entry in entries)]:
                database.execute("DELETE FROM files WHERE path = ?", [path])
            for entry in entries:
                _insert(database, entry)

    def search(self, word: str) -> dict[str, Any]:
        found = "SELECT path, line, kind, name, detail FROM symbols WHERE instr(folded, ?) ORDER BY path, line, name"
        with self._lock:
            rows = self._database().execute(found, [word.casefold()]).fetchall()
        return {"matches": [_without_nulls(row) for row in rows]}

    def _database(self) -> sqlite3.Connection:
        if self._open is None:
            try:
                self._open = _connect(self._path)
            except sqlite3.OperationalError as error:
                raise OSError(f"{self._path}: {error}") from error
            except sqlite3.DatabaseError as error:
                # An index can be made again, so a damaged one is put aside rather than stopping every run.
                aside = self._path.replace(self._path.with_suffix(".damaged"))
                self._logger.warning("%s is damaged (%s): kept as %s, begun anew", self._path, error, aside.name)
                self._open = _connect(self._path)
        return self._open


def _connect(path: Path) -> sqlite3.Connection:
    # Hooks run in whichever thread calls; the store's lock lets in one at a time.
    database = sqlite3.connect(path, timeout=SECONDS_TO_WAIT_FOR_ANOTHER_RUN, check_same_thread=False)
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA foreign_keys = ON")
        database.executescript(TABLES)
    except BaseException:
        database.close()
        raise
    return database


def _insert(database: sqlite3.Connection, entry: Any) -> None:
    file = entry.file
    problem = json.dumps(file.problem.to_dict()) if file.problem else None
    counts = json.dumps(file.counts)
    row = (file.path, file.stamp, file.made_by, file.language, file.size, file.lines, counts, problem)
    database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    symbols = ((file.path, s.line, s.kind, s.name, s.name.casefold(), s.detail) for s in entry.symbols)
    database.executemany("INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?)", symbols)


def _file(row: sqlite3.Row) -> dict[str, Any]:
    file = _without_nulls(row)
    for name in ("counts", "problem"):
        if name in file:
            file[name] = json.loads(file[name])
    return file


def _without_nulls(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if row[name] is not None}  # noqa: SIM118 - a Row iterates over values
