"""``registry.units``: units of work as a host sees them, whoever orchestrates them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from dagstack_plugins.errors import KindUnknown, PluginError, PluginUnavailable, UnitFailed, UnitRefused
from dagstack_plugins.wording import shown

_SHORTEST: Final = 0.005
"""Seconds between the first looks at a unit."""
_LONGEST: Final = 0.5
"""Seconds between looks at one that takes its time."""
_GROWTH: Final = 1.2
"""From one pause to the next: an end is seen at most a fifth of the time later that was waited for it."""
_AWAY: Final = 60.0
"""Seconds for which an orchestrator may be away that has answered before."""
_OPEN: Final = ("queued", "running")


@attrs.frozen
class Submitted:
    """A unit that was handed in.

    Attributes:
        unit_id: the unit's id.
        deduplicated: whether it was there before: one of the same idempotency key, and nothing was queued.
    """

    unit_id: str
    deduplicated: bool


@attrs.frozen
class UnitEvent:
    """How a unit is now.

    Attributes:
        unit_id: the unit's id.
        state: ``queued``, ``running``, ``succeeded``, ``failed``, ``cancelled`` or ``expired``.
        percent: how far it is, 0 to 100; ``None`` while it has not said.
        message: what it said last.
        attempts: how often it was started.
    """

    unit_id: str
    state: str
    percent: float | None
    message: str
    attempts: int


class Units:
    """Hands units of work to the registry's orchestrator, and waits for them.

    Args:
        registry: the registry.

    .. versionadded:: 0.1
    """

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def submit(
        self,
        kind: str,
        plugin_name: str,
        hook: str,
        args: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        partition_key: str | None = None,
        priority: int | None = None,
        not_before: datetime | str | None = None,
    ) -> Submitted:
        """Queue a unit: one call of a plugin's hook.

        Args:
            kind: the plugin's kind.
            plugin_name: its name.
            hook: the hook.
            args: its payload.
            idempotency_key: units of one key are one; by default as the plugin's manifest declares.
            partition_key: units of one partition run one after the other, in the order of submission; by default the
                payload's field that the manifest names.
            priority: higher ones are taken first; by default 0.
            not_before: the earliest moment; one without a zone is in UTC.

        Raises:
            UnitRefused: if nobody could run it.
            PayloadInvalid: if ``args`` are not what the hook takes.
            PluginUnavailable: if there is no orchestrator.
        """
        if not isinstance(args, Mapping | None):
            raise UnitRefused(
                f"args are what the hook takes, by name, found {shown(args)}", kind=kind, plugin=plugin_name
            )
        if isinstance(not_before, datetime):
            not_before = (not_before if not_before.tzinfo else not_before.replace(tzinfo=UTC)).isoformat()
        given: dict[str, Any] = {
            "kind": kind,
            "plugin_name": plugin_name,
            "hook": hook,
            "args": dict(args or {}),
            "idempotency_key": idempotency_key,
            "partition_key": partition_key,
            "priority": priority,
            "not_before": not_before,
        }
        answer = self._hook("enqueue")({name: value for name, value in given.items() if value is not None})
        return Submitted(answer["unit_id"], answer["deduplicated"])

    def status(self, unit_id: str) -> Any:
        """How a unit is doing: the payload of the kind's hook ``status``.

        Raises:
            UnitUnknown: if there is no such unit.
        """
        return self._hook("status")(unit_id=unit_id)

    def cancel(self, unit_id: str) -> str:
        """Stop a unit; its state then: one that is at work ends at its next checkpoint.

        Raises:
            UnitUnknown: if there is no such unit.
        """
        return str(self._hook("cancel")(unit_id=unit_id)["state"])

    def list(self, **conditions: Any) -> list[Any]:
        """Units that fit, the newest first; conditions as the kind's hook ``list`` has them."""
        return list(self._hook("list")(**conditions)["units"])

    def backfill(self, **conditions: Any) -> Any:
        """Queue past units again; conditions as the kind's hook ``backfill`` has them."""
        return self._hook("backfill")(**conditions)

    def result(self, unit_id: str) -> Any:
        """What a unit came to.

        Raises:
            UnitFailed: if it ended without a result.
            UnitRefused: if it has not ended.
            UnitUnknown: if there is no such unit.
        """
        answer = self._hook("result")(unit_id=unit_id).to_dict()
        if answer["state"] in _OPEN:
            raise UnitRefused(f"unit {unit_id} has no result yet, it is {answer['state']}; wait(…) waits for it")
        return _value(unit_id, answer)

    def wait(self, unit_id: str, timeout: float | None = None) -> Any:
        """Block until a unit has ended.

        Args:
            unit_id: the unit's id.
            timeout: seconds to wait for it; for ever by default. It goes on all the same.

        Returns:
            What the hook returned, as JSON.

        Raises:
            UnitFailed: if it ended without a result.
            TimeoutError: if it has not ended in time.
            UnitUnknown: if there is no such unit.
            PluginError: if the orchestrator can't answer; once it has, only after a minute in which it can't.
        """
        end = None if timeout is None else time.monotonic() + timeout
        patience = Patience()
        state = "queued"
        for pause in _pauses():
            with patience:
                answer = self._hook("result")(unit_id=unit_id).to_dict()
                state = answer["state"]
                if state not in _OPEN:
                    return _value(unit_id, answer)
            if end is not None and time.monotonic() + pause > end:
                hint = ", and nobody has taken it" if state == "queued" else ""
                raise TimeoutError(f"unit {unit_id} is still {state} after {timeout:g} s{hint}")
            time.sleep(pause)
        raise AssertionError("unreachable")

    async def finished(self, unit_id: str, timeout: float | None = None) -> Any:
        """The same as ``wait``, awaited."""
        async with asyncio.timeout(timeout):
            async for event in self.events(unit_id):
                last = event
        return _value(last.unit_id, (await self._aio("result")(unit_id=unit_id)).to_dict())

    async def events(self, unit_id: str) -> AsyncIterator[UnitEvent]:
        """How a unit is, now and at each change, until it has ended.

        Raises:
            UnitUnknown: if there is no such unit.
        """
        before: UnitEvent | None = None
        pauses, patience = _pauses(), Patience()
        while True:
            event = before
            with patience:
                event = _event(unit_id, (await self._aio("status")(unit_id=unit_id)).to_dict())
            if event is not None and event != before:
                before, pauses = event, _pauses()
                yield event
            if event is not None and event.state not in _OPEN:
                return
            await asyncio.sleep(next(pauses))

    def _hook(self, name: str) -> Any:
        return getattr(self._proxy(), name)

    def _aio(self, name: str) -> Any:
        return getattr(self._proxy().aio, name)

    def _proxy(self) -> Any:
        try:
            return self._registry.get_plugin("orchestrator")
        except KindUnknown as error:  # of this kind there is no plugin
            raise PluginUnavailable(
                "no orchestrator takes units of work: registry.register(LocalOrchestrator, LocalOrchestrator.manifest) "
                f"adds the one that needs nothing else ({error})"
            ) from None


