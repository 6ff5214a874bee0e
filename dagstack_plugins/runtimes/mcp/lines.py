"""MCP over the standard streams of a process: a message a line, as the official SDK's session wants them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from dagstack_plugins.runtimes.guarded_process import GuardedProcess
from dagstack_plugins.runtimes.mcp.failures import NotRead, TooDeep, TooLong
from dagstack_plugins.runtimes.mcp.limits import GARBAGE, LIMIT, TOO_LONG, too_long
from dagstack_plugins.wording import one_line

_ENDS: Final = 512
"""Bytes at both ends of a message that is too long, in one of which its number is."""
_NUMBER: Final = re.compile(rb'^\s*\{\s*"jsonrpc":\s*"2\.0",\s*"id":\s*(\d+)\s*,|[,{]\s*"id":\s*(\d+)\s*\}\s*$')
_SHOWN: Final = 200
"""Bytes of a line of noise that are told."""
_AT_ONCE: Final = 50
"""Lines after which others have their turn."""
_FLOOD, _WINDOW = 300, 0.25
"""So many lines that answer nothing are read in so many seconds, and no more."""
_ANSWER, _NOISE = 0.1, 0.1
"""What an answer, and a line that is no message, count as a part of a question or a notification."""
_UNREADABLE: Final = "its answer is none of a tool, or is nested too deeply"
_SMALL: Final = 1024 * 1024
"""Bytes that may wait for a process that doesn't read, before what it asked for is not answered any more."""


class _Stream:
    """What both directions have in common: the process closes its ends itself."""

    async def aclose(self) -> None:
        """Nothing is left to do."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Incoming(_Stream):
    """Messages of a process; what is none is told, and passed over.

    Args:
        process: whose output it is.
        noise: is told each line that is no message.

    Attributes:
        ended: is set when there are no more.
    """

    def __init__(self, process: GuardedProcess, noise: Callable[[str], None]) -> None:
        self.ended = asyncio.Event()
        self._lines = process.stdout
        self._noise = noise
        self._lines_read = 0
        self._came = 0.0
        self._unasked = 0
        self._window = time.monotonic()

    async def receive(self) -> SessionMessage | Exception:
        """The next message.

        Raises:
            anyio.EndOfStream: if there are no more.
        """
        try:
            return SessionMessage(await self._next())
        except (anyio.EndOfStream, OSError):
            self.ended.set()
            raise anyio.EndOfStream from None

    async def _next(self) -> types.JSONRPCMessage:
        while True:
            self._lines_read += 1
            if self._lines_read % _AT_ONCE == 0:  # what is there already is read without waiting
                await asyncio.sleep(0)
            try:
                line = await self._lines.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                if not error.partial.strip():
                    raise anyio.EndOfStream from None
                line = error.partial
            except asyncio.LimitOverrunError:
                line = await self._shortened()
            message = self._message(line)
            if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                await self._count(_ANSWER)
            else:
                await self._count(_NOISE if message is None else 1)
            if message is not None:
                return message

    async def _count(self, weight: float) -> None:
        """One that floods us is read slowly, so that others are heard."""
        self._came += weight
        self._unasked += weight == 1
        if self._came >= _FLOOD:
            took = time.monotonic() - self._window
            pause = _WINDOW - took
            if self._unasked > _FLOOD / 2 and took < 2 * _WINDOW:
                pause = max(pause, took)  # on a machine that has much to do, half of our time is others' all the same
            if pause > 0:
                await asyncio.sleep(pause)
            self._came = self._unasked = 0
            self._window = time.monotonic()

    def _message(self, line: bytes) -> types.JSONRPCMessage | None:
        if line.lstrip().startswith(b"{"):
            for text in (line, line.decode("utf-8", "replace")):
                with suppress(ValueError):
                    return types.jsonrpc_message_adapter.validate_json(text, by_name=False)
            head, tail = line[:_ENDS], line[-_ENDS:]
            if b'"jsonrpc"' in head + tail and (found := _number(head, tail)) is not None:
                error = types.ErrorData(code=types.INTERNAL_ERROR, message=_UNREADABLE, data=GARBAGE)
                return types.JSONRPCError(jsonrpc="2.0", id=found, error=error)
        if told := line[:_SHOWN].decode("utf-8", "replace").strip():
            self._noise(one_line(told))
        return None

    async def _shortened(self) -> bytes:
        """In place of a message that is too long, an error for the call that it answers."""
        head = tail = b""
        length = 0
        while not tail.endswith(b"\n"):
            try:
                part = await self._lines.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                part = await self._lines.read(error.consumed)
            except asyncio.IncompleteReadError as error:
                part = error.partial + b"\n"
            length += len(part)
            head = (head + part)[:_ENDS] if len(head) < _ENDS else head
            tail = (tail + part)[-_ENDS:]
        found = _number(head, tail)
        if found is None:
            return head[:_SHOWN] + b"\xe2\x80\xa6\n"
        return _too_long_answer(found, length).model_dump_json(by_alias=True).encode()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _too_long_answer(number: int | str, length: int) -> types.JSONRPCError:
    """What stands for an answer that is too long.

    Args:
        number: of the request that it answers.
        length: its bytes, as far as they came.
    """
    error = types.ErrorData(code=types.INTERNAL_ERROR, message=too_long(length), data=TOO_LONG)
    return types.JSONRPCError(jsonrpc="2.0", id=number, error=error)


def _number(head: bytes, tail: bytes) -> int | None:
    """The number of the call that an answer is for."""
    found = _NUMBER.search(head) or _NUMBER.search(tail)
    return None if found is None else int(found[1] or found[2])


class Outgoing(_Stream):
    """Messages to a process.

    Args:
        process: whose input it is.

    Attributes:
        ended: is set when it takes no more.
    """

    def __init__(self, process: GuardedProcess) -> None:
        self.ended = asyncio.Event()
        self._writer = process.stdin

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message.

        Raises:
            TooLong: if it has too many bytes; nothing is sent then.
            TooDeep: if it is nested deeper than messages may be; nothing is sent then.
            NotRead: if too much waits for the process already.
            anyio.BrokenResourceError: if the process is gone.
        """
        is_request = isinstance(item.message, types.JSONRPCRequest)
        waiting = self._writer.transport.get_write_buffer_size()
        if waiting > (LIMIT if is_request else _SMALL):
            if is_request:
                raise NotRead("it doesn't read what it is sent")
            return
        try:
            line = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        except ValueError:
            raise TooDeep from None
        if len(line) > LIMIT:
            raise TooLong(len(line))
        if self._writer.is_closing():
            self.ended.set()
            raise anyio.ClosedResourceError
        try:
            self._writer.write(line)
            # All else must not wait: a word that a call is cancelled comes from a caller who has waited enough, and a
            # process that asks and never reads would make us wait once for each of its questions.
            if is_request:
                await self._writer.drain()
        except OSError:
            self.ended.set()
            raise anyio.BrokenResourceError from None
