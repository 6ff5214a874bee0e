"""What callers hold: ``proxy.hook(…)``, ``proxy.aio.hook(…)``, ``proxy.sync.hook(…)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from dagstack_plugins.dispatch.base import Form, HasSlots, HookDispatcher, unknown_hook
from dagstack_plugins.dispatch.broadcast import BroadcastCollectDispatcher, BroadcastNotifyDispatcher
from dagstack_plugins.dispatch.capability import CapabilityDispatcher
from dagstack_plugins.dispatch.chain import ChainDispatcher
from dagstack_plugins.dispatch.singleton import ActiveDispatcher, PluginDispatcher, SingletonDispatcher
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind

DISPATCHERS: Final[Mapping[Dispatch, type[HookDispatcher]]] = {
    Dispatch.SINGLETON: SingletonDispatcher,
    Dispatch.BROADCAST_COLLECT: BroadcastCollectDispatcher,
    Dispatch.BROADCAST_NOTIFY: BroadcastNotifyDispatcher,
    Dispatch.CHAIN: ChainDispatcher,
    Dispatch.CAPABILITY: CapabilityDispatcher,
}

MakeDispatcher = Callable[[Hook, Form], HookDispatcher]


class Proxy:
    """The hooks of a kind as methods, whose arguments are the payload's.

    Attributes:
        aio: the same, each hook to be awaited whatever its colour.
        sync: the same, each hook blocking whatever its colour; an error on the plugins' own loop.
    """

    aio: Proxy
    sync: Proxy

    def __init__(self, kind: Kind, told: str, make: MakeDispatcher, form: Form = Form.OWN) -> None:
        self._kind = kind
        self._told = told
        self._make = make
        self._form = form

    def __getattr__(self, name: str) -> Any:
        # Found here once; from then on it is an attribute of the instance, and this is not asked.
        if name.startswith("_"):  # no hook, and Python's own look-ups may come before there are any
            raise AttributeError(name)
        found: Any
        if name in ("aio", "sync"):
            found = Proxy(self._kind, self._told, self._make, Form.AIO if name == "aio" else Form.SYNC)
        elif name in self._kind.hooks:
            found = self._make(self._kind.hooks[name], self._form)
        else:
            raise unknown_hook(self._kind, name)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        return [*self._kind.hooks, "aio", "sync"]

    def __repr__(self) -> str:
        form = "" if self._form is Form.OWN else f", {self._form.name.lower()}"
        return f"<proxy of {self._told}{form}; hooks: {', '.join(self._kind.hooks)}>"


def kind_proxy(registry: HasSlots, kind: Kind, require: frozenset[str] = frozenset()) -> Proxy:
    """A kind, each hook by its dispatch class."""

    def make(hook: Hook, form: Form) -> HookDispatcher:
        return DISPATCHERS[hook.dispatch](registry, kind.address, hook.name, form=form, require=require)

    return Proxy(kind, f"kind {kind.name!r}", make)


def active_proxy(registry: HasSlots, kind: Kind) -> Proxy:
    """The active plugin of a kind, whichever it is at each call."""

    def make(hook: Hook, form: Form) -> HookDispatcher:
        dispatcher = SingletonDispatcher if hook.dispatch is Dispatch.SINGLETON else ActiveDispatcher
        return dispatcher(registry, kind.address, hook.name, form=form)

    return Proxy(kind, f"the active plugin of kind {kind.name!r}", make)


def plugin_proxy(registry: HasSlots, kind: Kind, name: str) -> Proxy:
    """One plugin, by its name."""
    make = partial(PluginDispatcher, registry, kind.address, plugin=name)
    return Proxy(kind, f"plugin {name!r} of kind {kind.name!r}", lambda hook, form: make(hook.name, form=form))
