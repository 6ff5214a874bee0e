"""What a middleware remembers of a call between its ``before`` and its ``after`` or ``on_error``."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Entry(NamedTuple):
    """An open call: who remembers it, what is remembered, and the open call around it."""

    whose: object
    what: Any
    around: _Entry | None


_open: ContextVar[_Entry | None] = ContextVar("dagstack_plugins.open_calls", default=None)
"""The innermost open call: every task and thread has its own."""


class OpenCalls(Generic[T]):
    """The calls that one middleware is around, here and now."""

    def push(self, what: T) -> None:
        """Remember something of the call that begins."""
        _open.set(_Entry(self, what, _open.get()))

    def pop(self) -> T | None:
        """What was remembered of the call that ends; ``None`` if its beginning was not seen here."""
        entry = _open.get()
        # A call that was broken off without a word, by a user's interrupt say, may have left one behind.
        while entry is not None and entry.whose is not self:
            entry = entry.around
        if entry is None:
            return None
        _open.set(entry.around)
        what: T = entry.what
        return what
