"""How long a message between a host and a plugin elsewhere may be, and what stands for one that never came."""

from __future__ import annotations

import secrets
from typing import Any, Final

LIMIT: Final = 10 * 1024 * 1024
"""Bytes that a message may have."""

# In the data of an error, as its code may be anyone's: no server can guess these.
TOO_LONG: Final = f"too long {secrets.token_hex(8)}"
"""It stands for an answer that was too long."""
NO_ANSWER: Final = f"no answer {secrets.token_hex(8)}"
"""It stands for an answer that never came."""
UNREACHABLE: Final = f"unreachable {secrets.token_hex(8)}"
"""It stands for an answer of a service to which nothing could be delivered."""
GARBAGE: Final = f"garbage {secrets.token_hex(8)}"
"""It stands for an answer that can't be read."""
SESSION_OVER: Final = f"session over {secrets.token_hex(8)}"
"""It stands for an answer of a service that forgot the session."""


DEEPEST: Final = 180
"""Levels that a payload or a result may be nested; SDKs read some 200 of a message."""
INSTEAD: Final = "hand over a path, or a key of the blob store, instead"
"""What to do with what is too long."""


def is_too_deep(value: Any) -> bool:
    """Whether JSON is nested deeper than a message may be.

    Args:
        value: the JSON.

    Examples:
        >>> is_too_deep({"a": [1, {"b": []}]})
        False
    """
    layer = [value]
    for _ in range(DEEPEST):
        layer = [
            below
            for one in layer
            for below in (one.values() if type(one) is dict else one)
            if type(below) is dict or type(below) is list
        ]
        if not layer:
            return False
    return True


def too_long(length: int) -> str:
    """What is told of an answer that is too long, of which so many bytes came."""
    return f"its answer has more than {LIMIT} bytes ({length} came); {INSTEAD}"
