"""What orchestrators have in common, whatever keeps their units: the kind's hooks, and doing an attempt."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from dagstack_plugins.context import PluginContext
from dagstack_plugins.dispatch.implementation import own_input
from dagstack_plugins.errors import (
    PayloadInvalid,
    PluginError,
    PluginUnavailable,
    UnitCancelled,
    UnitRefused,
    UnitUnknown,
)
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.kinds.payload import plain
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.units.attempt import Attempt
from dagstack_plugins.units.identity import canonical, digest, input_key, partition_of
from dagstack_plugins.units.records import LONGEST_PAUSE, Lease, Ledger, Wanted
from dagstack_plugins.wording import nearest, raised, said
from dagstack_plugins.work import bound_work

AWAY: Final = 2.0
"""Seconds until a unit is looked at again that can't be worked on here and now."""
_MOST: Final = 1_000_000
"""Of priorities."""
OPTIONS: Final[Mapping[str, Any]] = {
    "max_attempts": {"type": "integer", "minimum": 1, "default": 3},
    "backoff_sec": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1,
        "description": "Before a second attempt; twice that before each further one.",
    },
    "lease_sec": {
        "type": "number",
        "minimum": 1,
        "default": 10,
        "description": "A process that has not shown itself for so long is taken for dead.",
    },
    "max_losses": {
        "type": "integer",
        "minimum": 0,
        "default": 10,
        "description": "How often the process that works on a unit may die before the unit is given up.",
    },
    "expire_after_sec": {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "A unit that nobody took for so long is expired; by default it waits for ever.",
    },
    "keep_days": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 30,
        "description": "Ended units are forgotten after so many days.",
    },
}
"""What the configuration of each may say; the same, so that a deployment changes from one to the other."""

_log: Final = logging.getLogger("dagstack_plugins.units")

Ending = Callable[[], None]
"""Writes down how an attempt ended."""


