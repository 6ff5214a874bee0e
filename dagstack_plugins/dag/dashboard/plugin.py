"""``DashboardPlugin``: shows runs on a page; needs the extra ``web``."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dagstack_plugins.addresses import is_loopback
from dagstack_plugins.dag.dashboard.board import Board
from dagstack_plugins.dag.errors import DagError
from dagstack_plugins.dag.events import HookEvent
from dagstack_plugins.dag.gates import GateController
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plugins import DagPlugin
from dagstack_plugins.dag.shipped.prometheus import PrometheusPlugin
from dagstack_plugins.wording import shown

if TYPE_CHECKING:
    from dagstack_plugins.dag.dashboard.server import Server

_ENOUGH: Final = 16
"""Characters of a token that others can't guess."""


class DashboardPlugin(DagPlugin):
    """Serves a page that shows runs live, and lets people decide at gates.

    It prints the page's address; opening that lets a browser in. Programs send ``Authorization: Bearer TOKEN`` to
    ``/api/state``, ``/api/events``, ``/api/gates/NAME/approve`` and ``/reject``, and ``/metrics``.

    Examples:
        >>> from dagstack_plugins.dag import PluginManager
        >>> manager = PluginManager()
        >>> manager.register(DashboardPlugin(port=0))

    Args:
        host: the address to bind to; others than this machine's own need a ``token``.
        port: the port; 0: one that is free.
        gate_controller: the gates that people decide at on the page; the executor needs the same.
        open_browser: whether to open the page.
        token: what those know who may look and decide, 16 characters or more; left out, one is made.
        allowed_hosts: other names under which the page is reached, as behind a proxy.
        metrics: what ``/metrics`` tells; register it, too.
        title: what the page is called, where there are several.

    Raises:
        ValueError: if an argument is none that makes sense.
        ImportError: if starlette or uvicorn is not installed.
    """

    name = "dashboard"

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8765,
        gate_controller: GateController | None = None,
        open_browser: bool = False,
        token: str | None = None,
        *,
        allowed_hosts: Sequence[str] = (),
        metrics: PrometheusPlugin | None = None,
        title: str = "Dashboard",
    ) -> None:
        try:
            from dagstack_plugins.dag.dashboard.server import Server
        except ImportError as error:
            error.add_note("DashboardPlugin needs starlette and uvicorn: pip install 'dagstack-plugins[web]'")
            raise
        self._make = Server
        self._host = host
        self._port = _port(port)
        self._open_browser = open_browser
        self._is_own_token = token is not None
        self._token = _checked(token, host) if token is not None or not is_loopback(host) else secrets.token_urlsafe(24)
        self._allowed_hosts = tuple(_names(allowed_hosts))
        self._metrics = metrics
        self._board = Board(gate_controller, title)
        self._server: Server | None = None
        self._process = 0
        self._registered: list[Callable[[], None]] = []

    @property
    def address(self) -> str | None:
        """Where the page is, without the token; ``None`` while it is not served."""
        if self._server is None:
            return None
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(self._host, self._host)
        return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{self._server.port}"

    @property
    def url(self) -> str | None:
        """The address that lets a browser in; ``None`` while the page is not served."""
        return None if self.address is None else f"{self.address}/?token={quote(self._token, safe='')}"

    @property
    def token(self) -> str:
        """What those know who may look and decide."""
        return self._token

    def initialize(self, hooks: HookRegistry) -> None:
        """Serve the page, and listen to runs.

        Raises:
            DagError: if it is served already, or the port is in use.
        """
        if self._server is not None:
            raise DagError(f"the dashboard is served already, at {self.address}: call teardown() before")
        metrics = None if self._metrics is None else self._metrics.text
        self._server = self._make(self._board, self._host, self._port, self._token, self._allowed_hosts, metrics)
        self._process = os.getpid()
        try:
            self._listen(hooks)
            self._say_where()
        except BaseException:
            self.teardown()
            raise

    def _listen(self, hooks: HookRegistry) -> None:
        board = self._board
        if board.gates is not None:
            self._registered.append(board.gates.watch(board.gate_changed))
        for event, callback in (
            (HookEvent.PRE_EXECUTE, board.begins),
            (HookEvent.PRE_NODE, board.node_begins),
            (HookEvent.POST_NODE, board.node_succeeded),
            (HookEvent.ON_ERROR, board.node_failed),
            (HookEvent.POST_EXECUTE, board.ended),
        ):
            self._registered.append(hooks.register(event, callback))

    def _say_where(self) -> None:
        # A token of the user's own is known, and may stand in other places than logs.
        where = f"{self.address}/ (it asks for your token)" if self._is_own_token else self.url
        with suppress(AttributeError, OSError, ValueError):  # a program may have no output, or nobody who reads it
            sys.stdout.write(f"Dashboard: {where}\n")
            sys.stdout.flush()
        if self._open_browser and self.url is not None:
            # In a thread: some browsers are programs that run until they are closed.
            threading.Thread(target=webbrowser.open, args=[self.url], daemon=True).start()

    def teardown(self) -> None:
        """Tell pages the end, and serve them no more; what is known of runs is kept for another ``initialize``."""
        server, self._server = self._server, None
        while self._registered:
            self._registered.pop()()
        if server is not None and os.getpid() == self._process:  # a fork has the server's name only
            self._board.deaf()
            server.close()


def _port(port: object) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65_536:
        raise ValueError(f"port is a whole number from 0 to 65535, found {shown(port)}")
    return port


def _names(given: object) -> Sequence[str]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
        raise ValueError(f"allowed_hosts are several names: ['dashboard.example'], found {shown(given)}")
    return given


def _checked(token: object, host: str) -> str:
    if token is not None and (not isinstance(token, str) or not token.strip()):  # its value stands in no message
        raise ValueError(f"token is a text that is not empty, found {type(token).__name__}")
    make = 'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
    if token is None:
        raise ValueError(f"others reach what is bound to {host!r}, so that it needs a token of your own: {make}")
    if len(token) < _ENOUGH or token != token.strip():
        raise ValueError(f"token has {_ENOUGH} characters or more, and no space at its ends: {make}")
    return token
