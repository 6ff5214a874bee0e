"""How long a message between a host and a plugin elsewhere may be, and what stands for one that never came."""

from __future__ import annotations

import secrets
from typing import Final

import mcp_types as types

LIMIT: Final = 10 * 1024 * 1024
"""Bytes that a message may have."""

# In the data of an error, as its code may be anyone's: no server can guess these.
TOO_LONG: Final = f"too long {secrets.token_hex(8)}"
"""It stands for an answer that was too long."""
NO_ANSWER: Final = f"no answer {secrets.token_hex(8)}"
"""It stands for an answer that never came."""
SESSION_OVER: Final = f"session over {secrets.token_hex(8)}"
"""It stands for an answer of a service that forgot the session."""


class NotRead(Exception):
    """A process doesn't read what it is sent."""


class TooLong(Exception):
    """A message has more bytes than any may have.

    Args:
        length: that many.
    """

    def __init__(self, length: int) -> None:
        super().__init__(f"takes {length} bytes as JSON, and at most {LIMIT} go to a plugin in another process")
        self.length = length


def too_long(length: int) -> str:
    """What is told of an answer that is too long, of which so many bytes came."""
    told = f"its answer has more than {LIMIT} bytes ({length} came)"
    return f"{told}; hand over a path, or a key of the blob store, instead"


def too_long_answer(number: int | str, length: int) -> types.JSONRPCError:
    """What stands for an answer that is too long.

    Args:
        number: of the request that it answers.
        length: its bytes, as far as they came.
    """
    error = types.ErrorData(code=types.INTERNAL_ERROR, message=too_long(length), data=TOO_LONG)
    return types.JSONRPCError(jsonrpc="2.0", id=number, error=error)
