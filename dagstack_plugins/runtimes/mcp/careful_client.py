"""An HTTP client for MCP's transport: what fails is an error of the one request, with a bound on what comes back."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Any, Final

import httpx2
import mcp_types as types

from dagstack_plugins.runtimes.mcp.limits import LIMIT, NO_ANSWER, SESSION_OVER, TOO_LONG, UNREACHABLE, too_long
from dagstack_plugins.wording import raised

_GOODBYE: Final = 2.0
"""Seconds for the request that ends a session."""
_LONGEST: Final = 60.0
"""Seconds between two attempts, at most."""
_SESSION: Final = "mcp-session-id"
_KEPT: Final = ("content-type", _SESSION)
"""Headers of an answer whose body is dropped."""
_TRANSIENT: Final = (429, 500, 502, 503, 504)
"""Statuses of a service, or of what stands before it, that say nothing of the call."""


class CarefulClient(httpx2.AsyncClient):
    """Answers in place of a service that doesn't.

    The SDK's transport ends its session, and all calls in it, when a request raises. So each failure is an answer here:
    an error of JSON-RPC, which ends the call that it belongs to.

    Args:
        backoff: seconds before a request is sent again; twice as many before each further time.
        over: is set when the service says that the session is over.
        given: what ``httpx2.AsyncClient`` takes.

    Attributes:
        retries: how often a request is sent again that could not be delivered.
    """

    def __init__(self, *, backoff: float, over: asyncio.Event, **given: Any) -> None:
        super().__init__(**given)
        self.retries = 0
        self._backoff = backoff
        self._over = over

    async def send(self, request: httpx2.Request, **given: Any) -> httpx2.Response:
        """Send a request; whatever becomes of it is an answer."""
        _bound(request)
        for attempt in range(self.retries + 1):
            try:
                # Nothing is read before it is known how long it is.
                response = await super().send(request, **{**given, "stream": True})
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if attempt < self.retries and not _distrusts(error):
                    await asyncio.sleep(min(_LONGEST, self._backoff * 2**attempt))
                    continue
                return _failed(request, UNREACHABLE, f"the service can't be reached: {_why(error)}")
            except httpx2.TransportError as error:
                # It may have been heard, so it is not sent again.
                return _failed(request, NO_ANSWER, f"the service did not answer: {_why(error)}")
            return await self._taken(request, response)
        raise AssertionError("unreachable")

    async def _taken(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if response.is_redirect:  # the SDK follows it, or says that it doesn't, and reads nothing of it
            return response
        kind = response.headers.get("content-type", "").lower()
        if response.is_error and response.status_code == 404 and _SESSION in request.headers:
            await response.aclose()
            self._over.set()
            return _failed(request, SESSION_OVER, "the service ended the session")
        if kind.startswith("application/json"):
            return await _read(request, response)
        if kind.startswith("text/event-stream") and not response.is_error:
            return response  # whose reader bounds each event
        await response.aclose()  # there is nothing in it to read
        if response.is_error and request.method == "POST":
            return _failed(request, *_of_status(response))
        headers = {name: response.headers[name] for name in _KEPT if name in response.headers}
        return httpx2.Response(response.status_code, headers=headers, request=request)


def _bound(request: httpx2.Request) -> None:
    """How long a request may wait for the next byte: a stream of events may be silent for as long as it likes."""
    if request.method == "GET":
        request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "read": None}
    elif request.method == "DELETE":
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), _GOODBYE)


async def _read(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """An answer that has come whole."""
    parts, length = [], 0
    try:
        if _is_short(response):
            await response.aread()
            refused = response.is_error and not _is_error(response.content)
            return _failed(request, *_of_status(response)) if refused else response
        async for part in response.aiter_bytes():
            parts.append(part)
            length += len(part)
            if length > LIMIT:
                return _failed(request, TOO_LONG, too_long(length))
    except httpx2.TransportError as error:
        return _failed(request, NO_ANSWER, f"the service broke off its answer: {_why(error)}")
    except httpx2.DecodingError as error:
        return _failed(request, NO_ANSWER, f"the service's answer can't be unpacked: {error}")
    finally:
        await response.aclose()
    body = b"".join(parts)
    if response.is_error and not _is_error(body):
        return _failed(request, *_of_status(response))
    headers = {name: response.headers[name] for name in ("content-type", _SESSION) if name in response.headers}
    return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


def _is_short(response: httpx2.Response) -> bool:
    """Whether it says so itself: that is what it is cut at."""
    length = response.headers.get("content-length", "")
    says_more = response.headers.keys() & {"content-encoding", "transfer-encoding"}
    return length.isdigit() and int(length) <= LIMIT and not says_more


def _is_error(body: bytes) -> bool:
    """Whether it is an error of JSON-RPC."""
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), dict)


def _of_status(response: httpx2.Response) -> tuple[str | None, str]:
    told = f"the service answered {response.status_code} {response.reason_phrase}".strip()
    if response.status_code in (401, 403):
        told += "; look at auth_header and at the secret in the variable that auth_secret_env names"
    return (NO_ANSWER if response.status_code in _TRANSIENT else None), told


def _failed(request: httpx2.Request, data: str | None, message: str) -> httpx2.Response:
    # Without a number: the SDK gives it that of the request which it answers.
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": types.INTERNAL_ERROR, "message": message, "data": data}}
    return httpx2.Response(500, json=error, request=request)


def _distrusts(error: Exception) -> bool:
    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _why(error: Exception) -> str:
    """The cause of an error, without the request, whose headers hold a secret."""
    distrust = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)
    return f"{raised(distrust)}; tls_ca_bundle names the certificates to trust" if distrust else raised(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
