"""One plugin's implementation of one hook: its method, between the checks, in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import attrs

from dagstack_plugins.calls import Call, StopChain
from dagstack_plugins.errors import PluginError
from dagstack_plugins.kinds.binding import Binding
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.runtimes.home import HomeLoop

_PASS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What is not a plugin's own failure: the caller's cancellation and interrupt."""


@attrs.frozen(eq=False)
class Implementation:
    """What dispatchers call.

    Attributes:
        plugin: whose implementation it is.
        codec: the border of the hook.
        is_async: whether the plugin's method is a coroutine function.
        block: payload to result, blocking.
        wait: payload to a coroutine that gives the result.
    """

    plugin: Plugin
    codec: HookCodec
    is_async: bool
    block: Callable[[Any], Any]
    wait: Callable[[Any], Coroutine[Any, Any, Any]]


def implementation(plugin: Plugin, binding: Binding, codec: HookCodec, home: HomeLoop) -> Implementation:
    """Join a plugin's method, its checks and its loop.

    Args:
        plugin: a started plugin.
        binding: how its method is called.
        codec: the border of the hook.
        home: the loop that coroutine functions run on.
    """
    invoke = binding.invoker(plugin.context, typed=codec.typed, call=Call(codec.kind.name, codec.hook.name))
    finish = _finisher(plugin, codec)
    fail = _failer(plugin, codec)
    block, wait = (
        _of_coroutine_function(invoke, finish, fail, home) if binding.is_async else _of_function(invoke, finish, fail)
    )
    return Implementation(plugin, codec, binding.is_async, block, wait)


_Both = tuple[Callable[[Any], Any], Callable[[Any], Coroutine[Any, Any, Any]]]


def _of_function(
    invoke: Callable[[Any], Any], finish: Callable[[Any], Any], fail: Callable[[BaseException], NoReturn]
) -> _Both:
    def block(payload: Any) -> Any:
        try:
            value = invoke(payload)
        except BaseException as error:
            fail(error)
        return finish(value)

    async def wait(payload: Any) -> Any:
        return block(payload)

    return block, wait


def _of_coroutine_function(
    invoke: Callable[[Any], Any],
    finish: Callable[[Any], Any],
    fail: Callable[[BaseException], NoReturn],
    home: HomeLoop,
) -> _Both:
    async def at_home(payload: Any) -> Any:
        try:
            value = await invoke(payload)
        except BaseException as error:
            fail(error)
        return finish(value)

    async def wait(payload: Any) -> Any:
        if home.is_here():
            return await at_home(payload)
        return await home.wait(at_home, payload)

    def block(payload: Any) -> Any:
        return home.block(at_home, payload)

    return block, wait


def _finisher(plugin: Plugin, codec: HookCodec) -> Callable[[Any], Any]:
    result, name, degraded = codec.result, str(plugin.name), PluginState.DEGRADED

    def finish(value: Any) -> Any:
        if type(value) is StopChain:
            return value.with_value(result(value.value, name)) if value.has_value else value
        value = result(value, name)
        if plugin.state is degraded:
            plugin.recover()
        return value

    return finish


def _failer(plugin: Plugin, codec: HookCodec) -> Callable[[BaseException], NoReturn]:
    hook = codec.hook.name

    def fail(error: BaseException) -> NoReturn:
        if isinstance(error, _PASS):
            raise error
        note = f"raised by plugin {plugin.name!r} of kind {plugin.kind!r}, in hook {hook!r}"
        if isinstance(error, Exception):
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise error
        # SystemExit and its like would take the host along; a plugin's exit is a failure of this one call.
        name = type(error).__name__
        raise PluginError(
            f"plugin {plugin.name!r} of kind {plugin.kind!r} raised {name}({error}) in hook {hook!r}; "
            "a plugin fails with an Exception, it does not end its host",
            error_type=name,
            kind=plugin.kind,
            plugin=plugin.name,
            hook=hook,
        ) from error

    return fail
