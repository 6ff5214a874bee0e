"""What becomes of what a plugin's method returned, before a caller gets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from dagstack_plugins.calls import StopChain
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.plugin import Plugin, PluginState

_DEGRADED: Final = PluginState.DEGRADED
Fail = Callable[[BaseException], NoReturn]
Invoke = Callable[[Any], Any]


class Ending(Protocol):
    """Checks and types results."""

    def finish(self, value: Any) -> Any:
        """What callers get of a result."""

    def around(self, invoke: Invoke, fail: Fail) -> Invoke:
        """A plain method with this ending, payload to what callers get; ``fail`` tells of its errors."""


class HandedBack:
    """Callers get just what was returned."""

    def finish(self, value: Any) -> Any:
        """The value."""
        return value

    def around(self, invoke: Invoke, fail: Fail) -> Invoke:
        """The method's errors are told of, no more."""

        def block(payload: Any) -> Any:
            try:
                return invoke(payload)
            except BaseException as error:
                fail(error)

        return block


class Checked:
    """Results are checked and typed, unless the hook hands them back; and who answers is degraded no more.

    Args:
        plugin: whose results they are.
        codec: the border of the hook.
    """

    def __init__(self, plugin: Plugin, codec: HookCodec) -> None:
        self._plugin = plugin
        self._name = str(plugin.name)
        self._codec = codec
        self._in_chain = codec.hook.dispatch is Dispatch.CHAIN and not codec.hands_back

    def finish(self, value: Any) -> Any:
        """What callers get of a result."""
        if self._in_chain and type(value) is StopChain:
            value = value.with_value(self._codec.result(value.value, self._name)) if value.has_value else value
        else:
            value = self._codec.result(value, self._name)
        if self._plugin.state is _DEGRADED:
            self._plugin.recover()
        return value

    # The same as `finish`, without a function's call where it can be: this is most of what a call costs.
    def around(self, invoke: Invoke, fail: Fail) -> Invoke:
        """A plain method with this ending."""
        if self._codec.hands_back:
            return _handing_back(self._plugin, invoke, fail)
        return _checking(self._plugin, self._codec.short_result, self.finish, invoke, fail)


def _handing_back(plugin: Plugin, invoke: Invoke, fail: Fail) -> Invoke:
    def block(payload: Any) -> Any:
        try:
            value = invoke(payload)
        except BaseException as error:
            fail(error)
        if plugin.state is _DEGRADED:
            plugin.recover()
        return value

    return block


def _checking(
    plugin: Plugin,
    from_dict: Callable[[dict[str, Any]], Any] | None,
    finish: Callable[[Any], Any],
    invoke: Invoke,
    fail: Fail,
) -> Invoke:
    def block(payload: Any) -> Any:
        try:
            value = invoke(payload)
        except BaseException as error:
            fail(error)
        if type(value) is dict and from_dict is not None and plugin.state is not _DEGRADED:
            try:
                result = from_dict(value)
            except BaseException as error:  # of what lies in it; the long way tells of that
                if is_interrupt(error):
                    raise
                result = None
            if result is not None:
                return result
        return finish(value)

    return block