class Orchestrating:
    """The hooks of kind ``orchestrator`` over a ledger; who inherits them says in ``setup`` which."""

    _registry: Any
    _ledger: Ledger
    _place: str

    def _open(self, ctx: PluginContext, ledger: Ledger, place: str) -> None:
        """Begin with a ledger.

        Args:
            ctx: the orchestrator's context, whose configuration has ``OPTIONS``.
            ledger: where units are kept.
            place: what that is, for messages.
        """
        self._registry = ctx.registry
        self._ledger = ledger
        self._place = place
        self._tries: int = ctx.config["max_attempts"]
        self._backoff: float = ctx.config["backoff_sec"]
        self._expiry: float | None = ctx.config.get("expire_after_sec")

    # What each does its own way

    def _code(self, plugin: Plugin) -> str:
        """What a plugin's code is, as far as its units are concerned."""
        raise NotImplementedError

    def _again(self, unit: str, expires_at: float | None) -> bool:
        """Queue a copy of a unit that has ended; whether it had ended."""
        return self._ledger.again(unit, expires_at)

    def _queued(self) -> None:
        """There may be something to do."""

    def _misfit(self, attempt: Attempt, code: str) -> Ending | None:
        """The unit was queued for other code than is here; how it ends, unless it is worked on all the same."""
        raise NotImplementedError

    def _absent(self, attempt: Attempt, error: PluginUnavailable) -> Ending:
        """The plugin takes no calls here and now."""
        lease, ledger, away = attempt.lease, self._ledger, told_of(error)
        return lambda: ledger.put_back(lease, AWAY, away, counts=False)

    # Hooks

    def enqueue(
        self,
        kind: str,
        plugin_name: str,
        hook: str,
        args: Any,
        idempotency_key: str | None = None,
        partition_key: str | None = None,
        priority: int = 0,
        not_before: str | None = None,
    ) -> dict[str, Any]:
        """Queue one unit of work."""
        plugin, data = self._checked(kind, plugin_name, hook, plain(args))
        manifest = plugin.manifest
        assert manifest is not None
        mode = manifest.unit_of_work.idempotency_mode
        key = f"key:{idempotency_key}" if idempotency_key else None
        if key is None and mode == "input_hash":
            key = input_key(plugin, hook, data)
        if not -_MOST <= priority <= _MOST:
            raise UnitRefused(
                f"a priority lies between {-_MOST} and {_MOST}, found {priority}", kind=kind, plugin=plugin_name
            )
        wanted = Wanted(
            kind,
            plugin_name,
            hook,
            canonical(data),
            self._code(plugin),
            key,
            partition_key or partition_of(manifest, data),
            priority,
            None if not_before is None else _moment(not_before),
            self._expires_at(),
        )
        with self._told():
            unit, known = self._ledger.add(wanted)
        if not known:
            self._queued()
        return {"unit_id": unit, "deduplicated": known}

    def status(self, unit_id: str) -> dict[str, Any]:
        """How one unit of work is doing."""
        return _status(self._found(unit_id))

    def result(self, unit_id: str) -> dict[str, Any]:
        """What one unit of work came to."""
        row = self._found(unit_id)
        told: dict[str, Any] = {"state": row["state"]}
        if row["state"] == "succeeded":
            told["value"] = json.loads(row["result"])
        elif row["error"] is not None and row["state"] == "failed":
            told["error"] = json.loads(row["error"])
        return told

    def cancel(self, unit_id: str) -> dict[str, Any]:
        """Stop one unit of work."""
        with self._told():
            state = self._ledger.cancel(unit_id)
        if state is None:
            raise _unknown(unit_id)
        self._queued()
        return {"state": state}

    def list(
        self,
        kind: str | None = None,
        plugin_name: str | None = None,
        partition_key: str | None = None,
        states: Sequence[str] = (),
        limit: int = 100,
        after: str | None = None,
    ) -> dict[str, Any]:
        """Units of work, the newest first."""
        with self._told():
            rows = self._ledger.search(
                kind=kind, plugin=plugin_name, part=partition_key, states=states, after=after, limit=limit
            )
        return {"units": [_status(row) for row in rows]}

    def backfill(
        self,
        plugin_name: str | None = None,
        partition_key: str | None = None,
        since: str | None = None,
        until: str | None = None,
        states: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Queue past units of work again."""
        with self._told():
            found = self._ledger.ids(
                plugin=plugin_name,
                part=partition_key,
                since=None if since is None else _moment(since),
                until=None if until is None else _moment(until),
                states=states,
            )
            expires_at = self._expires_at()
        done: list[bool] = []
        try:
            with self._told():
                done.extend(self._again(unit, expires_at) for unit in reversed(found))
        except PluginError as error:
            raise PluginError(f"{error}; {sum(done)} of {len(found)} units were queued again before that") from error
        self._queued()
        return {"enqueued_count": sum(done), "skipped_count": len(done) - sum(done)}

    def _expires_at(self) -> float | None:
        return None if self._expiry is None else datetime.now(UTC).timestamp() + self._expiry

    def _found(self, unit_id: str) -> dict[str, Any]:
        with self._told():
            row = self._ledger.find(unit_id)
        if row is None:
            raise _unknown(unit_id)
        return row

    def _checked(self, kind: str, name: str, hook: str, args: Any) -> tuple[Plugin, dict[str, Any]]:
        """The plugin of a unit, and its payload, defaults filled in."""
        plugin = self._known(kind, name)
        if plugin is None or plugin.manifest is None:
            known = [one.name for one in self._registry.list_manifests() if one.kind == kind.partition("@")[0]]
            raise UnitRefused(
                f"there is no plugin {name!r} of kind {kind!r}{nearest(name, known)}", kind=kind, plugin=name
            )
        if not plugin.manifest.unit_of_work.declared:
            raise UnitRefused(
                f"plugin {name!r} of kind {kind!r} declares no unit of work; its manifest "
                f"({plugin.manifest.file or plugin.location}) needs:\n[plugin.unit_of_work]\ndeclared = true",
                kind=kind,
                plugin=name,
            )
        if hook not in plugin.bindings:
            raise UnitRefused(
                f"plugin {name!r} of kind {kind!r} has no hook {hook!r}{nearest(hook, plugin.bindings)}",
                kind=kind,
                plugin=name,
            )
        codec = self._codec(plugin, kind, hook)
        data = plain(codec.accept(args))
        if (own := plugin.own_inputs.get(hook)) is not None:
            data = own_input(data, own, plugin, codec)
        return plugin, data

    def _codec(self, plugin: Plugin, kind: str, hook: str) -> HookCodec:
        slot = next(slot for slot in self._registry.slots(kind) if slot.accepted(str(plugin.name)) is plugin)
        codec: HookCodec = slot.compiled.codecs[hook]
        return codec

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the ledger refuses is told as such."""
        try:
            yield
        except self._ledger.troubles as error:
            raise PluginError(self._why(error), error_type=type(error).__name__) from error

    def _why(self, error: Exception) -> str:
        """Why the ledger did not do what it was asked for."""
        return f"{self._place} refuses that: {said(error)}; nothing was changed"

    # Work

    def _attempted(self, attempt: Attempt) -> Ending:
        """Do an attempt, whatever its plugin does; what comes back writes down how it ended."""
        try:
            with bound_work(attempt):
                return self._work(attempt)
        except BaseException as error:  # whatever it is, the worker goes on, and the unit ends
            _log.exception("unit %s", attempt.lease.id)
            told = {"type": type(error).__name__, "message": ascii(raised(error))}
            return lambda: self._ledger.fail(attempt.lease, told)

    def _work(self, attempt: Attempt) -> Ending:
        lease, ledger = attempt.lease, self._ledger
        try:
            plugin = self._ready(lease.kind, lease.plugin)
        except PluginUnavailable as error:  # what is raised later is a failure of the attempt, whoever is unavailable
            return self._absent(attempt, error)
        try:
            proxy = self._registry.get_plugin(lease.kind, lease.plugin)
            code = self._code(plugin)
            if code != lease.code and (ending := self._misfit(attempt, code)) is not None:
                return ending
            value = getattr(proxy.sync, lease.hook)(json.loads(lease.args))
            text = self._result(value, plugin, lease)
        except UnitCancelled:
            return self._stopped(attempt)
        except Exception as error:
            return self._failed(attempt, error)
        if attempt.noticed:
            return self._stopped(attempt)
        assert plugin.manifest is not None
        named = digest(text) if plugin.manifest.unit_of_work.idempotency_mode == "output_hash" else None
        return lambda: ledger.succeed(lease, text, named)

    def _result(self, value: Any, plugin: Plugin, lease: Lease) -> str:
        try:
            return canonical(to_json(value))
        except Exception as error:
            self._codec(plugin, lease.kind, lease.hook).refuse_result(error, lease.plugin)

    def _known(self, kind: str, name: str) -> Plugin | None:
        """The plugin of that name, whatever its state; ``None`` if there is none here."""
        found = (slot.accepted(name) for slot in self._registry.slots(kind))
        return next((plugin for plugin in found if plugin), None)

    def _ready(self, kind: str, name: str) -> Plugin:
        for slot in self._registry.slots(kind):
            plugin: Plugin | None = slot.accepted(name)
            if plugin is not None and plugin.usable:
                return plugin
        known = self._known(kind, name)
        why = f": {known.reason}" if known is not None and known.reason else ""
        raise PluginUnavailable(f"plugin {name!r} of kind {kind!r} is not ready{why}", kind=kind, plugin=name)

    def _stopped(self, attempt: Attempt) -> Ending:
        lease, ledger = attempt.lease, self._ledger
        if attempt.unwanted == "it was cancelled":
            return lambda: ledger.drop(lease)
        return lambda: ledger.put_back(lease, 0, counts=False)

    def _failed(self, attempt: Attempt, error: Exception) -> Ending:
        lease, ledger, told = attempt.lease, self._ledger, told_of(error)
        if attempt.unwanted:  # whatever it failed of, it may be that it should stop
            return self._stopped(attempt)
        if attempt.hindered:
            return lambda: ledger.put_back(lease, AWAY, told, counts=False)
        tried = lease.attempt - lease.losses  # those that died with their process are counted apart
        if isinstance(error, PayloadInvalid) or tried >= self._tries:
            return lambda: ledger.fail(lease, told)
        pause = min(LONGEST_PAUSE, self._backoff * 2 ** (tried - 1))
        return lambda: ledger.put_back(lease, pause, told)


def _unknown(unit: str) -> UnitUnknown:
    return UnitUnknown(f"there is no unit of work {unit!r}, or no longer", unit_id=unit)


def told_of(error: Exception) -> dict[str, str]:
    """An error as the ledger keeps it."""
    kind = getattr(error, "error_type", None) if isinstance(error, PluginError) else None
    kind = kind or type(error).__name__
    return {"type": str(kind), "message": said(error) or str(kind)}


def _moment(text: str) -> float:
    """Seconds since 1970; what says no zone is in UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _status(row: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "unit_id": row["id"],
        "state": row["state"],
        "kind": row["kind"],
        "plugin_name": row["plugin"],
        "hook": row["hook"],
        "attempts": row["attempts"],
    }
    for name in ("queued_at", "started_at", "finished_at"):
        if row[name] is not None:
            told[name] = _time(row[name])
    if row["part"] is not None:
        told["partition_key"] = row["part"]
    if row["progress"] is not None:
        told["progress"] = row["progress"]
    if row["message"]:
        told["message"] = row["message"]
    if row["error"] is not None:
        told["error"] = json.loads(row["error"])
    return told
