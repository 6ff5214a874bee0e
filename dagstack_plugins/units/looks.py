"""What is asked of the file of the units, by whoever only looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.sqlite_files import connected

PUT: Final = "put_at IS NOT NULL AND put_at"
"""When a unit was put back, which is in the future if the clock was set back since; so written for its index."""


class Looks:
    """Reads units, on a connection of its own.

    Whoever only looks must not wait for a transaction, of another process maybe, that somebody here waits for.

    Args:
        path: the file, with its tables.
        now: tells the time, in seconds since 1970.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._looking = threading.Lock()
        self._looks = connected(path)

    def close(self) -> None:
        """Let go of the file."""
        with self._looking:
            self._looks.close()

    def find(self, unit: str) -> dict[str, Any] | None:
        """All that is known of a unit; ``None`` if there is none."""
        rows = self._rows("WHERE id = ?", [unit])
        return rows[0] if rows else None

    def search(self, *, after: str | None = None, limit: int = -1, **conditions: Any) -> list[dict[str, Any]]:
        """Units that fit all conditions given, the newest first.

        Args:
            after: only older ones than the unit of this id.
            limit: at most so many; all if negative.
            conditions: as ``ids`` has them.
        """
        where, values = _where(**conditions)
        if after is not None:
            where += " AND number < (SELECT number FROM units WHERE id = ?)"
            values.append(after)
        return self._rows(f"WHERE {where} ORDER BY number DESC LIMIT ?", [*values, limit])

    def ids(self, **conditions: Any) -> list[str]:
        """The ids of units that fit all conditions given, the newest first.

        Args:
            conditions: of its plugin, ``kind`` and ``plugin``; ``part``; ``states``, of which it has one; ``since`` and
                ``until``, seconds since 1970, between which it was queued.
        """
        where, values = _where(**conditions)
        return [unit for (unit,) in self._asked(f"SELECT id FROM units WHERE {where} ORDER BY number DESC", values)]

    def _rows(self, where: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        with self._looking:
            found = self._looks.execute(f"SELECT * FROM units {where}", values)
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found]
            for row in rows:
                if (row["result"] or "").startswith("#"):
                    query = "SELECT value FROM results WHERE hash = ?"
                    (row["result"],) = self._looks.execute(query, (row["result"][1:],)).fetchone()
            return rows

    def has_ready(self) -> bool:
        """Whether a unit waits to be taken."""
        now = self._now()
        conditions = "ready = 1", "due <= ?", f"{PUT} > ?"
        query = " OR ".join(f"EXISTS (SELECT 1 FROM units WHERE {condition})" for condition in conditions)
        return bool(self._asked(f"SELECT {query}", (now, now))[0][0])

    def _asked(self, query: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[Any]:
        with self._looking:
            return self._looks.execute(query, values).fetchall()


def _where(
    *,
    kind: str | None = None,
    plugin: str | None = None,
    part: str | None = None,
    states: Sequence[str] = (),
    since: float | None = None,
    until: float | None = None,
) -> tuple[str, list[Any]]:
    """Conditions as SQL, and their values."""
    given = {"kind = ?": kind, "plugin = ?": plugin, "part = ?": part, "queued_at >= ?": since, "queued_at < ?": until}
    found = {condition: value for condition, value in given.items() if value is not None}
    conditions = ["1", *found]
    if states:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
    return " AND ".join(conditions), [*found.values(), *states]
