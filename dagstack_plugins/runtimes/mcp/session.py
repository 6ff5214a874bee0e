"""MCP's client, from the official SDK, as a connection: what it raises, told in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import mcp_types as types
from mcp import Client
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from dagstack_plugins.runtimes.mcp.failures import AnswerTooLong, Closed, Lost, NoAnswer, NotRead, Refused, Unreachable
from dagstack_plugins.runtimes.mcp.limits import LIMIT, NO_ANSWER, SESSION_OVER, TOO_LONG, UNREACHABLE
from dagstack_plugins.version import VERSION
from dagstack_plugins.wording import one_line, raised

_PAGES: Final = 100
"""Pages of a list of tools; a server that never ends it must not hold up a start."""
_LONGEST: Final = 1000
"""Characters of an error that are told."""
_STREAM: Final = "SSE stream"
"""How the SDK begins to tell of the end of one answer."""
_CLOSED: Final = (types.CONNECTION_CLOSED, "Connection closed")
"""How it tells of the end of all."""
_SSE_LIMIT: Final = "Server-sent event exceeded"
_MOST: Final = 10_000
"""Tools of one server."""
_US: Final = types.Implementation(name="dagstack-plugins", version=VERSION)


class Session:
    """A connection to a server.

    Args:
        session: MCP's client.
        broken: waits until it is broken, and says why.
    """

    def __init__(self, session: ClientSession, broken: Callable[[], Awaitable[str]]) -> None:
        self._session = session
        self._broken = broken

    async def broken(self) -> str:
        """Wait until it is broken, and say why."""
        return await self._broken()

    async def tools(self) -> list[types.Tool]:
        """The tools that the server lists.

        Raises:
            Lost: if it doesn't.
        """
        tools: list[types.Tool] = []
        cursor: str | None = None
        length = 0
        for _ in range(_PAGES):
            page = await self._page(cursor)
            tools += page.tools
            length += len(await asyncio.to_thread(page.model_dump_json))
            if length > LIMIT:
                raise Lost(f"its list of tools has more than {LIMIT} bytes")
            if len(tools) > _MOST:
                raise Lost(f"it lists more than {_MOST} tools")
            if not (cursor := page.next_cursor):
                return tools
        raise Lost(f"its list of tools has more than {_PAGES} pages")

    async def _page(self, cursor: str | None) -> types.ListToolsResult:
        params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
        try:
            return await self._session.list_tools(params=params)
        except MCPError as error:
            raise Lost(f"it does not list its tools: {one_line(error.message[:_LONGEST])}") from None
        except (ValidationError, RuntimeError) as error:
            raise Lost(f"its list of tools is none: {_short(error)}") from None

    async def call(self, tool: str, arguments: dict[str, Any], meta: dict[str, Any] | None) -> types.CallToolResult:
        """Call a tool.

        Raises:
            TooLong: if the arguments are; nothing was sent.
            AnswerTooLong: if the answer is.
            NoAnswer: if there is none.
            Lost: if the connection broke.
            Refused: if the server answers with an error of the protocol.
        """
        params = types.CallToolRequestParams(name=tool, arguments=arguments, _meta=meta)  # type: ignore[arg-type]
        try:
            # Not `call_tool`: that checks outputs by the server's own schema, and the kind's is what counts.
            return await self._session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
        except MCPError as error:
            abandoned = error.code == types.CONNECTION_CLOSED and error.message.startswith(_STREAM)
            if error.data == TOO_LONG or (abandoned and _SSE_LIMIT in error.message):
                raise AnswerTooLong(error.message) from None
            if abandoned:
                raise NoAnswer(f"the service broke off its answer: {error.message}") from None
            if error.data == SESSION_OVER or (error.code, error.message) == _CLOSED:
                raise Lost("the connection broke during the call") from None
            if error.data == UNREACHABLE:
                raise Unreachable(error.message) from None
            if error.data == NO_ANSWER:
                raise NoAnswer(error.message) from None
            raise Refused(one_line(error.message[:_LONGEST])) from None
        except NotRead as error:
            raise NoAnswer(str(error)) from None
        except (ValidationError, RuntimeError) as error:
            raise Refused(f"its answer is none of a tool: {_short(error)}") from None


def _short(error: Exception) -> str:
    """The validator's account of a message, which may repeat all of it, cut."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    return str(error)[:200]


@asynccontextmanager
async def opened(
    transport: AbstractAsyncContextManager[Any], broken: Callable[[], Awaitable[str]]
) -> AsyncIterator[Session]:
    """A session over a transport, after the handshake.

    Args:
        transport: the SDK's streams.
        broken: waits until the connection is broken, and says why.

    Raises:
        Lost: if there is no handshake.
    """
    greeted = False
    try:
        async with Client(transport, client_info=_US, cache=None) as client:
            greeted = True
            yield Session(client.session, broken)
    except (Exception, BaseExceptionGroup) as error:
        cause = _cause(error)
        if greeted and isinstance(cause, TimeoutError | OSError):  # of who uses it
            raise cause from None
        raise _as_lost(cause) from None


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):  # of the SDK's task groups
        error = error.exceptions[0]
    return error


def _as_lost(error: BaseException) -> BaseException:
    if isinstance(error, Lost) or not isinstance(error, Exception):
        return error
    if isinstance(error, MCPError):
        if error.data in (NO_ANSWER, UNREACHABLE):
            return Lost(error.message)
        if (error.code, error.message) == _CLOSED:
            return Closed("it closed the connection")
        return Lost(f"the handshake failed: {one_line(error.message[:_LONGEST])}")
    return Lost(f"the handshake failed: {_short(error) or raised(error)}")
