"""What stands behind one name of the registry: a value, or the way to make it."""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.resources.closing import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dagstack_plugins.resources.protocols import Borrower

Scope: TypeAlias = Literal["host", "plugin"]
Factory: TypeAlias = "Callable[..., object]"
Maker: TypeAlias = "Callable[[Borrower | None], object]"
Wrap: TypeAlias = "Callable[[Any, Any], object]"


class Workshop:
    """Where the resources are made that all plugins share: each once, one at a time.

    One lock for all, since a factory may ask for other resources: with a lock for each, two factories that need each
    other would wait for ever when they meet, where now they are found out.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = Held()
        self._making: list[str] = []

    def make(self, name: str, maker: Maker) -> Any:
        """Make one resource and hold it; the caller has the lock."""
        if name in self._making:
            circle = " -> ".join([*self._making[self._making.index(name) :], name])
            raise PluginRegistryError(f"the resource {name!r} needs itself to be made: {circle}; break the circle")
        self._making.append(name)
        try:
            resource = usable(name, maker(None))
        finally:
            self._making.pop()
        self.held.add(name, resource)
        return resource


@attrs.define(eq=False)
class Offer:
    """One name of the registry.

    Attributes:
        name: the resource's name.
        scope: ``"host"``: one for all plugins; ``"plugin"``: one for each.
        make: makes it, told for whom; a host's resource is for nobody in particular.
        workshop: where a host's resource is made.
        standard: the registry came with it, so the host may put another in its place.
        resource: the host's resource, once it is there.
        used: somebody had it.
        wraps: what decorates it for each plugin, innermost first.
    """

    name: str
    scope: Scope
    make: Maker
    workshop: Workshop
    standard: bool = False
    resource: Any = None
    used: bool = False
    wraps: tuple[Wrap, ...] = ()

    def shared(self) -> Any:
        """The host's resource, made if need be."""
        if self.resource is None:
            with self.workshop.lock:
                if self.resource is None:  # another thread may have been faster
                    self.resource = self.workshop.make(self.name, self.make)
        self.used = True
        return self.resource

    def fresh(self, borrower: Borrower) -> Any:
        """A resource for this plugin alone."""
        self.used = True
        return usable(self.name, self.make(borrower))

    def decorated(self, resource: Any, borrower: Borrower) -> Any:
        """The resource as this plugin is to see it."""
        for wrap in self.wraps:
            resource = usable(self.name, wrap(resource, borrower))
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
        error.add_note(f"while making the resource {name!r}{whom}")
        raise
