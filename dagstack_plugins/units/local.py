"""``LocalOrchestrator``: units of work on one machine, in one file, without anything to set up."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

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
from dagstack_plugins.units.crew import Crew, Ending
from dagstack_plugins.units.identity import canonical, code_of, digest, input_key, partition_of
from dagstack_plugins.units.journal import LONGEST_PAUSE, Journal, Lease, Wanted
from dagstack_plugins.wording import nearest, raised, said

FILE: Final = ".dagstack/units.db"
"""Where units are, from the working directory, unless the configuration says otherwise."""
_MOST: Final = 1_000_000
"""Of priorities."""
_AWAY: Final = 2.0
"""Seconds until a unit is looked at again whose plugin is not ready."""
_LAST_WORDS: Final = 10.0
"""Seconds that units have at the end to come to a checkpoint."""


class LocalOrchestrator:
    """Units of work in one SQLite file: they survive the process, and run again from their checkpoints if it dies.

    Registered like any other plugin, with the manifest that it brings; every process that registers it with the same
    file works on the same units.

    Examples:
        >>> import tempfile
        >>> from dagstack_plugins import PluginContext, PluginRegistry
        >>> class Shout:
        ...     def execute(self, args):
        ...         return {"text": args["text"].upper()}
        >>> registry = PluginRegistry()
        >>> _ = registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
        >>> manifest = {"name": "shout", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1",
        ...             "unit_of_work": {"declared": True}}
        >>> _ = registry.register(Shout, manifest)
        >>> config = {"orchestrator": {"local": {"path": tempfile.mkdtemp() + "/units.db"}}}
        >>> with registry.running(PluginContext(config)):
        ...     unit = registry.units.submit("tool", "shout", "execute", {"text": "hello"})
        ...     registry.units.wait(unit.unit_id)
        {'text': 'HELLO'}

    Attributes:
        manifest: what it is registered with.
        config_schema: what its section of the configuration may say.

    .. versionadded:: 0.1
    """

    manifest: ClassVar[Mapping[str, Any]] = {
        "name": "local",
        "kind": "orchestrator",
        "runtime": "in_process",
        "core_version": ">=0.1",
        "description": "Units of work on this machine, in one file.",
        "in_process_only": True,
        "teardown_timeout_sec": 2 * _LAST_WORDS,
    }
    config_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": f"The file of the units; by default {FILE}."},
            "workers": {
                "type": "integer",
                "minimum": 0,
                "description": "How many units this process works on at once; 0: it only queues them.",
            },
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
        },
    }

    def setup(self, ctx: PluginContext) -> None:
        """Open the file, and begin to work."""
        config = ctx.config
        self._registry = ctx.registry
        self._attempts: int = config["max_attempts"]
        self._backoff: float = config["backoff_sec"]
        self._expiry: float | None = config.get("expire_after_sec")
        path = Path(config.get("path", FILE)).expanduser().absolute()
        try:
            self._journal = Journal(path)
        except (OSError, sqlite3.Error) as error:
            raise PluginError(f"units of work can't be kept in {path}: {raised(error)}") from error
        threads: int = config.get("workers", max(4, os.cpu_count() or 1))
        self._crew = Crew(
            self._journal,
            self._work,
            self._plugins,
            threads=threads,
            patience=config["lease_sec"],
            most=config["max_losses"],
            keep=config["keep_days"] * 86400,
        )
        self._works = threads > 0
        if self._works:  # who only queues and looks is nobody whose life others watch
            self._crew.start()

    def teardown(self) -> None:
        """Take no more units; what runs comes to a checkpoint, or begins again from the one before."""
        if self._works:
            self._crew.stop(_LAST_WORDS)
        self._journal.close()

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
            code_of(plugin),
            key,
            partition_key or partition_of(manifest, data),
            priority,
            None if not_before is None else _moment(not_before),
            self._expires_at(),
        )
        with _told():
            unit, known = self._journal.add(wanted)
        if not known:
            self._crew.wake()
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
        with _told():
            state = self._journal.cancel(unit_id)
        if state is None:
            raise _unknown(unit_id)
        self._crew.wake()
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
        with _told():
            rows = self._journal.search(
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
        with _told():
            found = self._journal.ids(
                plugin=plugin_name,
                part=partition_key,
                since=None if since is None else _moment(since),
                until=None if until is None else _moment(until),
                states=states,
            )
            expires_at = self._expires_at()
            done = [self._journal.again(unit, expires_at) for unit in reversed(found)]
        self._crew.wake()
        return {"enqueued_count": sum(done), "skipped_count": len(done) - sum(done)}

    def _expires_at(self) -> float | None:
        return None if self._expiry is None else datetime.now(UTC).timestamp() + self._expiry

    def _plugins(self) -> Collection[str]:
        """Whose units this process can work on; those of others are left to who has their plugins."""
        slots = [slot for kind in self._registry.kinds() for slot in self._registry.slots(kind)]
        held = [(slot, plugin) for slot in slots for plugin in slot.plugins]
        return {f"{kind}/{plugin.name}" for slot, plugin in held for kind in (plugin.kind, slot.address)}

    def _found(self, unit_id: str) -> dict[str, Any]:
        with _told():
            row = self._journal.find(unit_id)
        if row is None:
            raise _unknown(unit_id)
        return row

    def _checked(self, kind: str, name: str, hook: str, args: Any) -> tuple[Plugin, dict[str, Any]]:
        """The plugin of a unit, and its payload, defaults filled in."""
        plugin = next((found for slot in self._registry.slots(kind) if (found := slot.accepted(name))), None)
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

    # Work

    def _work(self, attempt: Attempt) -> Ending:
        """Do an attempt; what comes back writes down how it ended."""
        lease, journal = attempt.lease, self._journal
        try:
            plugin = self._ready(lease.kind, lease.plugin)
        except PluginUnavailable as error:  # what is raised later is a failure of the attempt, whoever is unavailable
            away = _told_of(error)
            return lambda: journal.put_back(lease, _AWAY, away, counts=False)
        try:
            proxy = self._registry.get_plugin(lease.kind, lease.plugin)
            if (code := code_of(plugin)) != lease.code:
                if journal.has_checkpoints(lease):
                    return lambda: journal.fail(lease, _other_code(lease.code, code))
                journal.set_code(lease, code)
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
        return lambda: journal.succeed(lease, text, named)

    def _result(self, value: Any, plugin: Plugin, lease: Lease) -> str:
        try:
            return canonical(to_json(value))
        except Exception as error:
            self._codec(plugin, lease.kind, lease.hook).refuse_result(error, lease.plugin)

    def _ready(self, kind: str, name: str) -> Plugin:
        for slot in self._registry.slots(kind):
            plugin: Plugin | None = slot.accepted(name)
            if plugin is not None and plugin.usable:
                return plugin
        raise PluginUnavailable(f"plugin {name!r} of kind {kind!r} is not ready", kind=kind, plugin=name)

    def _stopped(self, attempt: Attempt) -> Ending:
        lease, journal = attempt.lease, self._journal
        if attempt.unwanted == "it was cancelled":
            return lambda: journal.drop(lease)
        return lambda: journal.put_back(lease, 0, counts=False)

    def _failed(self, attempt: Attempt, error: Exception) -> Ending:
        lease, journal, told = attempt.lease, self._journal, _told_of(error)
        if attempt.unwanted:  # whatever it failed of, it may be that it should stop
            return self._stopped(attempt)
        if attempt.hindered:
            return lambda: journal.put_back(lease, _AWAY, told, counts=False)
        tried = lease.attempt - lease.losses  # those that died with their process are counted apart
        if isinstance(error, PayloadInvalid) or tried >= self._attempts:
            return lambda: journal.fail(lease, told)
        pause = min(LONGEST_PAUSE, self._backoff * 2 ** (tried - 1))
        return lambda: journal.put_back(lease, pause, told)


@contextmanager
def _told() -> Iterator[None]:
    """What the file refuses is told as such."""
    try:
        yield
    except sqlite3.Error as error:
        raise PluginError(
            f"the file of the units refuses that: {said(error)}; nothing was changed", error_type=type(error).__name__
        ) from error


def _unknown(unit: str) -> UnitUnknown:
    return UnitUnknown(f"there is no unit of work {unit!r}, or no longer", unit_id=unit)


def _other_code(before: str, now: str) -> dict[str, str]:
    return {
        "type": "OtherVersion",
        "message": f"its checkpoints were saved by another version of the plugin ({before}; {now or 'none'} is here): "
        "install that one, or queue the unit anew by backfill, which begins from the start",
    }


def _told_of(error: Exception) -> dict[str, str]:
    kind = getattr(error, "error_type", None) or type(error).__name__
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
