"""``PostgresCheckpoints``: states in a table of PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from dagstack_plugins.checkpoints import Keys, check_expected, check_text, encode_state
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.wording import one_line, shown

_T = TypeVar("_T")

_IDLE: Final = 0
"""``PQTRANS_IDLE`` of libpq: the connection works, and nothing goes on there."""

_PATIENCE: Final = 30.0
"""Seconds after which a save gives up that others keep overtaking, where transactions are serializable."""

_UNLESS_SAID: Final = {
    "connect_timeout": "5",  # seconds
    "keepalives_idle": "5",  # seconds
    "keepalives_interval": "5",  # seconds
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",  # milliseconds
}
"""So that a server, or a network, that is gone is noticed in seconds; the system's own limits are hours."""

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (scope_digest BYTEA NOT NULL, key_digest BYTEA NOT NULL, "
    "scope TEXT NOT NULL, key TEXT NOT NULL, version BIGINT NOT NULL, state TEXT NOT NULL, save_id UUID NOT NULL, "
    "PRIMARY KEY (scope_digest, key_digest))"
)
"""Digests are what is looked for, as an index takes no text beyond some 2,700 bytes."""

# One statement each, which is a transaction of its own: no lock is held while an answer travels.
_INSERT: Final = """
INSERT INTO {table} AS old (scope_digest, key_digest, scope, key, version, state, save_id)
VALUES (%(scope_digest)s, %(key_digest)s, %(scope)s, %(key)s, 1, %(state)s, %(save_id)s)
ON CONFLICT (scope_digest, key_digest) DO
"""
_SAVE_FIRST: Final = _INSERT + "NOTHING RETURNING version"
_SAVE: Final = (  # sent once more, it finds itself there, and counts no further
    _INSERT
    + """
UPDATE SET version = old.version + (old.save_id <> excluded.save_id)::int,
    state = excluded.state, save_id = excluded.save_id
RETURNING version
"""
)
_SAVE_NEXT: Final = """
UPDATE {table} SET version = version + 1, state = %(state)s, save_id = %(save_id)s
WHERE scope_digest = %(scope_digest)s AND key_digest = %(key_digest)s AND version = %(expected)s
RETURNING version
"""
_FOUND: Final = """
SELECT version, save_id FROM {table} WHERE scope_digest = %(scope_digest)s AND key_digest = %(key_digest)s
"""
_LOAD: Final = """
SELECT state, version FROM {table} WHERE scope_digest = %(scope_digest)s AND key_digest = %(key_digest)s
"""
_LIST: Final = """
SELECT key FROM {table} WHERE scope_digest = %(scope_digest)s AND starts_with(key, %(prefix)s)
"""


