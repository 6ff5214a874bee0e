"""What the dashboard answers, address by address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dagstack_plugins.dag.dashboard.board import Board
from dagstack_plugins.dag.dashboard.replies import STATIC, page, refused, reply
from dagstack_plugins.dag.errors import GateDecided, GateUnknown

_TICK: Final = 0.1
"""Seconds between looks whether something changed; a page sees changes as one, and no event wakes anybody."""
_BUSY: Final = 0.5
"""The same, after many changes at once."""
_MANY: Final = 300
_SILENCE: Final = 15.0
"""Seconds after which something is said, so that nobody between takes the connection for dead."""
_REASON: Final = 4_000
_AT_ONCE: Final = 500
"""Nodes, or edges, that are written between two looks at who else wants to run."""
_DIGITS: Final = 12
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
                Route("/api/gates", self._decide_any, methods=["POST"]),
                Route("/api/gates/{name:path}/{decision:str}", self._decide_one, methods=["POST"]),
                Route("/metrics", self._told_metrics),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers={HTTPException: _not_answered},
        )

    def close(self) -> None:
        """Tell those who listen all that there is left to tell, and end."""
        self._closing.set()

    async def _state(self, request: Request) -> Response:
        key = request.query_params.get("run")
        if key is not None and not self._board.known(key):
            return _no_run(key)
        pieces = _pieces(self._board.state(key or self._board.newest()))
        return StreamingResponse(pieces, media_type="application/json", headers={"cache-control": "no-store"})

    async def _log(self, request: Request) -> Response:
        key, before = request.query_params.get("run"), request.query_params.get("before", "")
        if not (before.isascii() and before.isdecimal()) or len(before) > _DIGITS:
            return refused(400, f"before is the number of an entry, found {before!r}")
        if key is not None and not self._board.known(key):
            return _no_run(key)
        newest = key or self._board.newest()
        return reply({"log": [] if newest is None else self._board.log(newest, int(before))})

    async def _events(self, request: Request) -> Response:
        key = request.query_params.get("run")
        if key is not None and not self._board.known(key):
            return _no_run(key)
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
            if chosen is not None and not board.known(chosen):
                yield "event: gone\ndata: {}\n\n"
                return
            if newest != key or seen < 0:
                key, version = newest, board.version
                state = board.state(key)
                seen = state["run"]["log_total"] if state["run"] else 0
                yield "event: state\ndata: "
                async for piece in _pieces(state):
                    yield piece
                told = "\n\n"
            elif key is not None and (changes := board.changes(key, seen)) is not None:
                pause = _BUSY if changes["log_total"] - seen > _MANY else _TICK
                seen = changes["log_total"]
                told = _event("changes", changes)
            if board.version != version:
                version = board.version
                told += _event("overview", board.overview(key))
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

    async def _decide_one(self, request: Request) -> Response:
        """A gate and a decision in the address."""
        decision = request.path_params["decision"]
        if decision not in ("approve", "reject"):
            return refused(404, f"a gate can be approved or rejected, and not: {decision!r}")
        try:
            given = await _decision(request, ("reason", "number"))
        except ValueError as error:
            return refused(400, str(error))
        return await self._decide({"gate": request.path_params["name"], "decision": decision, **given})

    async def _decide_any(self, request: Request) -> Response:
        """The same in the body: no address has room for every name."""
        try:
            given = await _decision(request, ("gate", "decision", "reason", "number"))
            if not isinstance(given.get("gate"), str) or given.get("decision") not in ("approve", "reject"):
                raise ValueError('a decision says which: {"gate": "…", "decision": "approve" or "reject"}')
        except ValueError as error:
            return refused(400, str(error))
        return await self._decide(given)

    async def _decide(self, given: dict[str, Any]) -> Response:
        gates, name = self._board.gates, given["gate"]
        if gates is None:
            return refused(404, "this dashboard has no gates: DashboardPlugin(gate_controller=…) gives it some")
        decide = partial(
            gates.answer,
            name,
            approved=given["decision"] == "approve",
            reason=given.get("reason", ""),
            number=given.get("number"),
        )
        try:
            # In a thread: whoever watches the gates is told before it returns.
            await asyncio.get_running_loop().run_in_executor(None, decide)
        except GateUnknown as error:
            return refused(404, str(error))
        except GateDecided as error:
            return refused(409, str(error))
        return reply({"gate": name, "status": gates.status(name), "reason": gates.reason(name)})

    def _told_metrics(self, _: Request) -> Response:
        if self._metrics is None:
            return refused(404, "nobody keeps metrics here: register a PrometheusPlugin, and give it as metrics=…, too")
        return PlainTextResponse(self._metrics(), media_type="text/plain; version=0.0.4")


async def _decision(request: Request, fields: Sequence[str]) -> dict[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY:
            raise ValueError(f"a decision has at most {_BODY} bytes")
    if not body.strip():
        return {}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError('a decision is JSON: {"reason": "…"}, or nothing') from None
    if not isinstance(given, dict) or not isinstance(given.get("reason", ""), str):
        raise ValueError('a decision is one object with a text: {"reason": "…"}, or nothing')
    if unknown := given.keys() - set(fields):
        raise ValueError(f"a decision has {', '.join(fields)}, and nothing else; found: {', '.join(sorted(unknown))}")
    if type(given.get("number")) not in (int, type(None)):
        raise ValueError("the number of a decision is that of its gate in /api/state")
    if len(given.get("reason", "")) > _REASON:
        raise ValueError(f"a reason has at most {_REASON} characters")
    return given


async def _pieces(state: dict[str, Any]) -> AsyncIterator[str]:
    """What is known as JSON, some nodes at a time: of a large graph it takes long, and a run goes on meanwhile."""
    run = state["run"]
    if run is None:
        yield json.dumps(state)
        return
    nodes, edges = run.pop("nodes"), run.pop("edges")
    rest = {name: value for name, value in state.items() if name != "run"}
    yield json.dumps(rest)[:-1] + ', "run": ' + json.dumps(run)[:-1] + ', "nodes": ['
    for first in range(0, len(nodes), _AT_ONCE):
        part = ", ".join(json.dumps(node.as_dict()) for node in nodes[first : first + _AT_ONCE])
        yield part if not first else f", {part}"
        await asyncio.sleep(0)
    yield '], "edges": ['
    for first in range(0, len(edges), _AT_ONCE):
        part = json.dumps(edges[first : first + _AT_ONCE])[1:-1]
        yield part if not first else f", {part}"
        await asyncio.sleep(0)
    yield "]}}"


def _no_run(key: str) -> Response:
    return refused(404, f"there is no run {key!r}; an older one may have been forgotten")


def _not_answered(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    told = f"{request.method} does nothing at {path!r}" if error.status_code == 405 else f"there is nothing at {path!r}"
    return refused(error.status_code, told, error.headers)


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"
