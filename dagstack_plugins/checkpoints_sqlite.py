"""``SqliteCheckpoints``: states in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.checkpoints import Keys, check_expected, check_text, encode_state
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.sqlite_files import connected
from dagstack_plugins.wording import raised

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS checkpoints (
    scope TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (scope, key)
) WITHOUT ROWID
"""


class SqliteCheckpoints:
    """States in one SQLite file; safe for threads and for several processes of one machine.

    What was saved is on the disk, as a whole or not at all, and read by whoever looks next.

    Examples:
        >>> import tempfile
        >>> store = SqliteCheckpoints(tempfile.mkdtemp() + "/checkpoints.db")
        >>> store.save("tool/importer", "cursor", {"row": 7})
        1
        >>> store.load("tool/importer", "cursor")
        ({'row': 7}, 1)
        >>> store.close()

    Args:
        path: the file, made with its folder when first needed; ``~`` is expanded.

    .. versionadded:: 0.1
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser().absolute()
        self._lock = threading.RLock()
        self._opened: tuple[int, sqlite3.Connection] | None = None

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state in place of the one before; returns its version, once it is safe on the disk.

        Raises:
            TypeError: the state is not JSON, or the key not a string.
            ValueError: the state is not JSON.
            CheckpointConflict: another version than ``expected`` is there.
            PluginRegistryError: the file can't be written, or is damaged; the state before is still there.
        """
        text = encode_state(state)
        place = _stored(check_text(scope, "scope")), _stored(check_text(key, "key"))
        with self._file() as file:
            file.execute("BEGIN IMMEDIATE")
            try:
                found = file.execute("SELECT version FROM checkpoints WHERE scope = ? AND key = ?", place).fetchone()
                before = 0 if found is None else int(found[0])
                check_expected(key, expected, before)
                file.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", (*place, before + 1, text))
                file.execute("COMMIT")
            except BaseException:
                if file.in_transaction:
                    file.execute("ROLLBACK")
                raise
        return before + 1

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state and its version; ``(None, 0)`` for a key never saved.

        Raises:
            PluginRegistryError: the file can't be read, or is damaged.
        """
        place = _stored(check_text(scope, "scope")), _stored(check_text(key, "key"))
        with self._file() as file:
            found = file.execute("SELECT state, version FROM checkpoints WHERE scope = ? AND key = ?", place).fetchone()
        return (None, 0) if found is None else (json.loads(found[0]), int(found[1]))

    def list(self, scope: str, prefix: str = "") -> Keys:
        """The saved keys that start with the string ``prefix``, sorted.

        Raises:
            PluginRegistryError: the file can't be read, or is damaged.
        """
        with self._file() as file:
            found = file.execute("SELECT key FROM checkpoints WHERE scope = ?", (_stored(check_text(scope, "scope")),))
            keys = [_read(key) for (key,) in found]
        return sorted(key for key in keys if key.startswith(prefix))

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].close()
            self._opened = None

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection()
            except (OSError, sqlite3.Error) as error:
                raise PluginRegistryError(f"checkpoints in {self._path}: {raised(error)}") from error

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None or self._opened[0] != os.getpid():  # one must not cross a fork
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = connected(self._path)
            try:
                file.execute(_TABLE)
            except BaseException:
                file.close()
                raise
            self._opened = os.getpid(), file
        return self._opened[1]

    def __repr__(self) -> str:
        return f"SqliteCheckpoints({str(self._path)!r})"


def _stored(text: str) -> str:
    """Any text as SQLite takes it: half of a surrogate pair has no form in UTF-8."""
    return json.dumps(text)


def _read(stored: str) -> str:
    text: str = json.loads(stored)
    return text
