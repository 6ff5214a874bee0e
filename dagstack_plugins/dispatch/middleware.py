"""Middleware: goes round each call of each plugin that its manifest's ``chain_wrap`` names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from dagstack_plugins.calls import StopChain
from dagstack_plugins.dispatch.ending import HandedBack
from dagstack_plugins.dispatch.implementation import Implementation, in_both_colours
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.runtimes.home import HomeLoop

_TOLD = (Exception, asyncio.CancelledError)
"""What ``on_error`` is told of: failures, and the cancellation of a call, which ends it just as well."""


@attrs.frozen(eq=False)
class _Step:
    """One of a middleware's hooks, around one hook of one plugin; its argument is what changes from call to call."""

    block: Callable[[Any], Any]
    wait: Callable[[Any], Coroutine[Any, Any, Any]]


async def _nothing(_: Any) -> None:
    return None


_NO_STEP = _Step(lambda _: None, _nothing)
"""A hook that the middleware doesn't have."""


def wrapped(made: Implementation, middleware: tuple[Plugin, ...], home: HomeLoop) -> Implementation:
    """An implementation inside all middleware that wraps it.

    Args:
        made: the implementation.
        middleware: those that run, outermost first.
        home: the loop that coroutine functions run on.
    """
    for plugin in reversed(middleware):
        if _wraps(plugin, made):
            made = _around(plugin, made, home)
    return attrs.evolve(made, middleware=middleware) if middleware else made


def _wraps(plugin: Plugin, made: Implementation) -> bool:
    wrap = plugin.manifest.chain_wrap if plugin.manifest else None
    names = made.codec.kind.name, made.codec.hook.name
    return wrap is not None and all(
        "*" in listed or name in listed for listed, name in zip((wrap.kinds, wrap.hooks), names, strict=True)
    )


def _around(plugin: Plugin, made: Implementation, home: HomeLoop) -> Implementation:
    before = _step(plugin, "before", "args", made, home)
    after = _step(plugin, "after", "result", made, home)
    on_error = _step(plugin, "on_error", "error", made, home)
    taken, left = _checks(str(plugin.name), made.codec)
    inner_block, inner_wait = made.block, made.wait

    # When `before` fails, this middleware never was around the call: only those further out are told.
    def block(payload: Any) -> Any:
        given = before.block(payload)
        if given is not None:
            payload = taken(given)
        try:
            result = inner_block(payload)
        except _TOLD as error:
            on_error.block(error)
            raise
        given = after.block(result.value if type(result) is StopChain else result)
        return result if given is None else left(given, result)

    async def wait(payload: Any) -> Any:
        given = await before.wait(payload)
        if given is not None:
            payload = taken(given)
        try:
            result = await inner_wait(payload)
        except _TOLD as error:
            await on_error.wait(error)
            raise
        given = await after.wait(result.value if type(result) is StopChain else result)
        return result if given is None else left(given, result)

    waits = any(binding.is_async for binding in plugin.bindings.values())
    home_of_all = home if waits else made.home
    return attrs.evolve(made, block=block, wait=wait, home=home_of_all, around=(plugin, *made.around))


def _step(plugin: Plugin, name: str, changing: str, made: Implementation, home: HomeLoop) -> _Step:
    binding = plugin.bindings.get(name)
    if binding is None:
        return _NO_STEP
    known = {"kind": made.codec.kind.name, "name": str(made.plugin.name), "hook": made.codec.hook.name}
    invoke = binding.caller(plugin.context, known, changing)
    return _Step(*in_both_colours(plugin, binding, invoke, HandedBack(), name, home))


def _checks(name: str, codec: HookCodec) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]:
    """What becomes of other arguments and other results than those there were: they are checked again."""

    def taken(given: Any) -> Any:
        return codec.accept(given, name) if codec.typed else given

    def left(given: Any, result: Any) -> Any:
        checked = codec.result(given, name)
        return result.with_value(checked) if type(result) is StopChain else checked

    return taken, left
