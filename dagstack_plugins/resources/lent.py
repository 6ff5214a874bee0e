"""What one plugin sees of the host's resources: ``ctx.resources``."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from dagstack_plugins.errors import PluginRegistryError, ResourceUndeclared
from dagstack_plugins.resources.closing import raise_failures, run_closing
from dagstack_plugins.resources.offers import noting
from dagstack_plugins.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dagstack_plugins.resources.closing import Held
    from dagstack_plugins.resources.offers import Offer
    from dagstack_plugins.resources.protocols import BlobStore, Borrower, Clock, HttpClient, Rng, TempDir


class LentResources:
    """The resources that one plugin's manifest declares, by attribute and by ``get``.

    Made by ``ResourceRegistry.lend``. Each resource is looked up, made and decorated when the plugin first reads it;
    from then on reading it is a plain attribute access.

    Args:
        borrower: the plugin's manifest.
        offers: the registry's names, as they are at any time.
        own: takes what is made for this plugin alone.
        on_release: told when all was given back.

    .. versionadded:: 0.1
    """

    # Private state lives in slots, so the instance's dictionary holds the plugin's resources and nothing else.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_borrower",
        "_declared",
        "_lock",
        "_offers",
        "_on_release",
        "_own",
        "_released",
    )

    if TYPE_CHECKING:
        clock: Clock
        rng: Rng
        http_client: HttpClient
        blob_store: BlobStore
        tmpdir: TempDir

    def __init__(
        self,
        borrower: Borrower,
        offers: Mapping[str, Offer],
        own: Held,
        on_release: Callable[[LentResources], object],
    ) -> None:
        self._borrower = borrower
        self._offers = offers
        self._declared = tuple(dict.fromkeys((*borrower.resources.required, *borrower.resources.optional)))
        self._own = own
        self._on_release = on_release
        self._lock = threading.RLock()
        self._released = False

    def get(self, name: str) -> Any:
        """The resource of that name.

        Args:
            name: a name that the manifest declares.

        Returns:
            The resource; ``None`` for an optional one that the host does not have.

        Raises:
            ResourceUndeclared: the manifest does not declare it.
            PluginRegistryError: the resources were given back, as the plugin was torn down.
        """
        resource = self.__dict__.get(name)
        return self._borrow(name) if resource is None else resource

    def __getattr__(self, name: str) -> Any:
        # Comes here for what was not read before. Python's own look-ups (copy, pickle, inspect) are no resources.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._borrow(name)

    def release(self) -> None:
        """Give all back after the plugin's teardown; twice does no harm.

        What was made for this plugin alone is closed, newest first.

        Raises:
            ExceptionGroup: some failed to close; the others were closed all the same.
            PluginRegistryError: one can be closed asynchronously only and an event loop is running; use ``arelease``.
        """
        run_closing(self._close, waiting=self._own.waiting(), instead="await resources.arelease()")

    async def arelease(self) -> None:
        """The same as ``release``, from asynchronous code.

        Raises:
            ExceptionGroup: some failed to close; the others were closed all the same.
        """
        await self._close(blocking=False)

    async def _close(self, blocking: bool) -> None:
        self._released = True
        # Not waited for: a factory that hangs holds it, and an event loop would wait here.
        locked = self._lock.acquire(blocking=False)
        try:
            self.__dict__.clear()
        finally:
            if locked:
                self._lock.release()
        failures = await self._own.close(blocking=blocking)
        self._on_release(self)
        raise_failures(f"resources of {self._whose()} failed to close", failures)

    def _borrow(self, name: str) -> Any:
        if name not in self._declared:
            raise _undeclared(name, self._borrower, self._declared)
        offer = self._offers.get(name)
        if offer is None and not self._released and name not in self._borrower.resources.required:
            return None
        with self._lock:
            if self._released:
                raise self._error(
                    f"{self._whose()} reads the resource {name!r} after its teardown: resources are lent until then"
                )
            if offer is None:
                raise self._error(f"{self._whose()} requires the resource {name!r}, which the host has not registered")
            if name not in self.__dict__:  # another thread may have been faster
                resource = self._take(offer)
                if self._released:  # meanwhile
                    raise self._error(f"{self._whose()} was torn down while the resource {name!r} was made for it")
                self.__dict__[name] = resource
            return self.__dict__[name]

    def _take(self, offer: Offer) -> Any:
        with noting(offer.name, self._borrower):
            return offer.decorated(self._bare(offer), self._borrower)

    def _bare(self, offer: Offer) -> Any:
        if offer.scope == "host":
            return offer.shared()
        # It may be there already, if decorating it failed last time.
        resource = self._own.get(offer.name)
        if resource is None:
            resource = offer.fresh(self._borrower)
            self._own.add(offer.name, resource)
        return resource

    def _whose(self) -> str:
        return f"the plugin {self._borrower.kind}/{self._borrower.name}"

    def _error(self, message: str) -> PluginRegistryError:
        return PluginRegistryError(message, kind=self._borrower.kind, plugin=self._borrower.name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __contains__(self, name: object) -> bool:
        return name in self._declared

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._declared})

    def __repr__(self) -> str:
        return f"<resources of {self._borrower.kind}/{self._borrower.name}: {', '.join(self._declared) or 'none'}>"


def _undeclared(name: str, borrower: Borrower, declared: tuple[str, ...]) -> ResourceUndeclared:
    where = f" in {borrower.file}" if borrower.file is not None else ""
    return ResourceUndeclared(
        f"the plugin {borrower.kind}/{borrower.name} reads the resource {name!r}, which its manifest does not declare"
        f"{nearest(name, declared)}; to declare it, write{where}:\n{_declaration(name, borrower)}",
        resource=name,
        kind=borrower.kind,
        plugin=borrower.name,
    )


def _declaration(name: str, borrower: Borrower) -> str:
    """The manifest's lines that declare this resource too, in the form that the manifest has."""
    required = json.dumps([*borrower.resources.required, name])
    if borrower.file is not None and borrower.file.suffix == ".json":
        return f'"resources": {{"required": {required}}}'
    table = "tool.dagstack.plugin" if borrower.file is not None and borrower.file.name == "pyproject.toml" else "plugin"
    return f"[{table}.resources]\nrequired = {required}"
