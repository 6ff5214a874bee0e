"""How a command ends when it is told to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

INTERRUPTED: Final = 130
"""The status of a command that Ctrl-C ended."""
TERMINATED: Final = 143
"""The status of a command that SIGTERM ended."""


@contextmanager
def terminable() -> Iterator[list[int]]:
    """SIGTERM ends what runs inside in good order, as Ctrl-C does: by ``KeyboardInterrupt``.

    Yields:
        The signals that came, so that who catches that can tell which it was.

    Raises:
        click.exceptions.Exit: if nobody caught it, and it was SIGTERM.
    """
    signals: list[int] = []

    def interrupt(number: int, _: object) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield signals
    except KeyboardInterrupt:
        if signals:
            raise click.exceptions.Exit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
