"""What stands behind one name of the registry: a value, or the way to make it."""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.resources.closing import Held, in_a_loop
from dagstack_plugins.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dagstack_plugins.resources.protocols import Borrower

Scope: TypeAlias = Literal["host", "plugin"]
Factory: TypeAlias = "Callable[..., object]"
Maker: TypeAlias = "Callable[[Borrower | None], object]"
Wrap: TypeAlias = "Callable[[Any, Any], object]"


MAKING: Final = "while making the resource "
"""How the note begins that tells what failed."""

STANDARD: Final = {
    "clock": "Clock",
    "rng": "Rng",
    "http_client": "HttpClient",
    "blob_store": "BlobStore",
    "tmpdir": "TempDir",
}
"""The protocols of the resources of these names."""

_PATIENCE: Final = 10.0
"""Seconds that an event loop waits for a resource that another thread makes, which may be waiting for that loop."""


class Workshop:
    """Where the resources are made that all plugins share, each once; a slow one holds up only those who want it.

    Attributes:
        changed: the lock of all bookkeeping, never held while a factory runs; told when a factory ended.
        held: what has to be closed.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.held = Held()
        self._makers: dict[str, int] = {}
        self._waiting: dict[int, str] = {}

    def make(self, offer: Offer) -> None:
        """Make a resource and hold it; where another thread makes it already, wait for that."""
        me = threading.get_ident()
        with self.changed:
            while offer.resource is None and offer.name in self._makers:
                self._check_circle(offer.name, me)
                self._wait(offer.name, me)
            if offer.resource is not None:
                return
            self._makers[offer.name] = me
        resource = None
        try:
            resource = usable(offer.name, offer.make(None))
        finally:
            with self.changed:
                del self._makers[offer.name]
                if resource is not None:
                    offer.resource = resource
                    self.held.add(offer.name, resource)
                self.changed.notify_all()

    def _wait(self, name: str, me: int) -> None:
        self._waiting[me] = name
        try:
            told = self.changed.wait(_PATIENCE if in_a_loop() else None)
        finally:
            del self._waiting[me]
        if not told:
            raise PluginRegistryError(
                f"another thread has been making the resource {name!r} for {_PATIENCE:g} s, and the event loop cannot "
                "wait any longer; read it in a plain `def setup`, which runs in a thread of its own"
            )

    def _check_circle(self, name: str, me: int) -> None:
        """Follow who waits for whom; where that leads back here, all would wait for ever."""
        way = [name]
        while (maker := self._makers.get(way[-1])) != me:
            wanted = self._waiting.get(maker) if maker is not None else None
            if wanted is None:
                return
            way.append(wanted)
        mine = [one for one, maker in self._makers.items() if maker == me]
        circle = " -> ".join([*mine[mine.index(way[-1]) :], *way])
        raise PluginRegistryError(f"the resource {name!r} needs itself to be made: {circle}; break the circle")


@attrs.define(eq=False)
class Offer:
    """One name of the registry.

    Attributes:
        name: the resource's name.
        scope: ``"host"``: one for all plugins; ``"plugin"``: one for each.
        make: makes it, told for whom; a host's resource is for nobody in particular.
        workshop: where a host's resource is made.
        factory: what the host gave to make it, if it did.
        standard: the registry came with it, so the host may put another in its place.
        resource: the host's resource, once it is there.
        used: somebody had it.
        wraps: what decorates it for each plugin, innermost first.
    """

    name: str
    scope: Scope
    make: Maker
    workshop: Workshop
    factory: Factory | None = None
    standard: bool = False
    resource: Any = None
    used: bool = False
    wraps: tuple[Wrap, ...] = ()

    def shared(self) -> Any:
        """The host's resource, made if need be."""
        if self.resource is None:
            self.workshop.make(self)
        self.used = True
        return self.resource

    def fresh(self, borrower: Borrower) -> Any:
        """A resource for this plugin alone."""
        self.used = True
        return usable(self.name, self.make(borrower))

    def decorated(self, resource: Any, borrower: Borrower) -> Any:
        """The resource as this plugin is to see it."""
        bare = resource
        for wrap in self.wraps:
            resource = wrap(resource, borrower)
            if resource is None:
                raise TypeError(f"what decorates the resource {self.name!r} returned None, not what plugins are to see")
            usable(self.name, resource)
        _check_decorated(self.name, bare, resource)
        return resource


