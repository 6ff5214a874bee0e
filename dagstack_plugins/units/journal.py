"""The queue: which unit is next, who has it, and how it ended; every change is one transaction on the disk."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from dagstack_plugins.checkpoints import check_expected
from dagstack_plugins.units.looks import PUT as _PUT
from dagstack_plugins.units.looks import Looks
from dagstack_plugins.units.records import Lease, Superseded, Wanted
from dagstack_plugins.units.tables import opened

_OPEN: Final = "state IN ('queued', 'running')"
_TAKE: Final = (
    "SELECT number, id, kind, plugin, hook, args, code, attempts, losses, turn, part, expires_at, started_at "
    "FROM units WHERE ready = 1 ORDER BY priority DESC, turn, number LIMIT 1"
)
_TAKE_OF: Final = _TAKE.replace("ready = 1", "ready = 1 AND kind || '/' || plugin IN (SELECT value FROM json_each(?))")
_FIRST: Final = "NOT EXISTS (SELECT 1 FROM units WHERE part = :part AND state IN ('queued', 'running'))"


class Journal(Looks):
    """The units in one file; safe for threads and for several processes.

    Args:
        path: the file.
        now: tells the time, in seconds since 1970.
    """

    troubles: ClassVar[tuple[type[Exception], ...]] = (sqlite3.Error,)

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._lock = threading.RLock()
        self._connection = opened(path)
        super().__init__(path, now)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
        super().close()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is done inside, by this thread, is on the disk afterwards, or nothing is."""
        with self._lock:
            connection = self._connection
            if connection.in_transaction:  # of a larger one
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    # In

    def add(self, wanted: Wanted) -> tuple[str, bool]:
        """Queue a unit.

        Returns:
            Its id, and whether there was one of its key already: then it is that one's, and nothing was queued.
        """
        with self.changing() as connection:
            if wanted.key is not None:
                found = connection.execute(
                    "SELECT id FROM units WHERE key = ? AND state IN ('queued', 'running', 'succeeded')", (wanted.key,)
                ).fetchone()
                if found is not None:
                    return found[0], True
            return self._insert(connection, wanted), False

    def _insert(self, connection: sqlite3.Connection, wanted: Wanted) -> str:
        now, unit = self._now(), uuid.uuid4().hex
        late = wanted.not_before is not None and wanted.not_before > now
        first = wanted.part is None or connection.execute(f"SELECT {_FIRST}", {"part": wanted.part}).fetchone()[0]
        connection.execute(
            "INSERT INTO units (id, kind, plugin, hook, args, code, key, part, priority, state, ready, due, turn, "
            "queued_at, not_before, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)",
            (
                unit,
                wanted.kind,
                wanted.plugin,
                wanted.hook,
                wanted.args,
                wanted.code,
                wanted.key,
                wanted.part,
                wanted.priority,
                bool(first and not late),
                wanted.not_before if first and late else None,
                _turn(connection, wanted.part) if first and not late else 0,
                now,
                wanted.not_before,
                wanted.expires_at,
            ),
        )
        return unit

    # Out

    def take(self, crew: str, plugins: Collection[str] | None = None) -> Lease | None:
        """Give a crew the unit whose turn it is; ``None`` if there is none now.

        Args:
            crew: the crew.
            plugins: those that it has, as ``kind/name``; by default any.
        """
        now = self._now()
        query, values = (_TAKE, ()) if plugins is None else (_TAKE_OF, (json.dumps(list(plugins)),))
        with self.changing() as connection:
            # One that was taken for dead, as it slept, is known again before it has anything that could be lost.
            connection.execute("INSERT OR IGNORE INTO crews VALUES (?, '', 0)", (crew,))
            self._wake(connection, now)
            while True:
                found = connection.execute(query, values).fetchone()
                if found is None:
                    return None
                number, unit, kind, plugin, hook, args, code, attempts, losses, turn, part, expires_at, begun = found
                if expires_at is not None and expires_at <= now and begun is None:
                    self._end(connection, number, part, "expired", now)
                    continue
                connection.execute(
                    "UPDATE units SET state = 'running', ready = 0, crew = ?, attempts = attempts + 1, started_at = ? "
                    "WHERE number = ?",
                    (crew, now, number),
                )
                connection.execute("UPDATE turns SET served = max(served, ?)", (turn,))
                return Lease(number, unit, kind, plugin, hook, args, code, attempts + 1, losses, crew)

    def _wake(self, connection: sqlite3.Connection, now: float) -> None:
        """Those that wait for a moment which has come are ready."""
        # What was put back in the future was put back by a clock that has been set back since.
        query = f"SELECT number, part FROM units WHERE due <= ? UNION SELECT number, part FROM units WHERE {_PUT} > ?"
        for number, part in connection.execute(query, (now, now)).fetchall():
            connection.execute(
                "UPDATE units SET ready = 1, due = NULL, put_at = NULL, turn = ? WHERE number = ?",
                (_turn(connection, part), number),
            )

    # Ends

    def succeed(self, lease: Lease, result: str, digest: str | None = None) -> None:
        """An attempt has a result.

        Args:
            lease: the attempt.
            result: what the hook returned, as JSON text.
            digest: names it, where equal results are kept once.

        Raises:
            Superseded: if the unit is somebody else's by now.
        """
        with self._ending(lease) as (connection, part):
            if digest is not None:
                connection.execute("INSERT OR IGNORE INTO results VALUES (?, ?)", (digest, result))
                result = f"#{digest}"
            self._end(connection, lease.number, part, "succeeded", self._now(), result=result)
            connection.execute("DELETE FROM checkpoints WHERE number = ?", (lease.number,))

    def fail(self, lease: Lease, error: Mapping[str, Any]) -> None:
        """The unit failed, and is not tried again.

        Raises:
            Superseded: if the unit is somebody else's by now.
        """
        with self._ending(lease) as (connection, part):
            self._end(connection, lease.number, part, "failed", self._now(), error=json.dumps(error))

    def drop(self, lease: Lease) -> None:
        """The unit ended as it was cancelled.

        Raises:
            Superseded: if the unit is somebody else's by now.
        """
        with self._ending(lease) as (connection, part):
            self._end(connection, lease.number, part, "cancelled", self._now())

    def put_back(
        self, lease: Lease, seconds: float, error: Mapping[str, Any] | None = None, *, counts: bool = True
    ) -> None:
        """The unit is tried again later.

        Args:
            lease: the attempt.
            seconds: how much later.
            error: why.
            counts: whether this was an attempt.

        Raises:
            Superseded: if the unit is somebody else's by now.
        """
        with self._ending(lease) as (connection, part):
            if _is_cancelled(connection, lease.number):
                self._end(connection, lease.number, part, "cancelled", self._now())
                return
            connection.execute(
                "UPDATE units SET state = 'queued', crew = NULL, due = :now + :seconds, put_at = :now, error = :error, "
                "attempts = attempts - :free WHERE number = :number",
                {
                    "now": self._now(),
                    "seconds": seconds,
                    "error": json.dumps(error) if error else None,
                    "free": not counts,
                    "number": lease.number,
                },
            )

    @contextmanager
    def _ending(self, lease: Lease) -> Iterator[tuple[sqlite3.Connection, str | None]]:
        with self.changing() as connection:
            yield connection, _held(connection, lease)

    def _end(
        self,
        connection: sqlite3.Connection,
        number: int,
        part: str | None,
        state: str,
        now: float,
        *,
        result: str | None = None,
        error: str | None = None,
    ) -> None:
        connection.execute(
            "UPDATE units SET state = ?, finished_at = ?, result = ?, error = coalesce(?, error), crew = NULL, "
            "ready = 0, due = NULL, put_at = NULL WHERE number = ?",
            (state, now, result, error, number),
        )
        if part is not None:
            self._advance(connection, part, now)

    def _advance(self, connection: sqlite3.Connection, part: str, now: float) -> None:
        """The first of a partition that waits comes up, if nothing of it is at work."""
        found = connection.execute(
            f"SELECT number, state, ready, due, not_before FROM units WHERE part = ? AND {_OPEN} "
            "ORDER BY number LIMIT 1",
            (part,),
        ).fetchone()
        if found is None:
            return
        number, state, ready, due, not_before = found
        if state == "running" or ready or due is not None:
            return
        if not_before is not None and not_before > now:
            connection.execute("UPDATE units SET due = ? WHERE number = ?", (not_before, number))
        else:
            turn = _turn(connection, part)
            connection.execute("UPDATE units SET ready = 1, turn = ? WHERE number = ?", (turn, number))

    # Crews

    def beat(self, crew: str, place: str = "") -> bool:
        """A crew is alive; whether others knew.

        Args:
            crew: the crew.
            place: its process.
        """
        with self.changing() as connection:
            known = connection.execute("SELECT 1 FROM crews WHERE id = ?", (crew,)).fetchone() is not None
            connection.execute(
                "INSERT INTO crews VALUES (?, ?, 1) "
                "ON CONFLICT DO UPDATE SET place = excluded.place, beats = beats + 1",
                (crew, place),
            )
            return known

    def crews(self) -> dict[str, tuple[int, str]]:
        """All crews: how often each has beaten, and where it is."""
        return {crew: (beats, place) for crew, beats, place in self._asked("SELECT id, beats, place FROM crews")}

    def bury(self, crew: str, most: int) -> int:
        """A crew is dead: what it had is taken by others, from the last checkpoint.

        Args:
            crew: the crew.
            most: how often a unit may lose its crew, before it is given up.

        Returns:
            How many units it had.
        """
        now = self._now()
        with self.changing() as connection:
            connection.execute("DELETE FROM crews WHERE id = ?", (crew,))
            had = connection.execute("SELECT number, part, losses FROM units WHERE crew = ?", (crew,)).fetchall()
            for number, part, losses in had:
                if _is_cancelled(connection, number):
                    self._end(connection, number, part, "cancelled", now)
                elif losses + 1 > most:
                    told = {"type": "WorkerLost", "message": f"the process that worked on it died {losses + 1} times"}
                    self._end(connection, number, part, "failed", now, error=json.dumps(told))
                else:
                    connection.execute(
                        "UPDATE units SET state = 'queued', ready = 1, crew = NULL, losses = losses + 1 "
                        "WHERE number = ?",
                        (number,),
                    )
            return len(had)

    def orphans(self) -> list[str]:
        """Crews that have units, and that nobody knows."""
        query = "SELECT DISTINCT crew FROM units WHERE crew IS NOT NULL AND crew NOT IN (SELECT id FROM crews)"
        return [crew for (crew,) in self._asked(query)]

    def unwanted(self, crew: str) -> list[int]:
        """The units that a crew has and nobody wants any more."""
        return [number for (number,) in self._asked("SELECT number FROM units WHERE crew = ? AND cancel = 1", (crew,))]

    def tell(self, progress: Sequence[tuple[Lease, float | None, str]]) -> None:
        """How far units are.

        Args:
            progress: for each attempt its percent, and what it said.
        """
        if progress:
            with self.changing() as connection:
                for lease, percent, message in progress:
                    connection.execute(
                        "UPDATE units SET progress = coalesce(?, progress), message = ? "
                        "WHERE number = ? AND crew = ? AND attempts = ?",
                        (percent, message, lease.number, lease.crew, lease.attempt),
                    )

    # Checkpoints

    def save(self, lease: Lease, scope: str, key: str, state: str, expected: int | None = None) -> tuple[int, bool]:
        """Keep a state of a unit.

        Returns:
            Its version, and whether the unit is still wanted.

        Raises:
            Superseded: if the unit is somebody else's by now; nothing was kept.
            CheckpointConflict: if another version than ``expected`` is there; nothing was kept.
        """
        with self.changing() as connection:
            _held(connection, lease)
            if expected is not None:
                check_expected(json.loads(key), expected, self.load(lease, scope, key)[1])
            connection.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE "
                "SET version = version + 1, state = excluded.state",
                (lease.number, scope, key, state),
            )
            (version, cancel) = connection.execute(
                "SELECT c.version, u.cancel FROM checkpoints c JOIN units u USING (number) "
                "WHERE c.number = ? AND c.scope = ? AND c.key = ?",
                (lease.number, scope, key),
            ).fetchone()
            return version, not cancel

    def load(self, lease: Lease, scope: str, key: str) -> tuple[str, int]:
        """A state, as JSON text, and its version; ``("null", 0)`` for none."""
        found = self._asked(
            "SELECT state, version FROM checkpoints WHERE number = ? AND scope = ? AND key = ?",
            (lease.number, scope, key),
        )
        return found[0] if found else ("null", 0)

    def keys(self, lease: Lease, scope: str) -> list[str]:
        """The keys that a unit has states under, sorted."""
        query = "SELECT key FROM checkpoints WHERE number = ? AND scope = ? ORDER BY key"
        return [key for (key,) in self._asked(query, (lease.number, scope))]

    def set_code(self, lease: Lease, code: str) -> None:
        """What the plugin's code is that works on a unit, which has no checkpoints."""
        with self.changing() as connection:
            connection.execute("UPDATE units SET code = ? WHERE number = ?", (code, lease.number))

    def has_checkpoints(self, lease: Lease) -> bool:
        """Whether a unit has any state."""
        return bool(self._asked("SELECT 1 FROM checkpoints WHERE number = ? LIMIT 1", (lease.number,)))

    # Changes from outside

    def again(self, unit: str, expires_at: float | None = None) -> bool:
        """Queue a copy of a unit that has ended, in whose place it does its key's work; whether it had ended."""
        with self.changing() as connection:
            row = connection.execute(
                "SELECT number, kind, plugin, hook, args, code, key, part, priority FROM units "
                "WHERE id = ? AND finished_at IS NOT NULL",
                (unit,),
            ).fetchone()
            if row is None:
                return False
            number, *copied = row
            connection.execute("UPDATE units SET key = NULL WHERE number = ?", (number,))
            if copied[5] is not None:  # another of this key may have been queued since
                taken = connection.execute(
                    "SELECT 1 FROM units WHERE key = ? AND state IN ('queued', 'running', 'succeeded')", (copied[5],)
                ).fetchone()
                copied[5] = None if taken else copied[5]
            self._insert(connection, attrs.evolve(Wanted(*copied), expires_at=expires_at))
            return True

    def cancel(self, unit: str) -> str | None:
        """Nobody wants a unit any more; its state then, ``None`` if there is no such unit."""
        with self.changing() as connection:
            found = connection.execute("SELECT number, part, state FROM units WHERE id = ?", (unit,)).fetchone()
            if found is None:
                return None
            number, part, state = found
            if state == "queued":
                self._end(connection, number, part, "cancelled", self._now())
                return "cancelled"
            if state == "running":
                connection.execute("UPDATE units SET cancel = 1 WHERE number = ?", (number,))
            return str(state)

    def tidy(self, keep: float, at_once: int = 1000) -> int:
        """Expire what nobody took in time, and forget what ended long ago.

        Args:
            keep: seconds that an ended unit is kept.
            at_once: how many at most are forgotten, so that others have their turn.

        Returns:
            How many were forgotten.
        """
        now = self._now()
        with self.changing() as connection:
            late = connection.execute(
                "SELECT number, part FROM units "
                "WHERE expires_at <= ? AND state = 'queued' AND started_at IS NULL LIMIT ?",
                (now, at_once),
            ).fetchall()
            for number, part in late:
                self._end(connection, number, part, "expired", now)
            gone = connection.execute(
                "DELETE FROM units WHERE number IN (SELECT number FROM units WHERE finished_at < ? LIMIT ?)",
                (now - keep, at_once),
            ).rowcount
            if gone:
                connection.execute(
                    "DELETE FROM results WHERE hash NOT IN (SELECT substr(result, 2) FROM units WHERE result LIKE '#%')"
                )
            return gone


def _held(connection: sqlite3.Connection, lease: Lease) -> str | None:
    """The partition of an attempt's unit.

    Raises:
        Superseded: if it isn't this attempt's any more.
    """
    found = connection.execute(
        "SELECT part FROM units WHERE number = ? AND crew = ? AND attempts = ? AND state = 'running'",
        (lease.number, lease.crew, lease.attempt),
    ).fetchone()
    if found is None:
        raise Superseded(lease.id)
    part: str | None = found[0]
    return part


def _is_cancelled(connection: sqlite3.Connection, number: int) -> bool:
    return bool(connection.execute("SELECT cancel FROM units WHERE number = ?", (number,)).fetchone()[0])


def _turn(connection: sqlite3.Connection, part: str | None) -> int:
    """When a unit's turn comes: each partition gets one for each turn, all units without one another.

    It is start-time fair queueing with equal weights (Goyal, Vin, Cheng 1996): a partition that was idle begins where
    the others are, so that it neither waits for their backlogs nor makes up for its silence.
    """
    served, given = connection.execute("SELECT served, given FROM turns").fetchone()
    if part is not None:
        return int(served) + 1
    turn = max(served, given) + 1
    connection.execute("UPDATE turns SET given = ?", (turn,))
    return int(turn)
