"""chain: each plugin works on what the one before returned; the caller gets the last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagstack_plugins.calls import StopChain
from dagstack_plugins.dispatch.base import Answer, HookDispatcher
from dagstack_plugins.dispatch.implementation import Implementation
from dagstack_plugins.dispatch.script import Failure, Script, driven
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.model import Dispatch


class ChainDispatcher(HookDispatcher):
    """A chain hook: all who have it, each on what the one before returned."""

    dispatch = Dispatch.CHAIN

    def answer(self, table: Table) -> Answer:
        """Ask one after the other."""
        links = table.implementations(self.hook)
        if not links:
            raise table.nobody(self.hook)
        return chained(links, table.compiled.codecs[self.hook])


def chained(links: Sequence[Implementation], codec: HookCodec) -> Answer:
    """A chain through ``links``, in both colours."""

    def chain(given: Any) -> Script:
        value = _UNTOUCHED
        # A copy, as the later links get: where the first one stops the chain, what was given stands.
        payload = codec.accept(given) if codec.typed else given
        for link in links:
            answer = yield link, payload
            if type(answer) is Failure:
                return answer
            if type(answer) is StopChain:
                value = answer.value if answer.has_value else value
                break
            value = answer
            # The last value is checked as well: an order of plugins must not decide whether a chain is sound.
            payload = _next(codec, value, link)
        return codec.result(given, str(links[0].plugin.name)) if value is _UNTOUCHED else value

    return driven(chain, links)


_UNTOUCHED = object()


def _next(codec: HookCodec, value: Any, link: Implementation) -> Any:
    return codec.accept(value, str(link.plugin.name)) if codec.typed else value
