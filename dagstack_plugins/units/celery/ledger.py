"""The ledger in Redis: each change is one call of ``ledger.lua``, which Redis does as a whole or not at all."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, ClassVar, Final

import attrs
import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from dagstack_plugins.checkpoints import check_expected
from dagstack_plugins.errors import UnitRefused
from dagstack_plugins.units.records import ENDED, Lease, Superseded, Wanted

PREFIX: Final = "{dagstack}"
"""Of all keys; the braces keep them together on one server of a cluster."""
_STATES: Final = ("queued", "running", *ENDED)
_CONNECT: Final = 3.0
"""Seconds to wait for a connection."""
_ANSWER: Final = 10.0
"""Seconds to wait for an answer."""
_RETRIES: Final = 6
"""With the pauses between them, these bridge a restart of Redis, and tell of one that is not there in seconds."""
_SMALL: Final = 100_000
"""Characters that any Redis takes."""
_LONGEST: Final = 512 * 1024 * 1024
"""Bytes that Redis takes in one piece, unless it says otherwise."""
_AT_ONCE: Final = 1000
"""Units that one call changes, at most, so that others have their turn."""
_PAGE: Final = 500
"""Units that are read at once."""

Send = Callable[[str, str, int], None]
"""Sends a unit's message: its id, the queue, the priority in it, 0 (first) to 9."""


@attrs.frozen
class Taken(Lease):
    """A lease, with the token that Redis knows it by."""

    token: str


@attrs.frozen
class Kept:
    """What was seen when the ledger was looked after.

    Attributes:
        crews: all crews, and how often each has beaten.
        overtaken: units whose messages are on their way, though later ones have arrived.
        lanes: queues and priorities in which messages are on their way.
    """

    crews: Mapping[str, int]
    overtaken: Sequence[str]
    lanes: Sequence[str]