def usable(name: str, resource: object) -> Any:
    """Hand back the resource, unless it is a slip: ``None``, or a coroutine that nobody awaited."""
    if resource is None:
        raise TypeError(
            f"the resource {name!r} is None, which stands for one that is absent: return or register the object"
        )
    if inspect.iscoroutine(resource):
        resource.close()
        raise TypeError(f"the resource {name!r} is a coroutine: await it first, as in register({name!r}, await make())")
    return resource


def _check_decorated(name: str, bare: object, decorated: object) -> None:
    """Refuse a decorated standard resource that lost what plugins rely on.

    What the host registered is its own affair; a decorator is to leave all of that as it is.
    """
    if name not in STANDARD or decorated is bare:
        return
    from dagstack_plugins.resources import protocols  # imported here: most hosts decorate nothing

    wanted = [member for member in vars(getattr(protocols, STANDARD[name])) if not member.startswith("_")]
    if lost := [member for member in wanted if hasattr(bare, member) and not hasattr(decorated, member)]:
        raise TypeError(
            f"what decorates the resource {name!r} returned {shown(decorated)}, without {' and '.join(lost)}: "
            f"hand on all that {name!r} can do"
        )


def checked_wrap(name: str, wrap: Wrap) -> Wrap:
    """Refuse at once what could not be called for a plugin later.

    Raises:
        TypeError: it can't be called with a resource and a manifest.
    """
    if not callable(wrap):
        raise TypeError(f"what decorates the resource {name!r} is not callable: {shown(wrap)}")
    try:
        signature = inspect.signature(wrap)
    except (TypeError, ValueError):  # some built-in ones tell nothing about themselves
        return wrap
    if not _takes(signature, None, None):
        raise TypeError(
            f"what decorates the resource {name!r} must take the resource and the plugin's manifest, its signature is "
            f"{signature}"
        )
    return wrap


def maker_of(name: str, factory: Factory, scope: Scope) -> Maker:
    """Settle once how a factory is called.

    A plugin's factory gets the manifest if it has a parameter ``manifest``, or one argument that it cannot do without.
    A host's factory gets nothing, since what it makes is for no plugin in particular.

    Raises:
        TypeError: it cannot be called so.
    """
    if not callable(factory):
        raise TypeError(f"the factory of the resource {name!r} is not callable: {factory!r}")
    if inspect.iscoroutinefunction(factory):
        raise TypeError(
            f"the factory of the resource {name!r} is a coroutine function, but resources are read without await: "
            f"make it first, as in register({name!r}, await make())"
        )
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # some built-in ones tell nothing about themselves
        return lambda _: factory()
    if scope == "plugin" and "manifest" in signature.parameters and _takes(signature, manifest=None):
        return lambda borrower: factory(manifest=borrower)
    if _takes(signature):
        return lambda _: factory()
    if scope == "plugin" and _takes(signature, None):
        return lambda borrower: factory(borrower)
    wanted = "no argument, or the manifest alone" if scope == "plugin" else "no argument"
    hint = '; if it needs the manifest, add scope="plugin"' if scope == "host" and _takes(signature, None) else ""
    raise TypeError(f"the factory of the resource {name!r} must take {wanted}, its signature is {signature}{hint}")


def _takes(signature: inspect.Signature, *args: None, **kwargs: None) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


@contextlib.contextmanager
def noting(name: str, borrower: Borrower | None = None) -> Iterator[None]:
    """Add to any error that comes by which resource was being made, and for whom."""
    try:
        yield
    except Exception as error:
        whom = f" for the plugin {borrower.kind}/{borrower.name}" if borrower is not None else ""
        error.add_note(f"{MAKING}{name!r}{whom}")
        raise
