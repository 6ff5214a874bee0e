"""One plugin's implementation of one hook: its method, between the checks, in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

import attrs

from dagstack_plugins.dispatch.ending import Checked, Ending
from dagstack_plugins.dispatch.remote import Remote
from dagstack_plugins.dispatch.threaded import Threaded
from dagstack_plugins.errors import PluginError, PluginRegistryError
from dagstack_plugins.gate import Gate
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.kinds.binding import Binding
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.payload import plain
from dagstack_plugins.plugin import OwnInput, Plugin
from dagstack_plugins.runtimes.door import Door
from dagstack_plugins.runtimes.home import HomeLoop
from dagstack_plugins.schemafaults import faults_of
from dagstack_plugins.wording import place_of, raised

BothColours = tuple[Callable[[Any], Any], Callable[[Any], Coroutine[Any, Any, Any]]]
"""Payload to result, blocking and awaited."""


@attrs.frozen(eq=False)
class Implementation:
    """What dispatchers call.

    Attributes:
        plugin: whose implementation it is.
        codec: the border of the hook.
        home: the loop that it runs on, if the plugin's method is a coroutine function.
        block: payload to result, blocking.
        wait: payload to a coroutine that gives the result.
        middleware: all that might go round it; whether it does is said in each one's manifest.
        around: those that do, outermost first.
    """

    plugin: Plugin
    codec: HookCodec
    home: HomeLoop | None
    block: Callable[[Any], Any]
    wait: Callable[[Any], Coroutine[Any, Any, Any]]
    middleware: tuple[Plugin, ...] = ()
    around: tuple[Plugin, ...] = ()

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Whose code it runs."""
        return self.plugin, *self.around


def implementation(plugin: Plugin, binding: Binding, codec: HookCodec, home: HomeLoop) -> Implementation:
    """Join a plugin's method, its checks and its loop.

    Args:
        plugin: a started plugin.
        binding: how its method is called.
        codec: the border of the hook.
        home: the loop that coroutine functions run on.
    """
    ending = Checked(plugin, codec)
    if plugin.workers is not None:
        remote = Remote(plugin, codec, ending.finish, failer(plugin, codec.hook.name), plugin.workers)
        return Implementation(plugin, codec, None, remote.block, remote.wait)
    if plugin.link is not None:
        invoke = _checked(plugin.link.call(codec.hook.name), plugin, codec)
        fail = failer(plugin, codec.hook.name)
        return Implementation(
            plugin, codec, None, *_of_coroutine_function(_placed(invoke, plugin), ending.finish, fail, home.wire)
        )
    both = in_both_colours(plugin, binding, invoker(plugin, binding, codec), ending, codec.hook.name, home)
    return Implementation(plugin, codec, home if binding.is_async else None, *both)


def invoker(plugin: Plugin, binding: Binding, codec: HookCodec) -> Callable[[Any], Any]:
    """Payload to what the plugin's method returns, checked by what the plugin says of its own inputs.

    Args:
        plugin: a started plugin.
        binding: how its method is called.
        codec: the border of the hook.
    """
    return _checked(binding.invoker(plugin.context, typed=codec.typed, call=codec.call), plugin, codec)


def _checked(invoke: Callable[[Any], Any], plugin: Plugin, codec: HookCodec) -> Callable[[Any], Any]:
    if codec.typed and (own := plugin.own_inputs.get(codec.hook.name)) is not None:
        return _checked_by_plugin(invoke, own, plugin, codec)
    return invoke


def in_both_colours(
    plugin: Plugin,
    binding: Binding,
    invoke: Callable[[Any], Any],
    ending: Ending,
    hook: str,
    home: HomeLoop,
) -> BothColours:
    """A plugin's method, blocking and awaited, whatever it is itself.

    Args:
        plugin: whose method it is.
        binding: how it is called.
        invoke: calls it.
        ending: makes what callers get of what it returned.
        hook: the hook's name, for messages.
        home: the loop that it runs on, if it is a coroutine function.
    """
    fail, gate = failer(plugin, hook), plugin.gate
    if binding.is_async:
        return _of_coroutine_function(_bounded(invoke, plugin), ending.finish, fail, home)
    both = _of_function(ending.around(invoke, fail))
    if plugin.manifest is not None and plugin.manifest.execution_model == "thread_cpu_bound":
        made = Threaded(both[0], home.threads, gate, plugin.manifest.call_timeout_sec, fail)
        return made.block, made.wait
    return both if gate is None else _one_by_one(both, gate)


