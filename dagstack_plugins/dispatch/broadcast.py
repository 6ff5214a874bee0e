"""broadcast_collect: everyone answers, the caller gets a list.

broadcast_notify: everyone hears, the caller gets nothing.

All of them get one and the same payload, a copy of what the caller gave: plugins read it, and leave it as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from dagstack_plugins.dispatch.base import Answer, HookDispatcher
from dagstack_plugins.dispatch.implementation import Implementation
from dagstack_plugins.dispatch.script import Batch, Failure, Script, driven
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.errors import BroadcastErrors
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.wording import place_of, raised

_log: Final = logging.getLogger("dagstack_plugins")


class Collected(list[Any]):
    """The results of a broadcast, in order, and the failures beside them.

    Attributes:
        errors: the failures, as (plugin's name, exception); empty unless the hook is ``best_effort``.
    """

    def __init__(self, results: Iterable[Any] = (), errors: Iterable[tuple[str, Exception]] = ()) -> None:
        super().__init__(results)
        self.errors = tuple(errors)


class _Broadcast(HookDispatcher):
    """What both have in common: nobody to ask is no error, but a host that started nobody should know."""

    def _everyone(self, table: Table) -> tuple[Implementation, ...]:
        asleep = [plugin for plugin in table.plugins if plugin.may_start and self.hook in plugin.bindings]
        if asleep and not table.usable:
            names = ", ".join(str(plugin.name) for plugin in asleep)
            _log.warning("%s.%s: nobody hears it: %s: %s", self.kind, self.hook, names, asleep[0].why_not)
        return table.implementations(self.hook)


class BroadcastCollectDispatcher(_Broadcast):
    """A broadcast_collect hook: everyone who has it answers, the caller gets their results in order."""

    dispatch = Dispatch.BROADCAST_COLLECT

    def answer(self, table: Table) -> Answer:
        """Ask everyone, then settle failures by the hook's policy."""
        everyone = self._everyone(table)
        fail_fast = not table.hook(self.hook).best_effort

        def collect(payload: Any) -> Script:
            values, failures = yield Batch(everyone, payload, stop=fail_fast)
            errors = [(str(failure.asked.plugin.name), failure.error) for failure in failures]
            for failure in failures:
                _mark(failure)
            if errors and fail_fast:
                raise self._failed(errors) from errors[0][1]
            return Collected(values, errors)

        return driven(collect, everyone)

    def _failed(self, errors: list[tuple[str, Exception]]) -> BroadcastErrors:
        told = "".join(f"\n  - {name}: {raised(error)}{place_of(error)}" for name, error in errors)
        return BroadcastErrors(
            f"{self.kind}.{self.hook}: a plugin failed:{told}\n"
            "with error_policy: best_effort in the hookspec, the others' results are kept",
            errors=errors,
            kind=self.kind,
            hook=self.hook,
            plugin=errors[0][0],
        )


def _mark(failure: Failure) -> None:
    asked, error = failure
    asked.plugin.degrade(f"failed in {asked.codec.hook.name}: {raised(error)}", error)


class BroadcastNotifyDispatcher(_Broadcast):
    """A broadcast_notify hook: everyone who has it hears; failures are logged, never raised."""

    dispatch = Dispatch.BROADCAST_NOTIFY

    def answer(self, table: Table) -> Answer:
        """Tell everyone, and log who failed."""
        everyone = self._everyone(table)

        def notify(payload: Any) -> Script:
            _, failures = yield Batch(everyone, payload)
            for asked, error in failures:
                told = asked.plugin.name, self.kind, self.hook, raised(error)
                _log.error("plugin %s of kind %s failed in %s: %s", *told, exc_info=error)

        return driven(notify, everyone)
