"""Checks of the numbers that hosts set resources up with."""

from __future__ import annotations

import math

from dagstack_plugins.wording import shown


def whole(name: str, value: object, *, least: int = 0) -> int:
    """A whole number.

    Args:
        name: the setting, for the message.
        value: what was given.
        least: the smallest that will do.

    Raises:
        ValueError: it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={shown(value)}: give a whole number from {least}")
    return value


def seconds(name: str, value: object) -> float:
    """A number of seconds.

    Raises:
        ValueError: it is none, negative, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name}={shown(value)}: give seconds, from 0")
    return value