class PostgresCheckpoints:
    """States in a table of PostgreSQL, 11 or later; safe for threads and for processes of many machines.

    It needs the extra ``postgres``. The table is made when first needed, if it is not there; a role that finds it
    needs SELECT, INSERT and UPDATE on it, no more. What was saved is committed, as a whole or not at all, and read by
    whoever looks next.

    Each process has one connection, also after a fork; one that broke is opened anew by the next use.

    If it breaks while a state is on its way, nobody knows whether that arrived. It is sent once more then, which does
    no harm: with each state the id of its save is kept, so that one that had arrived is recognised, and counts once.
    With ``expected``, it is saved only if that version is still there; if others have saved since, so that the id is
    gone, an error says that the outcome is not known. Without ``expected`` the state is saved over theirs then, as it
    is of no matter who was first. An error says that the outcome is not known, too, if the server does not come back;
    such a state may still arrive a moment later.

    For how long a statement may wait for locks of others, ``conninfo`` says, as in ``options='-c lock_timeout=30s'``.

    Examples:
        >>> PostgresCheckpoints("host=db.internal dbname=app user=app password=secret", table="app.checkpoints")
        PostgresCheckpoints('host=db.internal dbname=app user=app', table='app.checkpoints')

    Args:
        conninfo: where the server is and who asks, as libpq takes it: ``host=… dbname=… user=…`` or
            ``postgresql://user@host/database``. What it leaves out is taken from the environment (``PGHOST``,
            ``PGPASSWORD``, …). A host that does not answer is given up after 5 seconds, unless it says another
            ``connect_timeout``.
        table: the table, or ``schema.table``; upper and lower case are different names.

    Raises:
        ImportError: psycopg is not installed.
        TypeError: ``conninfo`` is no string.
        ValueError: ``conninfo`` is no connection string, or ``table`` no name of a table.

    .. versionadded:: 0.1
    """

    def __init__(self, conninfo: str, *, table: str = "dagstack_checkpoints") -> None:
        self._psycopg = _psycopg()
        self._quoted = _quoted(table)
        self._table = table
        given = _parsed(conninfo, self._psycopg)
        self._conninfo: str = self._psycopg.conninfo.make_conninfo(**{**_defaults(), **given})
        shown_of_it = {name: given[name] for name in _SHOWN if name in given}
        self._place = one_line(self._psycopg.conninfo.make_conninfo(**shown_of_it))
        # By process: neither a connection nor a lock that somebody held is of use after a fork.
        self._lines: dict[int, _Line] = {}

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state in place of the one before; returns its version, once it is committed.

        Raises:
            TypeError: the state is not JSON, the key not a string, or ``expected`` no whole number.
            ValueError: the state is not JSON.
            CheckpointConflict: another version than ``expected`` is there; nothing was saved.
            PluginRegistryError: the server can't be reached, or refuses: the state before is still there, unless the
                message says that this is not known.
        """
        values = {"state": encode_state(state), **_address(scope, key), "save_id": uuid.uuid4()}
        if expected is not None:
            if not isinstance(expected, int):  # the server would take "1" for 1
                raise TypeError(f"expected is a version, an int, or None; got {shown(expected)}")
            values["expected"] = int(expected)
        unknown = f"; the connection broke meanwhile: whether {shown(key)} was saved is not known, load it to see"
        return self._done(partial(self._save, key, values, expected), unknown)

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state and its version; ``(None, 0)`` for a key never saved.

        Raises:
            PluginRegistryError: the server can't be reached, or refuses.
        """

        def load(connection: Any, _: bool) -> tuple[Any, int]:
            found = self._execute(connection, _LOAD, place).fetchone()
            return (None, 0) if found is None else (json.loads(found[0]), int(found[1]))

        place = _address(scope, key)
        return self._done(load)

    def list(self, scope: str, prefix: str = "") -> Keys:
        """The saved keys that start with the string ``prefix``, sorted.

        Raises:
            PluginRegistryError: the server can't be reached, or refuses.
        """

        def listed(connection: Any, _: bool) -> Keys:
            return [json.loads(key) for (key,) in self._execute(connection, _LIST, values)]

        # The server's share saves sending them all; half a surrogate pair begins the stored form of a whole one, too.
        digest, start = _digest(_stored(check_text(scope, "scope"))), _stored(check_text(prefix, "prefix"))[:-1]
        values = {"scope_digest": digest, "prefix": start}
        return sorted(key for key in self._done(listed) if key.startswith(prefix))

    def close(self) -> None:
        """Let go of the connection; the next use opens it again."""
        line = self._line()
        with line.lock:
            line.cut()

    # --- what is done on a connection; it may be the second attempt -----------------------------------------------

    def _save(
        self, key: str, values: Mapping[str, Any], expected: int | None, connection: Any, is_repeated: bool
    ) -> int:
        statement = _SAVE if expected is None else _SAVE_FIRST if expected == 0 else _SAVE_NEXT
        while True:
            saved = self._execute(connection, statement, values).fetchone()
            if saved is not None:
                return int(saved[0])
            found, whose = self._execute(connection, _FOUND, values).fetchone() or (0, None)
            if whose == values["save_id"]:  # it had arrived when the connection broke
                return int(found)
            if is_repeated and expected is not None and found > expected + 1:
                raise PluginRegistryError(
                    f"{self._name}: the connection broke while {shown(key)} was saved, and others have saved since: "
                    f"it is at version {found}, and whether version {expected + 1} was this one is not known"
                )
            check_expected(key, expected, found)
            # It is: it came to that version between the two statements.

    def _execute(self, connection: Any, statement: str, values: Mapping[str, Any]) -> Any:
        """The rows; in other isolations than READ COMMITTED, who is overtaken has to begin again."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._execute_once(connection, statement.format(table=self._quoted), values)
            except self._psycopg.errors.SerializationFailure:
                if time.monotonic() > end:
                    raise

    def _execute_once(self, connection: Any, statement: str, values: Mapping[str, Any]) -> Any:
        try:
            return connection.execute(statement, values)
        except self._psycopg.errors.UndefinedTable:
            self._make_table(connection)
        return connection.execute(statement, values)

    def _make_table(self, connection: Any) -> None:
        errors, statement = self._psycopg.errors, _TABLE.format(table=self._quoted)
        try:
            connection.execute(statement)
        except (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject):
            pass  # somebody else made it at the same moment, which IF NOT EXISTS does not see
        except errors.InsufficientPrivilege as error:
            raise PluginRegistryError(
                f"{self._name}: the table is not there, and this role may not make it ({_said(error)}); have it made, "
                f"with SELECT, INSERT and UPDATE granted: {statement}"
            ) from error

    # --- the connection -------------------------------------------------------------------------------------------

    def _done(self, work: Callable[[Any, bool], _T], unknown: str = "") -> _T:
        """What ``work`` gives on this process's connection; it is done once more if that breaks meanwhile."""
        line, is_repeated = self._line(), False
        with line.lock:
            while True:
                connection = None
                try:
                    connection = line.connection = self._working(line) or self._connected()
                    return work(connection, is_repeated)
                # ValueError: a host's name that is none, or a row that was written by hand.
                except (self._psycopg.Error, ValueError) as error:
                    if is_repeated or connection is None or not connection.closed:
                        told = f"{self._name}: {_said(error)}{_hint(_said(error))}{unknown if is_repeated else ''}"
                        raise PluginRegistryError(told) from error
                    is_repeated = True
                finally:
                    line.tidy()

    def _working(self, line: _Line) -> Any:
        """The connection, unless the server has ended it since it was used last."""
        try:
            for _ in range(2 if line.connection else 0):  # the server's farewell, and then the end
                line.connection.pgconn.consume_input()
        except self._psycopg.Error:
            line.cut()
        return line.connection

    def _connected(self) -> Any:
        # No statements prepared on the server: behind a pooler, the next one may go to another server process.
        return self._psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)

    def _line(self) -> _Line:
        return self._lines.setdefault(os.getpid(), _Line())

    @property
    def _name(self) -> str:
        return f"checkpoints in the table {self._table} ({self._place or 'a server that conninfo does not name'})"

    def __repr__(self) -> str:
        return f"PostgresCheckpoints({self._place!r}, table={self._table!r})"


