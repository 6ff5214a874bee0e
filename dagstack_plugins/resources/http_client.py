"""An ``http_client`` for production, on httpx2: sets up what plugins should not have to think of."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import ssl
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dagstack_plugins.resources.http import Headers, HttpError, HttpTimeout, Response
from dagstack_plugins.resources.settings import seconds, whole
from dagstack_plugins.wording import raised, shown

if TYPE_CHECKING:
    import httpx2

IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
"""Methods that do no more when they are repeated (RFC 9110, section 9.2.2)."""

_PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses that tell of a trouble that may be over soon."""

_GOODBYE: Final = 5.0
"""Seconds that another thread's event loop has to close its connections."""


class HttpxClient:
    """An ``HttpClient`` on httpx2: a pool of connections for each event loop, and retries.

    What passes by itself is tried again: connections that are refused or break, and the statuses 429, 502, 503 and
    504. The wait before attempt *n* + 1 is ``backoff * 2**(n - 1)`` seconds, half of it left to chance, so that many
    clients don't come back at once; where the server says ``Retry-After``, at least that. Redirects are followed.

    Any number of threads and event loops may share one client. Each loop has connections of its own, which close with
    the loop, or with the client.

    Args:
        verify: how servers are trusted: ``True``, by the system's certificates; a path to a CA bundle (a file or a
            folder); an ``ssl.SSLContext``; ``False``, blindly.
        timeout: seconds to connect, and between two pieces that are sent or received; ``None``: no limit; an
            ``httpx2.Timeout`` says each by itself.
        retries: how often a request is tried again.
        backoff: seconds before the first retry; doubled for each more.
        limits: an ``httpx2.Limits``: how many connections, and how long they are kept; for each event loop.
        headers: sent with each request, unless it has its own.
        retry_methods: which methods are tried again: by default those that may be repeated without harm.
        max_wait: the longest wait between two attempts, in seconds. A server that asks for more gets none: its answer
            is handed over.
        max_redirects: how many redirects are followed.

    Raises:
        ImportError: httpx2 is not installed.
        FileNotFoundError: ``verify`` is a path that does not exist.
        ValueError: a number is out of range, or the CA bundle holds no certificate.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        *,
        verify: bool | str | Path | ssl.SSLContext = True,
        timeout: float | httpx2.Timeout | None = 10.0,
        retries: int = 3,
        backoff: float = 0.5,
        limits: httpx2.Limits | None = None,
        headers: Mapping[str, str] | None = None,
        retry_methods: Collection[str] = IDEMPOTENT,
        max_wait: float = 60.0,
        max_redirects: int = 20,
    ) -> None:
        self._httpx = httpx = _httpx2()
        self._given = {
            "verify": verify,
            "timeout": timeout,
            "retries": retries,
            "backoff": backoff,
            "limits": limits,
            "headers": None if headers is None else dict(headers),
            "retry_methods": frozenset(retry_methods),
            "max_wait": max_wait,
            "max_redirects": max_redirects,
        }
        self._retries = whole("retries", retries)
        self._backoff = seconds("backoff", backoff)
        self._max_wait = seconds("max_wait", max_wait)
        self._retry_methods = _methods(retry_methods)
        self._settings: dict[str, Any] = {
            "verify": _trust(verify, httpx),
            "timeout": _timeout(timeout, httpx),
            "headers": headers,
            "follow_redirects": True,
            "max_redirects": whole("max_redirects", max_redirects),
        }
        if limits is not None:
            self._settings["limits"] = limits
        self._pools: dict[asyncio.AbstractEventLoop, tuple[httpx2.AsyncClient, AsyncGenerator[Any, None]]] = {}
        self._closed = False

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Read what is at ``url``.

        Args:
            url: begins with ``http://`` or ``https://``.
            headers: sent with the request.

        Returns:
            What the server answered, also where it tells of an error.

        Raises:
            HttpError: there was no answer; ``HttpTimeout`` if there was none in time.
            ValueError: the URL or a header can't be sent.
            RuntimeError: the client is closed.
        """
        return await self._request("GET", url, headers)

    async def post(self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        """Send ``json`` to ``url``; otherwise like ``get``.

        Args:
            url: begins with ``http://`` or ``https://``.
            json: the body; ``None`` sends none.
            headers: sent with the request.
        """
        return await self._request("POST", url, headers, json)

    async def put(self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        """Put ``json`` at ``url``; otherwise like ``post``."""
        return await self._request("PUT", url, headers, json)

    async def delete(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Delete what is at ``url``; otherwise like ``get``."""
        return await self._request("DELETE", url, headers)

    async def aclose(self) -> None:
        """Close all connections, also those of other event loops that still run; does nothing the second time."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, (_, keeper) in list(self._pools.items()):
            if loop is here:
                await keeper.aclose()
            elif loop.is_running():
                there = asyncio.run_coroutine_threadsafe(keeper.aclose(), loop)
                await asyncio.wait([asyncio.wrap_future(there)], timeout=_GOODBYE)
        self._pools.clear()

    async def _request(self, method: str, url: str, headers: Mapping[str, str] | None, json: Any = None) -> Response:
        pool = self._pools.get(asyncio.get_running_loop())
        client = await self._opened() if pool is None else pool[0]
        attempts = 1 + (self._retries if method in self._retry_methods else 0)
        for attempt in itertools.count(1):
            wait = self._wait(attempt)
            try:
                answer = await client.request(method, url, headers=headers, json=json)
            except (self._httpx.TransportError, self._httpx.TooManyRedirects, self._httpx.DecodingError) as error:
                if attempt >= attempts or not self._may_pass(error):
                    raise self._failure(error, method, url, attempt) from error
            except self._httpx.InvalidURL as error:
                raise ValueError(f"{shown(url)} is no URL: {error}") from error
            else:
                if attempt >= attempts or answer.status_code not in _PASSING:
                    return _response(answer)
                wait = max(wait, _retry_after(answer.headers))
                if wait > self._max_wait:
                    return _response(answer)
            await asyncio.sleep(wait)
        raise AssertionError("attempts are counted for ever")

    async def _opened(self) -> httpx2.AsyncClient:
        if self._closed:
            raise RuntimeError("the HttpxClient is closed: requests end before the host closes its resources")
        for loop in [loop for loop in list(self._pools) if loop.is_closed()]:
            self._pools.pop(loop, None)
        keeper = self._keep()
        client = await anext(keeper)
        self._pools[asyncio.get_running_loop()] = client, keeper
        return client

    async def _keep(self) -> AsyncGenerator[httpx2.AsyncClient, None]:
        """Hold a client until somebody ends this; an event loop that is closed ends all its generators."""
        async with self._httpx.AsyncClient(**self._settings, cookies=_no_cookies()) as client:
            try:
                yield client
            finally:
                self._pools.pop(asyncio.get_running_loop(), None)

    def _wait(self, attempt: int) -> float:
        longest = min(self._backoff * 2.0 ** min(attempt - 1, 64), self._max_wait)
        return longest * random.uniform(0.5, 1.0)

    def _may_pass(self, error: Exception) -> bool:
        httpx = self._httpx
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            return False
        return isinstance(
            error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout | httpx.ProxyError
        )

    def _failure(self, error: Exception, method: str, url: str, attempts: int) -> Exception:
        httpx = self._httpx
        shown_url = _without_password(httpx.URL(url))
        if isinstance(error, httpx.UnsupportedProtocol):
            return ValueError(f"{shown(url)} is no URL of a server: it begins with http:// or https://")
        if isinstance(error, httpx.LocalProtocolError):
            return ValueError(f"{method} {shown_url} can't be sent: {error}")
        often = f" after {attempts} attempts" if attempts > 1 else ""
        known: dict[str, Any] = {"method": method, "url": shown_url, "attempts": attempts}
        if isinstance(error, httpx.TimeoutException):
            return HttpTimeout(f"{method} {shown_url} had no answer in time{often} ({raised(error)})", **known)
        why = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), error)
        hint = "; the host sets the CA bundle by HttpxClient(verify=…)" if why is not error else ""
        return HttpError(f"{method} {shown_url} failed{often}: {raised(why)}{hint}", **known)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process has the settings, and connections of its own.
        if isinstance(self._given["verify"], ssl.SSLContext):
            raise TypeError("an HttpxClient with an ssl.SSLContext can't be copied: give verify= the CA bundle's path")
        return _with, (self._given,)

    def __repr__(self) -> str:
        return f"<HttpxClient{' (closed)' if self._closed else ''}>"


def _with(settings: dict[str, Any]) -> HttpxClient:
    return HttpxClient(**settings)


def _httpx2() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise ImportError("HttpxClient needs httpx2: pip install 'dagstack-plugins[http]'") from error
    return httpx2


def _trust(verify: bool | str | Path | ssl.SSLContext, httpx: Any) -> ssl.SSLContext:
    """One context for all event loops: reading the certificates takes longer than many a request."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        context: ssl.SSLContext = httpx.create_ssl_context(verify=verify)
        return context
    path = Path(verify).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"the CA bundle {path} does not exist: give verify= a file or a folder of certificates")
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError(f"the CA bundle {path} holds no certificate in PEM form: {error}") from error


def _timeout(timeout: object, httpx: Any) -> Any:
    if isinstance(timeout, httpx.Timeout):
        return timeout
    # Waiting until one of the client's own connections is free is no trouble with the server.
    return httpx.Timeout(None if timeout is None else seconds("timeout", timeout), pool=None)


def _no_cookies() -> CookieJar:
    # All plugins share the client: what a server stores for one must not be sent for another.
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _response(answer: httpx2.Response) -> Response:
    return Response(
        answer.status_code,
        Headers(answer.headers.multi_items()),
        answer.content,
        request=f"{answer.request.method} {_without_password(answer.request.url)}",
        encoding=answer.charset_encoding,
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server wants to be left alone: a number, or a date (RFC 9110, section 10.2.3)."""
    told = headers.get("retry-after", "").strip()
    if told.isdecimal() and told.isascii():
        return float(told) if len(told) < 10 else math.inf
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp() - time.time()


def _without_password(url: httpx2.URL) -> str:
    return str(url.copy_with(userinfo=b"")) if url.userinfo else str(url)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _methods(methods: Collection[str]) -> frozenset[str]:
    known = {"GET", "POST", "PUT", "DELETE"}
    if isinstance(methods, str) or not known.issuperset(methods):
        raise ValueError(f"retry_methods={shown(methods)}: give a set, of {', '.join(sorted(known))}")
    return frozenset(methods)
