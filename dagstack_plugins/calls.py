"""One call of a hook: which it is, and the metadata that its caller bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_metadata: ContextVar[Mapping[str, Any]] = ContextVar("dagstack_plugins.metadata", default=_NOTHING)


def current_metadata() -> Mapping[str, Any]:
    """The metadata bound here and now; a read-only mapping."""
    return _metadata.get()


@contextmanager
def bound_metadata(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Bind ``values`` over what is bound already, for everything called inside.

    A context variable carries it, so tasks and ``asyncio.to_thread`` inherit it.

    Args:
        values: names and JSON values.
    """
    token = _metadata.set(MappingProxyType({**_metadata.get(), **values}))
    try:
        yield _metadata.get()
    finally:
        _metadata.reset(token)


class Call:
    """What a hook implementation is told beside its payload.

    One object serves every call of a hook, so that a call allocates nothing; ``metadata`` is looked up when it is read.

    Attributes:
        kind: the hook's kind.
        hook: the hook's name.
    """

    __slots__ = ("hook", "kind")

    def __init__(self, kind: str, hook: str) -> None:
        self.kind = kind
        self.hook = hook

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the caller bound with ``registry.metadata``."""
        return current_metadata()

    def __repr__(self) -> str:
        return f"Call({self.kind}.{self.hook})"


class StopChain:
    """What a chain plugin returns to end the chain; use the ready-made ``STOP_CHAIN``.

    Bare, the value before this plugin stands; ``STOP_CHAIN.with_value(x)`` ends the chain with ``x``.
    """

    __slots__ = ("has_value", "value")

    def __init__(self, value: Any = None, *, has_value: bool = False) -> None:
        self.value = value
        self.has_value = has_value

    def with_value(self, value: Any) -> StopChain:
        """End the chain with ``value``, which is checked as the plugin's output."""
        return StopChain(value, has_value=True)

    def __repr__(self) -> str:
        return f"STOP_CHAIN.with_value({self.value!r})" if self.has_value else "STOP_CHAIN"


STOP_CHAIN: Final = StopChain()