@attrs.define(eq=False)
class _Line:
    """One process's connection, if it has one, and the lock of who uses it."""

    lock: threading.Lock = attrs.field(factory=threading.Lock)
    connection: Any = None

    def tidy(self) -> None:
        """Keep no connection that broke, or on which somebody was interrupted."""
        if self.connection is not None and self.connection.pgconn.transaction_status != _IDLE:
            self.cut()

    def cut(self) -> None:
        """Let go of the connection."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


# --- texts as they are stored ---------------------------------------------------------------------------------------


def _stored(text: str) -> str:
    """Any text as PostgreSQL takes it, whatever its encoding: NUL and half of a surrogate pair have no form there."""
    return json.dumps(text)


def _digest(stored: str) -> bytes:
    return hashlib.sha256(stored.encode("ascii")).digest()


def _address(scope: str, key: str) -> dict[str, Any]:
    texts = {"scope": _stored(check_text(scope, "scope")), "key": _stored(check_text(key, "key"))}
    return {**texts, **{f"{name}_digest": _digest(text) for name, text in texts.items()}}


# --- what hosts give ------------------------------------------------------------------------------------------------

_SHOWN: Final = ("service", "host", "hostaddr", "port", "dbname", "user")
"""What is shown of a connection string: nothing else, as there are secrets in it."""

_NAME: Final = re.compile(r"[^\W\d][\w$-]*")
_LONGEST_NAME: Final = 63
"""Bytes; PostgreSQL cuts what is longer, so that two names become one."""


def _quoted(table: str) -> str:
    """A table's name as it stands in SQL."""
    parts = table.split(".") if isinstance(table, str) else []
    if len(parts) not in (1, 2) or not all(
        _NAME.fullmatch(part) and len(part.encode()) <= _LONGEST_NAME for part in parts
    ):
        raise ValueError(
            f"table={shown(table)}: give a name, or schema.name, of letters, digits, '_', '-' and '$' "
            f"that does not begin with a digit, at most {_LONGEST_NAME} bytes each"
        )
    return ".".join(f'"{part}"' for part in parts)