class Patience:
    """Bears with an orchestrator that is away for a while, as when its server is restarted, once it has answered.

    Each question is a ``with`` block of its own, whose error is dropped as long as there is patience.

    Args:
        told: hears of the first error of each absence.
    """

    def __init__(self, told: Callable[[Exception], None] = lambda _: None) -> None:
        self._told = told
        self._is_away = False
        self._heard: float | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if error is None:
            self._heard, self._is_away = time.monotonic(), False
        if not isinstance(error, PluginError | PluginUnavailable):
            return False
        if self._heard is None or time.monotonic() - self._heard > _AWAY:
            return False
        if not self._is_away:
            self._is_away = True
            self._told(error)
        return True


def _event(unit_id: str, told: Mapping[str, Any]) -> UnitEvent:
    return UnitEvent(unit_id, told["state"], told.get("progress"), told.get("message", ""), told.get("attempts", 0))


def _pauses() -> Iterator[float]:
    pause = _SHORTEST
    while True:
        yield pause
        pause = min(_LONGEST, pause * _GROWTH)


def _value(unit_id: str, answer: Mapping[str, Any]) -> Any:
    state = answer["state"]
    if state == "succeeded":
        return answer.get("value")
    error = answer.get("error") or {}
    why = f": {error.get('type')}: {error.get('message')}" if error else ""
    raise UnitFailed(f"unit {unit_id} {state}{why}", unit_id=unit_id, state=state, error_type=error.get("type"))