def own_input(given: Any, own: OwnInput, plugin: Plugin, codec: HookCodec) -> Any:
    """An input as a plugin takes it, its defaults filled in.

    Args:
        given: the input, which keeps the kind's schema.
        own: what the plugin says of its inputs.
        plugin: the plugin.
        codec: the border of the hook.

    Raises:
        PayloadInvalid: if it is not what the plugin takes.
    """
    data = given if own.fill is None else own.fill(given)
    if not own.validator.is_valid(data):
        faults = faults_of(own.validator.iter_errors(data), declared=own.properties)
        codec.refuse_own_input(faults, str(plugin.name), own.takes)
    return data


def _checked_by_plugin(
    invoke: Callable[[Any], Any], own: OwnInput, plugin: Plugin, codec: HookCodec
) -> Callable[[Any], Any]:
    """What a plugin says of its own inputs is checked after it was chosen, and before it is called."""

    def checked(payload: Any) -> Any:
        given = plain(payload)
        data = own_input(given, own, plugin, codec)
        if data is given:
            return invoke(payload)
        return invoke(data if isinstance(payload, dict) else type(payload).from_dict(data))

    return checked


def _bounded(invoke: Callable[[Any], Any], plugin: Plugin) -> Callable[[Any], Any]:
    """A coroutine function within the manifest's ``call_timeout_sec`` and ``max_concurrency``.

    Waiting for a place does not count as the plugin's time.
    """
    seconds = plugin.manifest.call_timeout_sec if plugin.manifest else None
    if seconds is None:
        return _placed(invoke, plugin)

    async def timed(payload: Any) -> Any:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await invoke(payload)
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"the call took longer than call_timeout_sec = {seconds:g}") from None
            raise

    return _placed(timed, plugin)


def _placed(invoke: Callable[[Any], Any], plugin: Plugin) -> Callable[[Any], Any]:
    """A coroutine function within the manifest's ``max_concurrency``."""
    if (gate := plugin.gate) is None:
        return invoke

    async def placed(payload: Any) -> Any:
        await gate.enter_async()
        try:
            return await invoke(payload)
        finally:
            gate.leave()

    return placed


def _one_by_one(both: BothColours, gate: Gate) -> BothColours:
    """A function within the manifest's ``max_concurrency``."""
    unbounded, _ = both

    def block(payload: Any) -> Any:
        gate.enter()
        try:
            return unbounded(payload)
        finally:
            gate.leave()

    async def wait(payload: Any) -> Any:
        await gate.enter_async()
        try:
            return unbounded(payload)
        finally:
            gate.leave()

    return block, wait


def _of_function(block: Callable[[Any], Any]) -> BothColours:
    async def wait(payload: Any) -> Any:
        return block(payload)

    return block, wait


def _of_coroutine_function(
    invoke: Callable[[Any], Any],
    finish: Callable[[Any], Any],
    fail: Callable[[BaseException], NoReturn],
    home: Door,
) -> BothColours:
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


def failer(plugin: Plugin, hook: str) -> Callable[[BaseException], NoReturn]:
    """What becomes of an error that a plugin's code raised: told as the plugin's, and never the host's end.

    Args:
        plugin: whose code raised.
        hook: the hook that was called.
    """

    def fail(error: BaseException) -> NoReturn:
        if _is_callers(error):
            raise error
        if isinstance(error, PluginRegistryError) and (error.kind, error.plugin) == (plugin.kind, plugin.name):
            raise error  # it names the plugin, which raised nothing here
        note = f"raised by plugin {plugin.name!r} of kind {plugin.kind!r}, in hook {hook!r}"
        if isinstance(error, Exception):
            with suppress(Exception):  # frozen ones take no notes
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            raise error
        # SystemExit and its like would take the host along; a plugin's exit is a failure of this one call.
        raise PluginError(
            f"plugin {plugin.name!r} of kind {plugin.kind!r} raised {raised(error)}{place_of(error)}, in hook "
            f"{hook!r}; a plugin fails with an Exception, it does not end its host",
            error_type=type(error).__name__,
            kind=plugin.kind,
            plugin=plugin.name,
            hook=hook,
        ) from error

    return fail


def _is_callers(error: BaseException) -> bool:
    """Whether it is the caller's own doing: its cancellation, or the interrupt of a user."""
    if isinstance(error, asyncio.CancelledError):
        # A plugin may raise it too, having awaited something that was cancelled; nobody cancelled the caller then.
        return _is_cancelled()
    return is_interrupt(error) or isinstance(error, GeneratorExit)


def _is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here, so nothing can be cancelled
        return False
    return task is not None and task.cancelling() > 0
