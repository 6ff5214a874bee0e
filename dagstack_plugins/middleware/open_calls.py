"""What a middleware remembers of a call between its ``before`` and its ``after`` or ``on_error``."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

_open: ContextVar[tuple[object, ...] | None] = ContextVar("dagstack_plugins.open_calls", default=None)
"""The innermost open call, as (whose, what, the one around it): every task and thread has its own."""


class OpenCalls(Generic[T]):
    """The calls that one middleware is around, here and now."""

    def push(self, what: T) -> None:
        """Remember something of the call that begins."""
        _open.set((self, what, _open.get()))

    def pop(self) -> T | None:
        """What was remembered of the call that ends; ``None`` if its beginning was not seen here."""
        entry = _open.get()
        # A call that was broken off without a word, by a user's interrupt say, may have left one behind.
        while entry is not None and entry[0] is not self:
            entry = entry[2]  # type: ignore[assignment]
        if entry is None:
            return None
        _, what, around = entry
        _open.set(around)  # type: ignore[arg-type]
        return what  # type: ignore[return-value]
