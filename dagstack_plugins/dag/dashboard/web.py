"""The dashboard's addresses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dagstack_plugins.dag.dashboard.board import Board
from dagstack_plugins.dag.dashboard.page import STATIC, page
from dagstack_plugins.dag.errors import GateDecided, GateUnknown

_TICK: Final = 0.1
"""Seconds between looks whether something changed; a page sees changes as one, and no event wakes anybody."""
_BUSY: Final = 0.25
"""The same, after many changes at once."""
_MANY: Final = 200
_SILENCE: Final = 15.0
"""Seconds after which something is said, so that nobody between takes the connection for dead."""
_REASON: Final = 4_000
_BODY: Final = 64 * 1024
"""Bytes that a decision may have."""

Metrics = Callable[[], str]


class Web:
    """Answers requests.

    Args:
        board: what is known.
        metrics: text for Prometheus, if somebody keeps metrics.
    """

    def __init__(self, board: Board, metrics: Metrics | None = None) -> None:
        self._board = board
        self._metrics = metrics
        self._closing = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/", lambda _: page()),
                Route("/api/state", self._state),
                Route("/api/log", self._log),
                Route("/api/events", self._events),
                Route("/api/gates/{name:path}/{decision:str}", self._decide, methods=["POST"]),
                Route("/metrics", self._told_metrics),
                Mount("/static", StaticFiles(directory=STATIC)),
            ]
        )

    def close(self) -> None:
        """Tell those who listen all that there is left to tell, and end."""
        self._closing.set()

    async def _state(self, request: Request) -> Response:
        key = request.query_params.get("run")
        if key is not None and not self._board.known(key):
            return _error(404, f"there is no run {key!r}; an older one may have been forgotten")
        return _json(self._board.state(key or self._board.newest()))

    async def _log(self, request: Request) -> Response:
        key, before = request.query_params.get("run", ""), request.query_params.get("before", "")
        if not before.isdecimal():
            return _error(400, f"before is the number of an entry, found {before!r}")
        if not self._board.known(key):
            return _error(404, f"there is no run {key!r}; an older one may have been forgotten")
        return _json({"log": self._board.log(key, int(before))})

    async def _events(self, request: Request) -> Response:
        key = request.query_params.get("run")
        if key is not None and not self._board.known(key):
            return _error(404, f"there is no run {key!r}; an older one may have been forgotten")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(key), media_type="text/event-stream", headers=headers)

    async def _stream(self, chosen: str | None) -> AsyncIterator[str]:
        """All there is to know, then what changes, until the dashboard closes; of one run, or always of the newest."""
        board, seen, version, silent = self._board, -1, -1, 0.0
        key: str | None = None
        while True:
            closing = self._closing.is_set()  # before the last look
            pause, told = _TICK, ""
            newest = chosen or board.newest()
            if newest != key or seen < 0:
                key, version = newest, board.version
                state = board.state(key)
                seen = state["run"]["log_total"] if state["run"] else 0
                told = _event("state", state)
            elif key is not None and (changes := board.changes(key, seen)) is not None:
                pause = _BUSY if changes["log_total"] - seen > _MANY else _TICK
                seen = changes["log_total"]
                told = _event("changes", changes)
            if board.version != version:
                version = board.version
                told += _event("overview", board.overview())
            silent = 0.0 if told else silent + pause
            if silent > _SILENCE:
                told, silent = _event("ping", {}), 0.0
            if closing:
                yield told + "event: end\ndata: {}\n\n"
                return
            if told:
                yield told
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def _decide(self, request: Request) -> Response:
        name, decision = request.path_params["name"], request.path_params["decision"]
        gates = self._board.gates
        if decision not in ("approve", "reject"):
            return _error(404, f"a gate can be approved or rejected, and not: {decision!r}")
        if gates is None:
            return _error(404, "this dashboard has no gates: DashboardPlugin(gate_controller=…) gives it some")
        try:
            reason = await _reason(request)
        except ValueError as error:
            return _error(400, str(error))
        decide = gates.approve if decision == "approve" else gates.reject
        try:
            # In a thread: whoever watches the gates is told before it returns.
            await asyncio.get_running_loop().run_in_executor(None, decide, name, reason)
        except GateUnknown as error:
            return _error(404, str(error))
        except GateDecided as error:
            return _error(409, str(error))
        return _json({"gate": name, "status": gates.status(name), "reason": gates.reason(name)})

    def _told_metrics(self, _: Request) -> Response:
        if self._metrics is None:
            return _error(404, "nobody keeps metrics here: register a PrometheusPlugin, and give it as metrics=…, too")
        return PlainTextResponse(self._metrics(), media_type="text/plain; version=0.0.4")


async def _reason(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY:
            raise ValueError(f"a decision has at most {_BODY} bytes")
    if not body.strip():
        return ""
    try:
        given = json.loads(body)
    except ValueError:
        raise ValueError('a decision is JSON: {"reason": "…"}, or nothing') from None
    if not isinstance(given, dict) or not isinstance(given.get("reason", ""), str):
        raise ValueError('a decision is one object with a text: {"reason": "…"}, or nothing')
    if unknown := given.keys() - {"reason"}:
        raise ValueError(f"a decision has a reason, and nothing else; found: {', '.join(sorted(unknown))}")
    reason: str = given.get("reason", "")
    if len(reason) > _REASON:
        raise ValueError(f"a reason has at most {_REASON} characters")
    return reason


def _json(value: Any) -> Response:
    # ASCII: names of files that are no UTF-8 have halves of characters, which no encoding takes.
    return Response(json.dumps(value), media_type="application/json", headers={"cache-control": "no-store"})


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status, headers={"cache-control": "no-store"})


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"
