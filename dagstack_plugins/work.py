"""The unit of work that runs here and now, to which ``ctx.checkpoint``, ``ctx.progress``, ``ctx.cancelled`` belong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Work(Protocol):
    """One attempt at one unit of work."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state for this unit; raises ``UnitCancelled``, after that, if nobody wants it any more."""

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state that was kept for this unit, and its version."""

    def list(self, scope: str, prefix: str = "") -> Any:
        """The keys of states that were kept for this unit."""

    def emit(self, event: Any) -> None:
        """Take a ``ProgressEvent``."""


_work: ContextVar[Work | None] = ContextVar("dagstack_plugins.work", default=None)


def current_work() -> Work | None:
    """The unit of work that runs here; ``None`` outside of all."""
    return _work.get()


@contextmanager
def bound_work(work: Work) -> Iterator[None]:
    """Everything called inside belongs to a unit of work.

    A context variable carries it, so tasks and ``asyncio.to_thread`` inherit it; other threads that a plugin starts do
    not.

    Args:
        work: the unit.
    """
    token = _work.set(work)
    try:
        yield
    finally:
        _work.reset(token)
