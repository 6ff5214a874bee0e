"""ResourceRegistry: what the host lends to its plugins."""

from __future__ import annotations

import inspect
import pickle
import warnings
from typing import TYPE_CHECKING, Any, get_args, overload

from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.resources.clock import SystemClock
from dagstack_plugins.resources.closing import Held, raise_failures, run_closing
from dagstack_plugins.resources.lent import LentResources
from dagstack_plugins.resources.offers import STANDARD, Offer, Scope, Workshop, checked_wrap, maker_of, noting, usable
from dagstack_plugins.resources.rng import RandomRng
from dagstack_plugins.resources.tmpdir import ScopedTempDir
from dagstack_plugins.resources.travel import packed_resources
from dagstack_plugins.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagstack_plugins.resources.offers import Factory, Maker, Wrap
    from dagstack_plugins.resources.protocols import Borrower


class ResourceRegistry:
    """Holds the host's resources under their names, makes them when first needed, and closes them.

    It starts with ``clock`` (``SystemClock``), ``rng`` (``RandomRng``) and ``tmpdir`` (a ``ScopedTempDir`` for each
    plugin). All methods may be called from several threads at once.

    Examples:
        >>> from dagstack_plugins.resources.clock import FrozenClock
        >>> resources = ResourceRegistry()
        >>> resources.register("clock", FrozenClock())
        >>> resources.register("greeting", factory=lambda: "hello")
        >>> resources.names()
        ['clock', 'greeting', 'rng', 'tmpdir']
        >>> resources.get("greeting")
        'hello'
        >>> resources.close()

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._workshop = Workshop()
        self._offers: dict[str, Offer] = {}
        self._lent: dict[LentResources, Held] = {}  # until released, each with what was made for its plugin alone
        self._closed = False
        self._offer_standard("clock", "host", lambda _: SystemClock())
        self._offer_standard("rng", "host", lambda _: RandomRng())
        self._offer_standard("tmpdir", "plugin", _tmpdir_for)

    @overload
    def register(self, name: str, value: object) -> None: ...
    @overload
    def register(self, name: str, *, factory: Factory, scope: Scope = "host") -> None: ...
    def register(
        self, name: str, value: object = None, *, factory: Factory | None = None, scope: Scope = "host"
    ) -> None:
        """Give a name to a resource, or to the way to make it.

        The registry closes what it holds, registered values included, by the resource's own ``aclose`` or ``close``,
        if it has one.

        Args:
            name: what plugins call it; snake_case, so that they can read it as an attribute.
            value: the resource.
            factory: makes the resource when it is first needed. With ``scope="plugin"`` it gets the plugin's manifest
                if it has a parameter ``manifest``, or one argument that it cannot do without.
            scope: ``"host"``: one for all; ``"plugin"``: one for each plugin, closed after that plugin's teardown.

        Raises:
            PluginRegistryError: the name is taken (one that the registry came with can be replaced, until it is first
                used), or the registry is closed.
            TypeError: neither or both of value and factory were given, or the factory cannot be called as described.
            ValueError: the name cannot be one, or the scope is none.
        """
        _check_name(name)
        offer = self._offer(name, value, factory, scope)
        with self._workshop.changed:
            self._check_open()
            taken = self._offers.get(name)
            if taken is not None:
                _check_replaceable(taken)
                offer.wraps = taken.wraps
            self._offers[name] = offer
            if offer.resource is not None:
                self._workshop.held.add(name, offer.resource)

    def get(self, name: str) -> Any:
        """The host's own resource: bare, not decorated for any plugin.

        Args:
            name: a registered name.

        Returns:
            The resource, made if need be.

        Raises:
            PluginRegistryError: nothing has this name, each plugin has its own of it, or the registry is closed.
        """
        self._check_open()
        offer = self._find(name)
        if offer.resource is not None:
            return offer.shared()
        if offer.scope == "plugin":
            raise PluginRegistryError(
                f"the resource {name!r} is made for each plugin, so the host has none: "
                f"plugins read it as ctx.resources.{name}"
            )
        with noting(name):
            return offer.shared()

    def names(self) -> list[str]:
        """The registered names, sorted."""
        return sorted(self._offers)

    def decorate(self, name: str, wrap: Wrap) -> None:
        """Put something around a resource, for each plugin that reads it from now on.

        Several decorations lie around each other, the last one outermost. ``get`` goes on to hand out the bare
        resource, and that one is what the registry closes.

        Args:
            name: a registered name.
            wrap: ``wrap(resource, manifest)`` returns what the plugin of that manifest is to see; called once for each.

        Raises:
            PluginRegistryError: nothing has this name, or the registry is closed.
            TypeError: ``wrap`` can't be called like that.
        """
        with self._workshop.changed:
            self._check_open()
            self._find(name).wraps += (checked_wrap(name, wrap),)

    def missing(self, manifest: Borrower) -> list[str]:
        """The resources that a manifest requires and nobody registered, in the manifest's order."""
        return [name for name in manifest.resources.required if name not in self._offers]

    def lend(self, manifest: Borrower) -> LentResources:
        """Make what one plugin sees of this registry; the host calls its ``release`` after the plugin's teardown.

        Args:
            manifest: the plugin's manifest, which declares what it may read.

        Raises:
            PluginRegistryError: the registry is closed.
        """
        with self._workshop.changed:
            self._check_open()
            own, unreleased = Held(), self._lent
            lent = LentResources(manifest, self._offers, own, lambda released: unreleased.pop(released, None))
            unreleased[lent] = own
        return lent

    def pack(self, manifest: Borrower, lent: LentResources, worker: str) -> dict[str, bytes]:
        """What a plugin declares, for one of its worker processes.

        Args:
            manifest: the plugin's manifest.
            lent: what it was lent here.
            worker: the name of the process.

        Raises:
            PluginUnavailable: one can't go there.
        """
        return packed_resources(manifest, lent, self._offers, worker)

    @classmethod
    def unpack(cls, parcels: Mapping[str, bytes]) -> ResourceRegistry:
        """What ``pack`` made, in the process that it was made for.

        Args:
            parcels: by name.
        """
        resources = cls()
        for name, parcel in parcels.items():
            value, factory, wraps = pickle.loads(parcel)
            if factory is None:
                resources.register(name, value)
            else:
                resources.register(name, factory=factory, scope="plugin")
            for wrap in wraps:
                resources.decorate(name, wrap)
        return resources

    def close(self) -> None:
        """Close all that needs it, newest first; twice does no harm.

        What plugins still hold of their own comes first, then the host's.

        Raises:
            ExceptionGroup: some failed to close; the others were closed all the same.
            PluginRegistryError: one can be closed asynchronously only and an event loop is running; nothing was closed,
                use ``aclose``.
        """
        waiting = [name for held in self._all_held() for name in held.waiting()]
        run_closing(self._close, waiting=waiting, instead="await registry.aclose()")

    async def aclose(self) -> None:
        """The same as ``close``, from asynchronous code.

        Raises:
            ExceptionGroup: some failed to close; the others were closed all the same.
        """
        await self._close(blocking=False)

    async def _close(self, blocking: bool) -> None:
        with self._workshop.changed:
            self._closed = True
            lent_newest_first = tuple(self._lent)[::-1]
        failures: list[Exception] = []
        for lent in lent_newest_first:
            try:
                if blocking:
                    lent.release()
                else:
                    await lent.arelease()
            except ExceptionGroup as group:
                failures.append(group)
        failures += await self._workshop.held.close(blocking=blocking)
        raise_failures("resources failed to close", failures)

    def _offer_standard(self, name: str, scope: Scope, make: Maker) -> None:
        self._offers[name] = Offer(name, scope, make, self._workshop, standard=True)

    def _offer(self, name: str, value: object, factory: Factory | None, scope: Scope) -> Offer:
        if scope not in get_args(Scope):
            raise ValueError(f"the scope of the resource {name!r} is {scope!r}, it can be 'host' or 'plugin'")
        if factory is not None:
            if value is not None:
                raise TypeError(f"the resource {name!r} was given both as a value and as a factory: give one of them")
            return Offer(name, scope, maker_of(name, factory, scope), self._workshop, factory)
        if value is None:
            raise TypeError(f"the resource {name!r} is None, which stands for an absent one: give it, or a factory=")
        if inspect.isclass(value) and name in STANDARD:
            raise TypeError(
                f"the resource {name!r} is the class {value.__name__}: register one of its objects, as in "
                f"register({name!r}, {value.__name__}(…)), or the class as factory="
            )
        if scope == "plugin":
            raise TypeError(
                f"the resource {name!r} is one value, so all plugins share it: with scope='plugin' give a factory"
            )
        value = usable(name, value)
        return Offer(name, scope, lambda _: value, self._workshop, resource=value)

    def _all_held(self) -> tuple[Held, ...]:
        return self._workshop.held, *tuple(self._lent.values())

    def _find(self, name: str) -> Offer:
        try:
            return self._offers[name]
        except KeyError:
            raise PluginRegistryError(
                f"no resource is called {name!r}{nearest(name, self.names())}; there are {', '.join(self.names())}: "
                f"register({name!r}, …) adds it"
            ) from None

    def _check_open(self) -> None:
        if self._closed:
            raise PluginRegistryError(
                "the ResourceRegistry is closed: make a new one for what starts after its close()"
            )

    def __repr__(self) -> str:
        return f"<ResourceRegistry: {', '.join(self.names())}{' (closed)' if self._closed else ''}>"

    def __del__(self) -> None:
        if unclosed := [name for held in self._all_held() for name in held.unclosed()]:
            warnings.warn(
                f"a ResourceRegistry was dropped unclosed with {', '.join(unclosed)}: call close() or await aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a resource's name is a string that is not empty, got {name!r}")
    if name.startswith("_") or hasattr(LentResources, name):
        raise ValueError(f"a resource cannot be called {name!r}: plugins could not read it as ctx.resources.{name}")


def _check_replaceable(taken: Offer) -> None:
    if not taken.standard:
        raise PluginRegistryError(
            f"the resource {taken.name!r} is registered already: choose another name, or register it once"
        )
    if taken.used:
        raise PluginRegistryError(
            f"the resource {taken.name!r} is in use already: register yours before setup_all(), while nobody reads it"
        )


def _tmpdir_for(borrower: Borrower | None) -> ScopedTempDir:
    whose = f"{borrower.kind}-{borrower.name}-" if borrower is not None else ""
    return ScopedTempDir(prefix=f"dagstack-{whose}")
