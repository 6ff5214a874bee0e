"""How long a message between a host and a plugin elsewhere may be."""

from __future__ import annotations

from typing import Final

import mcp_types as types

LIMIT: Final = 10 * 1024 * 1024
"""Bytes that a message may have."""
TOO_LONG: Final = -32013
"""The code of the error that stands for an answer that was too long; of those that JSON-RPC leaves to servers."""

NO_ANSWER: Final = -32014
"""The code of the error that stands for an answer that never came."""

SESSION_OVER: Final = -32015
"""The code of the error that stands for an answer of a service that forgot the session."""


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
    error = types.ErrorData(code=TOO_LONG, message=too_long(length))
    return types.JSONRPCError(jsonrpc="2.0", id=number, error=error)
