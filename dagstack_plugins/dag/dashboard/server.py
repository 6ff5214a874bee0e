"""A web server in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import socket
import time
from contextlib import suppress
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dagstack_plugins.addresses import bound
from dagstack_plugins.dag.dashboard.board import Board
from dagstack_plugins.dag.dashboard.guard import Guard
from dagstack_plugins.dag.dashboard.web import Metrics, Web
from dagstack_plugins.dag.errors import DagError
from dagstack_plugins.runtimes.background import BackgroundLoop

_LAST_WORDS: Final = 3
"""Seconds that pages have to take what is left to tell."""


class _Protocol(H11Protocol):
    """HTTP without a log of requests: one of them has the token. The setting for that would silence the host's too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


class Server:
    """Serves a board, from when it is made until ``close``.

    Args:
        board: what is shown.
        host: the address to bind to.
        port: the port; 0: one that is free.
        token: what those know who may look.
        allowed_hosts: other names under which it is reached.
        metrics: text for Prometheus.

    Attributes:
        port: the port.

    Raises:
        DagError: if the address can't be bound.
    """

    def __init__(
        self,
        board: Board,
        host: str,
        port: int,
        token: str,
        allowed_hosts: tuple[str, ...] = (),
        metrics: Metrics | None = None,
    ) -> None:
        listening = _listening(host, port)
        self.port: int = listening.getsockname()[1]
        self._loop = BackgroundLoop().__enter__()
        self._web = Web(board, metrics)
        app = Guard(self._web.app, token, host, allowed_hosts, self.port)
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,  # the host's logging is the host's
            log_level=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_LAST_WORDS,
        )
        self._server = uvicorn.Server(config)
        self._served = asyncio.run_coroutine_threadsafe(self._server.serve(sockets=[listening]), self._loop.loop)
        self._listening = listening
        while not self._server.started and not self._served.done():
            time.sleep(0.001)
        if self._served.done():  # it could not start
            self.close()

    def close(self) -> None:
        """Tell pages what is left to tell, and end."""
        self._loop.loop.call_soon_threadsafe(self._web.close)
        self._server.should_exit = True
        try:
            with suppress(concurrent.futures.TimeoutError):  # uvicorn ends itself what takes longer
                self._served.result(_LAST_WORDS + 2)
        finally:
            self._loop.__exit__()
            self._listening.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return bound(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            told = "is in use, maybe by another dashboard: give another port, or 0 for one that is free"
        elif error.errno == errno.EACCES:
            told = "is not for everybody: give one from 1024 on, or 0 for one that is free"
        else:
            told = f"can't be bound: {error.strerror or os.strerror(error.errno or 0)}"
        raise DagError(f"the dashboard has no place: port {port} of {host} {told}") from error
