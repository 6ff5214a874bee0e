"""An MCP server whose tools are the hooks of plugins: over the standard streams, or over HTTP."""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TextIO

import anyio
import mcp_types as types
import uvicorn
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from dagstack_plugins.addresses import bound
from dagstack_plugins.serving.offers import CannotOffer, Offer, Offers, UnknownTool
from dagstack_plugins.serving.streams import Lines, suppress_in_groups
from dagstack_plugins.version import VERSION

_LOOK: Final = 0.5
"""Seconds between looks whether the tools are others."""
_CONNECTIONS: Final = 1000
"""Clients that are told of changes without having asked for it."""
_LAST_WORDS: Final = 3
"""Seconds that calls under way have to end."""
_log: Final = logging.getLogger("dagstack_plugins")


class HostServer:
    """Serves what is offered.

    Args:
        offers: that.
    """

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._bus = InMemorySubscriptionBus()
        self._sessions: dict[int, ServerSession] = {}
        self._told = ""
        self._server: Server[Any] = Server(
            "dagstack-plugins",
            version=VERSION,
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=ListenHandler(self._bus),
        )

    async def _list(self, context: Any, _: Any) -> types.ListToolsResult:
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:  # later ones ask to be told
            self._remember(context.session)
        return types.ListToolsResult(tools=[offer.tool for offer in self._now().values()])

    def _remember(self, session: ServerSession) -> None:
        """Whom to tell of changes: each connection, until it is closed."""
        connection = session._connection  # noqa: SLF001 - sessions are made anew for each request
        if (number := id(connection)) not in self._sessions:
            connection.exit_stack.callback(self._sessions.pop, number, None)
        self._sessions[number] = session
        if len(self._sessions) > _CONNECTIONS:
            del self._sessions[next(iter(self._sessions))]

    async def _call(self, _: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            offer = self._offers.find(params.name)
        except (UnknownTool, CannotOffer) as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        return await self._offers.call(offer, params)

    def _now(self) -> dict[str, Offer]:
        try:
            return self._offers.now()
        except CannotOffer as error:
            if str(error) != self._told:
                self._told = str(error)
                _log.error("nothing is offered: %s", error)
            return {}

    async def _watch(self) -> None:
        """Tell clients when the tools are others."""
        before = self._now()
        while True:
            await asyncio.sleep(_LOOK)
            if (now := self._now()) != before:  # offers are made once, and are the same as long as nothing changes
                before = now
                await self._bus.publish(ToolsListChanged())
                for session in list(self._sessions.values()):
                    await session.send_tool_list_changed()

    async def _watched(self, serving: Coroutine[Any, Any, None]) -> None:
        watching = asyncio.ensure_future(self._watch())
        try:
            await serving
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def over_stdio(self, out: TextIO) -> None:
        """Serve over the standard streams, until the client closes them.

        Args:
            out: where answers go: standard output, which nobody else writes to any more.
        """
        await self._watched(self._over_stdio(out))

    async def _over_stdio(self, out: TextIO) -> None:
        options = self._server.create_initialization_options(NotificationOptions(tools_changed=True))
        lines: Any = Lines(sys.stdin.fileno())
        # A client that is gone is no failure of ours.
        with suppress_in_groups(BrokenPipeError):
            async with stdio_server(stdin=lines, stdout=anyio.wrap_file(out)) as (incoming, outgoing):
                await self._server.run(incoming, outgoing, options)

    async def over_http(
        self, host: str, port: int, token: str | None, ready: Callable[[int], None], over: asyncio.Event
    ) -> None:
        """Serve over HTTP.

        Args:
            host: the address to bind to.
            port: the port; 0 for one that is free.
            token: what clients must know, as a bearer token; ``None`` for all who reach it.
            ready: is told the port, once it listens.
            over: ends it.

        Raises:
            OSError: if the address can't be bound.
        """
        if token is None:
            app: Any = self._server.streamable_http_app(transport_security=_own_name_only(host))
        else:
            app = _Guarded(self._server.streamable_http_app(host=host), token)
        config = uvicorn.Config(app, log_config=None, log_level=None, ws="none", timeout_graceful_shutdown=_LAST_WORDS)
        server = uvicorn.Server(config)
        await self._watched(_until(server, bound(host, port), ready, over))


def _own_name_only(host: str) -> TransportSecuritySettings:
    """Pages of other sites reach a server on loopback by names of their own that lead there; those are refused."""
    names = dict.fromkeys(("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host))
    return TransportSecuritySettings(
        allowed_hosts=[f"{name}:*" for name in names], allowed_origins=[f"http://{name}:*" for name in names]
    )


async def _until(
    server: uvicorn.Server, listening: socket.socket, ready: Callable[[int], None], over: asyncio.Event
) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.001)
        ready(listening.getsockname()[1])
        ended = asyncio.ensure_future(over.wait())
        await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
    finally:
        server.should_exit = True
        await serving
        listening.close()


class _Guarded:
    """Lets those in who know the token.

    Args:
        app: what they get to.
        token: that.
    """

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not self._knows(scope["headers"]):
            headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b"a bearer token is needed\n"})
            return
        await self._app(scope, receive, send)

    def _knows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