def _defaults() -> dict[str, str]:
    # Of these, libpq knows PGCONNECT_TIMEOUT.
    return {name: value for name, value in _UNLESS_SAID.items() if f"PG{name.upper()}" not in os.environ}


def _parsed(conninfo: str, psycopg: Any) -> dict[str, Any]:
    """What a connection string says. Errors show nothing of it: what is misplaced in it may be a password."""
    if not isinstance(conninfo, str):
        raise TypeError(f"conninfo is a str, got {type(conninfo).__name__}")
    wrong = _fault_of_url(conninfo)
    try:
        given: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(conninfo)
    except (psycopg.Error, UnicodeError):
        given, wrong = {}, wrong or "it can't be read, or has options unknown there"
    wrong = wrong or _fault(given, conninfo)
    if wrong:
        raise ValueError(
            f"conninfo is no connection string of PostgreSQL: {wrong}; write 'host=… dbname=… user=…', with quotes "
            "around what has blanks in it, or 'postgresql://user@host/database', with %40 and %2F for @ and / in a "
            "password"
        )
    return given


def _fault_of_url(conninfo: str) -> str:
    """What is wrong with an address in which libpq would take a part of the password for something else."""
    scheme, _, rest = conninfo.partition("://")
    if scheme not in ("postgresql", "postgres"):
        return ""
    authority, _, path = rest.partition("/")
    if authority.count("@") > 1 or "@" in path.partition("?")[0]:
        return "an @ or a / in it stands where none may"
    return ""


def _fault(given: Mapping[str, str], conninfo: str) -> str:
    if "\0" in conninfo:
        return "it holds a NUL"
    if any(port and not (port.isdecimal() and int(port) <= 65_535) for port in given.get("port", "").split(",")):
        return "its port is no number of a port"
    if "@" in given.get("host", "")[1:] or "://" in given.get("dbname", ""):
        return "its host or dbname is an address of its own"
    return ""


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ImportError("PostgresCheckpoints needs psycopg: pip install 'dagstack-plugins[postgres]'") from error
    return psycopg


# --- what the server says -------------------------------------------------------------------------------------------

_QUESTION: Final = re.compile(r"\s+Is the server running .*\?")
"""libpq's own hint, again for each address that was tried."""


def _said(error: Exception) -> str:
    """Type and text of an error in one line; of a server's, its first part, as the rest may show states."""
    diagnosis = getattr(error, "diag", None)
    text = getattr(diagnosis, "message_primary", None) or str(error)
    text = " ".join(_QUESTION.sub("", text).split())
    return one_line(f"{type(error).__name__}: {text}")


_HINTS: Final = {
    "password authentication failed": "look at user and password in conninfo",
    "no password supplied": "conninfo names no password",
    "FATAL: database": "create the database, or correct dbname in conninfo",
    "failed to resolve host": "look at host in conninfo",
    "UnicodeError:": "look at host in conninfo",
    "Connection refused": "nobody answers there: look whether the server is up, and at host and port in conninfo",
    "No such file or directory": "nobody answers there: look whether the server is up, and at host in conninfo",
    "timeout expired": "nobody answers there: look whether the server is up, and at host and port in conninfo",
    "InsufficientPrivilege:": "the role needs SELECT, INSERT and UPDATE on the table, and USAGE of its schema",
    "InvalidSchemaName:": "create the schema, or correct table=",
    "UndefinedColumn:": "that table is another one's: give a table= of its own",
    "WrongObjectType:": "that is another one's, and no table: give a table= of its own",
    "InvalidColumnReference:": "that table is another one's: give a table= of its own",
    "ReadOnlySqlTransaction:": "this server is only read from; target_session_attrs=read-write finds the other one",
}


def _hint(said: str) -> str:
    return next((f"; {hint}" for sign, hint in _HINTS.items() if sign in said), "")
