"""Routing policies: the host chooses the active plugin anew at each call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from dagstack_plugins.calls import current_metadata
from dagstack_plugins.dispatch.base import Answer
from dagstack_plugins.dispatch.choosing import one_of
from dagstack_plugins.dispatch.selection import chosen_plugin
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import shown


# Made in every call that is routed: attrs' frozen classes would take several times as long.
@attrs.define(eq=False)
class RoutingRequest:
    """What a routing policy decides by.

    Attributes:
        kind: the kind of the hook that is called.
        hook: the hook's name.
        payload: the payload, checked and typed.
        metadata: what the caller bound with ``registry.metadata``; read-only.

    .. versionadded:: 0.1
    """

    kind: str
    hook: str
    payload: Any
    metadata: Mapping[str, Any]


RoutingPolicy = Callable[[RoutingRequest], str | None]
"""A request to the name of the plugin that should answer; ``None``: as it would be without a policy."""


def routed(
    table: Table,
    hook: str,
    policy: RoutingPolicy,
    otherwise: Callable[[], Plugin],
    answers: Callable[[Plugin], Answer],
) -> Answer:
    """What answers a hook whose plugin is chosen at each call.

    Args:
        table: the kind's plugins.
        hook: the hook.
        policy: chooses among them.
        otherwise: the plugin where it doesn't.
        answers: what a plugin answers.
    """
    kind = table.kind.name
    known: dict[str | None, Answer] = {}

    def choose(payload: Any) -> Answer:
        name = policy(RoutingRequest(kind, hook, payload, current_metadata()))
        try:
            found = known.get(name)
        except TypeError:  # a dict, say: it is told of below
            found = None
        if found is None:
            found = known[name] = answers(_named(name))
        return found

    def _named(name: Any) -> Plugin:
        if name is None:
            return otherwise()
        if not isinstance(name, str):
            if inspect.iscoroutine(name):
                name.close()
            raise TypeError(
                f"the routing policy of kind {kind!r} returned {shown(name)}; "
                "a policy is a plain function that returns a plugin's name, or None"
            )
        return chosen_plugin(table, name, "the routing policy")

    return one_of(choose, table.traffic, {*table.usable, *table.middleware})