class RedisLedger:
    """The units in one database of a Redis server; safe for threads, processes, machines.

    Args:
        url: the database's, ``redis://…`` or ``rediss://…``.
        lane: names the queue and the priority of a unit's message, as ``queue priority``.
        send: sends a message; it may fail, and is asked again then.

    Raises:
        ValueError: if that is no such address.
    """

    troubles: ClassVar[tuple[type[Exception], ...]] = (redis.RedisError,)
    closed: ClassVar[tuple[type[Exception], ...]] = (redis.AuthenticationError,)
    silent: ClassVar[tuple[type[Exception], ...]] = (redis.TimeoutError,)
    away: ClassVar[tuple[type[Exception], ...]] = (redis.ConnectionError, redis.TimeoutError)

    def __init__(self, url: str, lane: Callable[[Wanted], str], send: Send) -> None:
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="surrogatepass",  # half of a surrogate pair, as in the names of some files
            socket_connect_timeout=_CONNECT,
            socket_timeout=_ANSWER,
            # Without health checks, as a Redis that has no room on its disk answers who reads, but no PING.
            # Who does not answer in time is not asked again: it may be no Redis, or speak TLS where we do not.
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), _RETRIES, (redis.ConnectionError,)),
        )
        self._lane = lane
        self._send = send
        self._script = self._redis.register_script(files(__package__).joinpath("ledger.lua").read_text("utf-8"))
        self._longest: int | None = None

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def facts(self) -> Mapping[str, str]:
        """Settings of the server that matter here; none where it does not tell."""
        try:
            found: Any = self._redis.config_get("appendonly", "maxmemory-policy", "proto-max-bulk-len")
        except redis.ResponseError:  # servers of providers keep that to themselves
            return {}
        told: dict[str, str] = found
        return told

    def _call(self, command: str, *args: Any) -> Any:
        for text in args:
            if isinstance(text, str) and len(text) > _SMALL:
                self._check_size(text)
        return self._script(keys=[PREFIX], args=[command, *args])

    def _check_size(self, text: str) -> None:
        """Redis drops the connection on which more comes than it takes, and does not say why."""
        if self._longest is None:
            self._longest = int(self.facts().get("proto-max-bulk-len", _LONGEST))
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > self._longest:
            raise UnitRefused(
                f"{size:,} bytes are more than Redis takes in one piece, which is {self._longest:,} "
                "(proto-max-bulk-len): keep them in a file or a blob store, and hand over their name"
            )

    def _posted(self, sending: Sequence[str]) -> None:
        """Send the messages that a change asks for; of those that are lost, another keeper finds out."""
        for unit, lane in zip(sending[::2], sending[1::2], strict=True):
            queue, _, priority = lane.rpartition(" ")
            self._send(unit, queue, int(priority))

    # In

    def add(self, wanted: Wanted) -> tuple[str, bool]:
        """Queue a unit; its id, and whether there was one of its key already."""
        unit = uuid.uuid4().hex
        fields = {
            "id": unit,
            "kind": wanted.kind,
            "plugin": wanted.plugin,
            "hook": wanted.hook,
            "args": wanted.args,
            "code": wanted.code,
            "key": wanted.key or "",
            "part": wanted.part or "",
            "lane": self._lane(wanted),
            "not_before": "" if wanted.not_before is None else wanted.not_before,
            "patience": _patience(wanted.expires_at),
        }
        given = [text for pair in fields.items() for text in pair]
        found, known, sending = self._call("add", unit, wanted.key or "", *given)
        self._posted(sending)
        return found, known == "1"

    # Out

    def take(self, unit: str, crew: str) -> Taken | None:
        """Give a crew the unit of a message; ``None`` if it is not to be done now."""
        token = uuid.uuid4().hex
        found, sending = self._call("take", unit, crew, token)
        self._posted(sending)
        if found is None:
            return None
        number, kind, plugin, hook, args, code, attempts, losses = found
        return Taken(
            int(number), unit, kind, plugin, hook, args, code, int(attempts), int(losses), crew=crew, token=token
        )

    # Ends

    def succeed(self, lease: Lease, result: str, digest: str | None = None) -> None:
        """An attempt has a result; raises ``Superseded`` if the unit is somebody else's by now."""
        self._finish(lease, "succeeded", "", result, digest or "")

    def fail(self, lease: Lease, error: Mapping[str, Any]) -> None:
        """The unit failed; raises ``Superseded`` if it is somebody else's by now."""
        self._finish(lease, "failed", json.dumps(error), "", "")

    def drop(self, lease: Lease) -> None:
        """The unit ended as it was cancelled; raises ``Superseded`` if it is somebody else's by now."""
        self._finish(lease, "cancelled", "", "", "")

    def _finish(self, lease: Lease, *how: str) -> None:
        self._ended(lease, self._call("finish", lease.id, _token(lease), *how))

    def put_back(
        self, lease: Lease, seconds: float, error: Mapping[str, Any] | None = None, *, counts: bool = True
    ) -> None:
        """The unit is tried again later; raises ``Superseded`` if it is somebody else's by now."""
        self._put_back(lease, seconds, error, "attempt" if counts else "", 0)

    def refuse(self, lease: Lease, seconds: float, error: Mapping[str, Any], most: int) -> None:
        """The unit can't be done by this crew: others try later, unless it was lost or refused too often by now."""
        self._put_back(lease, seconds, error, "loss", most)

    def _put_back(self, lease: Lease, seconds: float, error: Mapping[str, Any] | None, counts: str, most: int) -> None:
        told = json.dumps(error) if error else ""
        self._ended(lease, self._call("put_back", lease.id, _token(lease), seconds, told, counts, most))

    def _ended(self, lease: Lease, answer: Any) -> None:
        mine, sending = answer
        self._posted(sending)
        if mine == "0":
            raise Superseded(lease.id)

    # Checkpoints

    def save(self, lease: Lease, scope: str, key: str, state: str, expected: int | None = None) -> tuple[int, bool]:
        """Keep a state of a unit; its version, and whether the unit is still wanted."""
        named = "" if expected is None else expected
        told, version, cancel = self._call(
            "save", lease.id, _token(lease), _field(scope, key), state, named, uuid.uuid4().hex
        )
        if told == "0":
            raise Superseded(lease.id)
        if told == "2":
            check_expected(json.loads(key), expected, int(version))
        return int(version), not cancel

    def load(self, lease: Lease, scope: str, key: str) -> tuple[str, int]:
        """A state, as JSON text, and its version; ``("null", 0)`` for none."""
        found: Any = self._redis.hget(f"{PREFIX}:saved:{lease.id}", _field(scope, key))
        if found is None:
            return "null", 0
        version, _, state = found.split(" ", 2)
        return state, int(version)

    def keys(self, lease: Lease, scope: str) -> list[str]:
        """The keys that a unit has states under, sorted."""
        fields: Any = self._redis.hkeys(f"{PREFIX}:saved:{lease.id}")
        return sorted(json.dumps(key) for found, key in map(json.loads, fields) if found == scope)

    # Who works, and what became of it

    def tell(self, progress: Sequence[tuple[Lease, float | None, str]]) -> None:
        """How far units are: for each attempt its percent, and what it said."""
        if progress:
            told = [(lease.id, _token(lease), "" if at is None else at, words) for lease, at, words in progress]
            self._call("tell", *(part for one in told for part in one))

    def look(self, crew: str, *, beats: bool) -> dict[str, tuple[str, bool]]:
        """The attempts that Redis knows a crew to have: by token, their units, and whether nobody wants them."""
        found = self._call("look", crew, int(beats))
        return {
            token: (unit, bool(cancel)) for token, cancel, unit in zip(*(found[at::3] for at in range(3)), strict=True)
        }

    def lost(self, unit: str, token: str) -> None:
        """Nobody works on an attempt: whoever asked for it never heard that it had it."""
        (sending,) = self._call("lost", unit, token)
        self._posted(sending)

    def bury(self, crew: str, most: int) -> int:
        """A crew is dead: others take what it had, from the last checkpoint; how many units that were."""
        had, sending = self._call("bury", crew, most)
        self._posted(sending)
        return int(had)

    def keep(self, seconds: float) -> Kept:
        """Send what has come to its time, expire what was not begun in time, forget what ended so many seconds ago."""
        sending, crews, overtaken, lanes = self._call("keep", _AT_ONCE, seconds)
        self._posted(sending)
        beats = {crew: int(count) for crew, count in zip(crews[::2], crews[1::2], strict=True)}
        return Kept(beats, overtaken, lanes)

    def under_way(self, lane: str) -> Sequence[str]:
        """Units whose messages were sent in a lane, and have not arrived."""
        found: Sequence[str] = self._call("under_way", lane, _AT_ONCE)
        return found

    def resend(self, units: Sequence[str]) -> None:
        """Send the messages of units again, which were lost."""
        (sending,) = self._call("resend", *units)
        self._posted(sending)

    # Changes from outside

    def cancel(self, unit: str) -> str | None:
        """Nobody wants a unit any more; its state then, ``None`` if there is no such unit."""
        state, sending = self._call("cancel", unit)
        self._posted(sending)
        return state or None

    def again(self, unit: str, expires_at: float | None = None, code: str = "") -> bool:
        """Queue a copy of a unit that has ended, for the plugin's code as it is now; whether it had ended."""
        done, sending = self._call("again", unit, uuid.uuid4().hex, _patience(expires_at), code)
        self._posted(sending)
        return bool(done == "1")

    # Looks

    def find(self, unit: str) -> dict[str, Any] | None:
        """All that is known of a unit; ``None`` if there is none."""
        row = next(self._rows([unit]), None)
        if row is not None and row["state"] == "succeeded":
            result: Any = self._redis.hget(f"{PREFIX}:unit:{unit}", "result")
            row["result"] = self._redis.hget(f"{PREFIX}:results", result[1:]) if result.startswith("#") else result
        return row

    def search(self, *, after: str | None = None, limit: int = -1, **conditions: Any) -> list[dict[str, Any]]:
        """Units that fit all conditions given, the newest first; conditions as the local ledger has them."""
        found: list[dict[str, Any]] = []
        fits_all = not any(value is not None for name, value in conditions.items() if name != "states")
        page = min(limit, _PAGE) if fits_all and limit > 0 else _PAGE
        for row in self._found(after, page, **conditions):
            if len(found) == limit:
                break
            found.append(row)
        return found

    def ids(self, **conditions: Any) -> list[str]:
        """The ids of units that fit all conditions given, the newest first."""
        return [row["id"] for row in self._found(None, _PAGE, **conditions)]

    def _found(
        self,
        after: str | None,
        size: int,
        *,
        states: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
        **fields: Any,
    ) -> Iterator[dict[str, Any]]:
        last = "+inf"
        if after is not None:
            number: Any = self._redis.hget(f"{PREFIX}:unit:{after}", "number")
            if number is None:
                return
            last = f"({number}"
        wanted = {name: value for name, value in fields.items() if value is not None}
        while page := self._page(states or _STATES, last, size):
            last = f"({page[-1][1]:.0f}"
            for row in self._rows([unit for unit, _ in page]):
                fits = all(row[name] == value for name, value in wanted.items())
                if (
                    fits
                    and (since is None or row["queued_at"] >= since)
                    and (until is None or row["queued_at"] < until)
                ):
                    yield row

    def _page(self, states: Sequence[str], last: str, size: int) -> list[tuple[str, float]]:
        """The newest units in any of some states, with their numbers."""
        asked = self._redis.pipeline(transaction=True)  # one moment's: a unit that changes its state is seen once
        for state in dict.fromkeys(states):
            asked.zrevrangebyscore(f"{PREFIX}:state:{state}", last, "-inf", 0, size, withscores=True)
        found = [(unit, number) for answer in asked.execute() for unit, number in answer]
        return sorted(found, key=lambda one: -one[1])[:size]

    def _rows(self, units: Sequence[str]) -> Iterator[dict[str, Any]]:
        asked = self._redis.pipeline(transaction=False)
        for unit in units:
            asked.hmget(f"{PREFIX}:unit:{unit}", *_FIELDS)
        yield from (_row(found) for found in asked.execute() if found[0] is not None)


_FIELDS: Final = (
    *("id", "kind", "plugin", "hook", "part", "state", "attempts", "progress", "message", "error"),
    *("queued_at", "started_at", "finished_at"),
)
"""What is told of a unit; its payload and its result may be large, and are read on their own."""
_NUMBERS: Final = ("queued_at", "started_at", "finished_at", "progress")


def _row(found: Sequence[str | None]) -> dict[str, Any]:
    """A unit as the local ledger tells of it."""
    row: dict[str, Any] = {name: value or None for name, value in zip(_FIELDS, found, strict=True)}
    for name in _NUMBERS:
        if row[name] is not None:
            row[name] = float(row[name])
    row["attempts"] = int(row["attempts"])
    return row


def _token(lease: Lease) -> str:
    assert isinstance(lease, Taken)
    return lease.token


def _field(scope: str, key: str) -> str:
    """A place of a checkpoint; the key is JSON already, whatever is in it."""
    return f"[{json.dumps(scope)},{key}]"


def _patience(expires_at: float | None) -> str | float:
    """Seconds from now on, as the server's clock and ours may differ."""
    return "" if expires_at is None else max(0.0, expires_at - time.time())
