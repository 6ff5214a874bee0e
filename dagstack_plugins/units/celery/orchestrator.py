"""``CeleryOrchestrator``: units of work on many machines, by workers of Celery."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginError, PluginUnavailable
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.units.attempt import Attempt
from dagstack_plugins.units.orchestrating import AWAY, OPTIONS, Ending, Orchestrating, told_of
from dagstack_plugins.units.places import here
from dagstack_plugins.units.records import Lease, Superseded, Wanted
from dagstack_plugins.wording import raised, said

BROKER: Final = "redis://localhost:6379/0"
"""Where units are, unless somebody says otherwise."""
QUEUE: Final = "dagstack-units"
"""Celery's queue of units that go to no other."""
_ORDINARY: Final = 5
"""Redis knows ten priorities, 0 the first: the kind's 0 is in the middle."""
_ELSEWHERE: Final = 5.0
"""Seconds until a unit is sent again that came to a worker without its plugin."""
_TROUBLE: Final = 1.0
"""Seconds between two attempts at what Redis refused."""
_log: Final = logging.getLogger("dagstack_plugins.units")


class CeleryOrchestrator(Orchestrating):
    """Units of work on as many machines as there are workers, each ``celery -A dagstack_plugins.units.celery worker``.

    Celery brings each unit to a worker; what is known of the units is in Redis, beside Celery's queues. A message is
    but a unit's id, and a hint: it may come twice or be lost. Who has a unit, and how it ended, is decided in Redis.

    Units of one partition are done in order as only the first of them has a message: whoever ends it sends that of the
    next. Were all of them in the queue, workers would have to hold those whose turn has not come, or to put them back.

    Args:
        broker: the address of a Redis database, ``redis://host:port/number`` or ``rediss://…``; by default what the
            configuration says.

    Attributes:
        keeps: whether it looks after all units, for those who died; false for who only looks, and may not know the
            deployment's configuration.
        manifest: what it is registered with.
        config_schema: what its section of the configuration may say.

    .. versionadded:: 0.1
    """

    manifest: ClassVar[Mapping[str, Any]] = {
        "name": "celery",
        "kind": "orchestrator",
        "runtime": "in_process",
        "core_version": ">=0.1",
        "description": "Units of work on Celery, with Redis.",
        "in_process_only": True,
        "teardown_timeout_sec": 20,
    }
    config_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "broker": {
                "type": "string",
                "description": f"A Redis database; by default {BROKER}.",
            },
            "queue": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_.:-]{1,200}$",
                "default": QUEUE,
                "description": "Celery's queue, which workers read by default.",
            },
            "queues": {
                "type": "object",
                "propertyNames": {"pattern": "^[^/]+/[^/]+$"},
                "additionalProperties": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,200}$"},
                "default": {},
                "description": "Other queues, by plugin, as kind/name; workers read them with -Q.",
            },
            **OPTIONS,
        },
    }

    def __init__(self, broker: str | None = None) -> None:
        self._broker = broker
        self.keeps = True

    def setup(self, ctx: PluginContext) -> None:
        """Find out what is needed; Redis itself may come later."""
        # Imported here: whoever looks at this class must not need Celery and Redis.
        try:
            from dagstack_plugins.units.celery.keeper import Keeper
            from dagstack_plugins.units.celery.ledger import RedisLedger
            from dagstack_plugins.units.celery.messages import Messages
        except ImportError as error:
            raise ImportError(f"Celery is needed: pip install 'dagstack-plugins[celery]' ({error})") from error
        config = ctx.config
        self._queue: str = config["queue"]
        self._queues: Mapping[str, str] = config["queues"]
        self._losses: int = config["max_losses"]
        broker = self.broker_of(config)
        try:
            place_of(config.get("broker", broker))  # also where it does not count, as it will one day
            place = place_of(broker)
            self._messages = Messages(broker)
            self._redis = RedisLedger(broker, self._lane, self._messages.send)
        except ValueError as error:
            raise PluginError(said(error)) from None
        self._open(ctx, self._redis, place)
        self._stopping = threading.Event()
        self.crew = f"{uuid.uuid4().hex} {here()}"
        self._keeper = Keeper(
            self._redis,
            self._messages,
            self.crew,
            patience=config["lease_sec"],
            most=config["max_losses"],
            keep=config["keep_days"] * 86400,
            place=place,
        )
        if self.keeps:
            self._keeper.start()

    def broker_of(self, config: Mapping[str, Any]) -> str:
        """The address of its Redis database, with its section of the configuration."""
        return str(self._broker or config.get("broker", BROKER))

    def teardown(self) -> None:
        """Look after the units no more, and give back what is still at work here."""
        self._stopping.set()
        self._keeper.stop()
        self._messages.close()
        self._redis.close()

    # For workers

    def begin(self, name: str, leaving: Callable[[], bool]) -> None:
        """This process works on units.

        Args:
            name: what it is called, for messages.
            leaving: tells whether it is to end soon: what runs stops at its next checkpoint, for others to go on with.
        """
        self._name = name
        self._keeper.work(leaving)

    def check(self) -> None:
        """Warn of settings of Redis that may lose units; raises what Redis does when it can't be reached."""
        self._keeper.check()

    def work(self, unit: str) -> None:
        """Do the unit of a message, unless it was done, or is in other hands."""
        lease = self._insisted(lambda: self._redis.take(unit, self.crew))
        if lease is None:
            return
        attempt = Attempt(self._redis, lease)
        with self._keeper.having(attempt):
            ending = self._attempted(attempt)
            self._insisted(lambda: self._write(ending, attempt))

    def _write(self, ending: Ending, attempt: Attempt) -> None:
        try:
            if attempt.told is not None:  # whoever asked for its news may not have written them yet
                self._redis.tell([(attempt.lease, *attempt.told)])
            ending()
        except Superseded as error:
            _log.warning("unit %s was given to others meanwhile; what came of it here is dropped", error)
        except self._redis.troubles:
            raise
        except Exception as error:  # what Redis does not take, now or later
            self._redis.fail(attempt.lease, told_of(error))

    def _insisted(self, do: Callable[[], Any]) -> Any:
        """Do something with Redis, which may be away, or full, for a while."""
        told = ""
        while True:
            try:
                return do()
            except self._redis.troubles as error:
                if raised(error) != told:
                    told = raised(error)
                    _log.error("%s: %s; it is tried again", self._place, told)
                if self._stopping.wait(_TROUBLE):
                    return None

    # Its own ways

    def _code(self, plugin: Plugin) -> str:
        manifest = plugin.manifest
        version = manifest.version if manifest is not None else None
        content = plugin.contents.readable_hash if plugin.contents is not None else None
        return " ".join(part for part in (version, content) if part)

    def _again(self, unit: str, expires_at: float | None) -> bool:
        row = self._redis.find(unit)
        plugin = None if row is None else self._known(row["kind"], row["plugin"])
        return self._redis.again(unit, expires_at, "" if plugin is None else self._code(plugin))

    def _misfit(self, attempt: Attempt, code: str) -> Ending | None:
        lease = attempt.lease
        plugin = self._known(lease.kind, lease.plugin)
        where = plugin.location if plugin is not None else "?"
        told = self._left_to_others(
            lease,
            "OtherCode",
            f"has other code of plugin {lease.plugin!r} of kind {lease.kind!r} than the unit was queued for: {code} in "
            f"{where}, and not {lease.code}; install the same there, or queue the unit anew by backfill",
        )
        return lambda: self._redis.refuse(lease, AWAY, told, self._losses)

    def _absent(self, attempt: Attempt, error: PluginUnavailable) -> Ending:
        lease = attempt.lease
        if self._known(lease.kind, lease.plugin) is not None:
            return super()._absent(attempt, error)  # it may come
        told = self._left_to_others(
            lease, "PluginUnavailable", f"has no plugin {lease.plugin!r} of kind {lease.kind!r}"
        )
        return lambda: self._redis.put_back(lease, _ELSEWHERE, told, counts=False)

    def _left_to_others(self, lease: Lease, kind: str, why: str) -> dict[str, str]:
        """Why this worker does not do a unit, as its status tells it; said in the log as well."""
        told = {"type": kind, "message": f"{self._name} {why}"}
        _log.error("unit %s is left to other workers: %s", lease.id, told["message"])
        return told

    def _why(self, error: Exception) -> str:
        if isinstance(error, self._redis.closed):
            return (
                f"{self._place} refuses that: {said(error)} (an address with a password: redis://:PASSWORD@host:port/0)"
            )
        if isinstance(error, self._redis.silent):
            return (
                f"{self._place} did not answer in time ({said(error)}); what was asked may be done all the same: units "
                "that have an idempotency_key are not queued twice"
            )
        if isinstance(error, self._redis.away):
            return f"{self._place} can't be reached: {said(error)}"
        return super()._why(error)

    def _lane(self, wanted: Wanted) -> str:
        queue = self._queues.get(f"{wanted.kind.partition('@')[0]}/{wanted.plugin}", self._queue)
        return f"{queue} {max(0, min(9, _ORDINARY - wanted.priority))}"


def place_of(broker: str) -> str:
    """A broker as messages name it: without its password.

    Raises:
        ValueError: if it is no address of a Redis database.
    """
    try:
        address = urlsplit(broker)
        found = address.scheme in ("redis", "rediss") and address.hostname, address.port or 6379
    except ValueError:  # a port that is none
        found = None, 0
    host, port = found
    number = address.path.removeprefix("/") or "0"
    odd = [name for name, _ in parse_qsl(address.query, keep_blank_values=True) if not name.startswith("ssl_")]
    if not host or not number.isdecimal() or odd or address.fragment:
        raise ValueError(
            "units of work are kept in Redis, whose address is written redis://host:port/number, found "
            f"{re.sub('//.*@', '//…@', broker)!r}"
        )
    return f"Redis at {host}:{port}/{number}"
