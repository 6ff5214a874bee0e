"""What the standard resources can do, as protocols: a host may lend its own object wherever one is promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

T = TypeVar("T")

# Inside a class that has a method `list`, the name means that method.
Keys: TypeAlias = list[str]


@runtime_checkable
class Clock(Protocol):
    """Tells the time.

    .. versionadded:: 0.1
    """

    def now(self) -> datetime:
        """The current time, aware and in UTC."""
        ...

    def monotonic_ns(self) -> int:
        """A counter in nanoseconds that never goes back; only differences mean something."""
        ...


@runtime_checkable
class Rng(Protocol):
    """Gives random values.

    .. versionadded:: 0.1
    """

    def next_float(self) -> float:
        """A number in [0.0, 1.0)."""
        ...

    def next_int(self, low: int, high: int) -> int:
        """A number in [low, high], both ends included."""
        ...

    def uuid4(self) -> str:
        """A random UUID of version 4, in its usual form with hyphens."""
        ...

    def choice(self, items: list[T]) -> T:
        """One of the items."""
        ...


@runtime_checkable
class HttpResponse(Protocol):
    """What a server answered.

    .. versionadded:: 0.1
    """

    @property
    def status_code(self) -> int:
        """The status, such as 200 or 404."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found whatever their case."""
        ...

    def json(self) -> Any:
        """The body, read as JSON; raises ``ValueError`` if it is none."""
        ...

    def text(self) -> str:
        """The body, decoded."""
        ...


@runtime_checkable
class HttpClient(Protocol):
    """Talks to servers as the host set it up: certificates, timeouts, limits, retries.

    Each method returns whatever the server answered, errors of its own such as 404 and 503 included; no answer at all
    is an ``HttpError``.

    .. versionadded:: 0.1
    """

    async def get(self, url: str, *, headers: dict[str, str] | None = None) -> HttpResponse:
        """Read what is at ``url``."""
        ...

    async def post(self, url: str, *, json: Any = None, headers: dict[str, str] | None = None) -> HttpResponse:
        """Send ``json`` to ``url``; ``None`` sends no body."""
        ...

    async def put(self, url: str, *, json: Any = None, headers: dict[str, str] | None = None) -> HttpResponse:
        """Put ``json`` at ``url``; ``None`` sends no body."""
        ...

    async def delete(self, url: str, *, headers: dict[str, str] | None = None) -> HttpResponse:
        """Delete what is at ``url``."""
        ...


@runtime_checkable
class BlobStore(Protocol):
    """Keeps byte strings under keys; ``check_key`` of ``dagstack_plugins.resources.blob_store`` says which keys.

    .. versionadded:: 0.1
    """

    async def put(self, key: str, data: bytes, *, content_type: str | None = None) -> None:
        """Store ``data`` under ``key``, in place of what was there."""
        ...

    async def get(self, key: str) -> bytes:
        """What is stored under ``key``; raises ``BlobNotFound`` (a ``KeyError``) if nothing is."""
        ...

    async def delete(self, key: str) -> None:
        """Forget what is stored under ``key``; silent if nothing is."""
        ...

    async def list(self, prefix: str = "") -> Keys:
        """The keys that start with the string ``prefix``, sorted."""
        ...

    async def exists(self, key: str) -> bool:
        """Whether something is stored under ``key``."""
        ...


@runtime_checkable
class TempDir(Protocol):
    """A folder for passing use, removed after the plugin that it was made for.

    .. versionadded:: 0.1
    """

    @property
    def path(self) -> Path:
        """The folder."""
        ...

    def create_file(self, name: str, *, suffix: str = "") -> Path:
        """Make the empty file ``name + suffix`` in the folder."""
        ...

    def create_subdir(self, name: str) -> Path:
        """Make the empty folder ``name`` in the folder."""
        ...


@runtime_checkable
class GoesToWorkers(Protocol):
    """A resource that says how it gets to a plugin in a worker process; without this, it is pickled.

    .. versionadded:: 0.1
    """

    def for_worker(self, worker: str, /) -> object:
        """What goes to the worker process in its place, by pickle; raises to say why nothing can.

        Asked whenever a process starts, by the thread that needs it: quickly, please, and by several at once.

        Args:
            worker: the process's name, which no other process of this host has.
        """
        ...


class Declared(Protocol):
    """The resources that a manifest names."""

    @property
    def required(self) -> tuple[str, ...]:
        """Without these the plugin cannot run."""
        ...

    @property
    def optional(self) -> tuple[str, ...]:
        """These read ``None`` where the host has none."""
        ...


class Borrower(Protocol):
    """Whom resources are lent to: the part of a plugin's manifest that this room needs."""

    @property
    def kind(self) -> str:
        """The plugin's kind."""
        ...

    @property
    def name(self) -> str:
        """The plugin's name."""
        ...

    @property
    def resources(self) -> Declared:
        """What the plugin wants to borrow."""
        ...

    @property
    def file(self) -> Path | None:
        """The manifest's file, ``None`` for a manifest that was given as an object."""
        ...
