"""What tests expect to be raised, without pytest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Raised = TypeVar("Raised", bound=BaseException)


def raised_by(told: str, kind: type[Raised] | tuple[type[Raised], ...], call: Callable[..., Any], *args: Any) -> Raised:
    """The error that a call raises.

    Args:
        told: what it would mean if it raised none.
        kind: the kinds of errors that may come.
        call: what is called.
        args: its arguments.

    Raises:
        AssertionError: if there is none.
    """
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError(told)
