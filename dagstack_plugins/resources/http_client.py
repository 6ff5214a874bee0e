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
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dagstack_plugins.resources.http import (
    Headers,
    HttpError,
    HttpTimeout,
    Response,
    check_url,
    checked_headers,
    public_url,
)
from dagstack_plugins.resources.settings import seconds, whole
from dagstack_plugins.resources.tls import trust
from dagstack_plugins.wording import raised, shown

if TYPE_CHECKING:
    import httpx2

IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
"""Methods that do no more when they are repeated (RFC 9110, section 9.2.2)."""

_PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses that tell of a trouble that may be over soon."""

_FOR_ANYONE: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
)
"""Headers that tell no secret."""

_LITTLE: Final = 65_536
"""Bytes that are read sooner than a connection is opened."""

_GOODBYE: Final = 5.0
"""Seconds that another thread's event loop has to close its connections."""


class HttpxClient:
    """An ``HttpClient`` on httpx2: a pool of connections for each event loop, and retries.

    What passes by itself is tried again: connections that are refused or break, and the statuses 429, 502, 503 and
    504. The wait before attempt *n* + 1 is ``backoff * 2**(n - 1)`` seconds, half of it left to chance, so that many
    clients don't come back at once; where the server says ``Retry-After``, that is added.

    Redirects of ``GET`` are followed; of other methods only 307 and 308, as others would turn a write into a read:
    these are answers for the plugin to see. Headers don't go to another server than they were meant for, and nothing
    goes from https to http.

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
        headers: sent with each request to whatever server, unless it has its own.
        retry_methods: which methods are tried again: by default those that may be repeated without harm.
        max_wait: the longest wait between two attempts, in seconds. A server that asks for more gets none: its answer
            is handed over.
        max_redirects: how many redirects are followed.
        max_bytes: how long an answer may be, unpacked.
        deadline: seconds that one attempt may take in all, however busily the server sends, and waiting for one of
            the loop's connections included; ``None``: no limit.

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
        max_bytes: int = 100 * 2**20,
        deadline: float | None = 300.0,
    ) -> None:
        self._httpx = httpx = _httpx2()
        self._given: dict[str, Any] = {
            "verify": verify,
            "timeout": timeout,
            "retries": retries,
            "backoff": backoff,
            "limits": limits,
            "headers": None if headers is None else dict(headers),
            "retry_methods": frozenset(retry_methods),
            "max_wait": max_wait,
            "max_redirects": max_redirects,
            "max_bytes": max_bytes,
            "deadline": deadline,
        }
        self._retries = whole("retries", retries)
        self._backoff = seconds("backoff", backoff)
        self._max_wait = seconds("max_wait", max_wait)
        self._retry_methods = _methods(retry_methods)
        self._max_redirects = whole("max_redirects", max_redirects)
        self._max_bytes = whole("max_bytes", max_bytes)
        self._deadline = None if deadline is None else seconds("deadline", deadline)
        self._settings: dict[str, Any] = {
            "verify": trust(verify, httpx),
            "timeout": _timeout(timeout, httpx),
            "headers": checked_headers(headers),
        }
        if limits is not None:
            self._settings["limits"] = limits
        self._client()  # what is wrong with the proxies that the environment names is told here
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
        """Close the connections of all event loops that run; does nothing the second time.

        Requests under way end with a ``RuntimeError``, so close after the last one.
        """
        self._closed = True
        here = asyncio.get_running_loop()
        pools, self._pools = self._pools, {}
        closing: list[asyncio.Future[Any]] = []
        for loop, (_, keeper) in pools.items():
            if loop is here:
                closing.append(asyncio.ensure_future(keeper.aclose()))
            elif loop.is_running():
                closing.append(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(keeper.aclose(), loop)))
        if closing:
            await asyncio.wait(closing, timeout=_GOODBYE)

    async def _request(self, method: str, url: str, headers: Mapping[str, str] | None, json: Any = None) -> Response:
        pool = self._pools.get(asyncio.get_running_loop())
        client = await self._opened() if pool is None else pool[0]
        request = self._built(client, method, url, headers, json)
        attempts = 1 + (self._retries if method in self._retry_methods else 0)
        for attempt in itertools.count(1):
            wait = self._wait(attempt)
            try:
                async with asyncio.timeout(self._deadline):
                    answer = await self._answer(client, request)
            except Exception as error:
                if self._closed:
                    raise _closed() from error
                if attempt >= attempts or not self._may_pass(error):
                    raise self._failure(error, request, attempt) from error
            else:
                wish = _retry_after(answer.headers)
                if attempt >= attempts or answer.status_code not in _PASSING or wish > self._max_wait:
                    return answer
                wait += wish
            await asyncio.sleep(wait)
        raise AssertionError("attempts are counted for ever")

    def _built(
        self, client: httpx2.AsyncClient, method: str, url: str, headers: Mapping[str, str] | None, json: Any
    ) -> httpx2.Request:
        check_url(url)
        given = checked_headers(headers)
        try:
            return client.build_request(method, url, headers=given, json=json)
        except self._httpx.InvalidURL as error:
            raise ValueError(f"{shown(public_url(url))} is no URL: {type(error).__name__}") from None
        except TypeError as error:
            raise TypeError(f"the body of {method} {public_url(url)} can't be JSON: {error}") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the body of {method} {public_url(url)} can't be JSON: {error}") from error

    async def _answer(self, client: httpx2.AsyncClient, request: httpx2.Request) -> Response:
        """What the server answers, redirects followed."""
        for _ in range(1 + self._max_redirects):
            answer = await client.send(request, stream=True, follow_redirects=False)
            try:
                following = _followed(request, answer)
                if following is None:
                    return await self._read(answer)
                await _drain(answer)
            finally:
                await answer.aclose()
            request = following
        raise _Refused(f"it was redirected more than {self._max_redirects} times")

    async def _read(self, answer: httpx2.Response) -> Response:
        pieces, size = [], 0
        async for piece in answer.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > self._max_bytes:
                raise _Refused(f"the answer has more than max_bytes={self._max_bytes} bytes")
        method, url = answer.request.method, answer.request.url
        return Response(
            answer.status_code,
            Headers(answer.headers.multi_items()),
            b"".join(pieces),
            request=lambda: f"{method} {_shown(url)}",
        )

    async def _opened(self) -> httpx2.AsyncClient:
        for loop in [loop for loop in list(self._pools) if loop.is_closed()]:
            self._pools.pop(loop, None)
        keeper = self._keep()
        client = await anext(keeper)
        self._pools[asyncio.get_running_loop()] = client, keeper
        if self._closed:  # perhaps just now, by another thread
            await keeper.aclose()
            raise _closed()
        return client

    async def _keep(self) -> AsyncGenerator[httpx2.AsyncClient, None]:
        """Hold a client until somebody ends this; an event loop that is closed ends all its generators."""
        async with self._client() as client:
            try:
                yield client
            finally:
                self._pools.pop(asyncio.get_running_loop(), None)

    def _client(self) -> httpx2.AsyncClient:
        # All plugins share the client: what a server stores for one must not be sent for another.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        client: httpx2.AsyncClient = self._httpx.AsyncClient(**self._settings, cookies=no_cookies)
        return client

    def _wait(self, attempt: int) -> float:
        longest = min(self._backoff * 2.0 ** min(attempt - 1, 64), self._max_wait)
        return longest * random.uniform(0.5, 1.0)

    def _may_pass(self, error: Exception) -> bool:
        httpx = self._httpx
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            return False
        return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout)

    def _failure(self, error: Exception, request: httpx2.Request, attempts: int) -> HttpError:
        url = _shown(request.url)
        what = f"{request.method} {url}"
        often = f" after {attempts} attempts" if attempts > 1 else ""
        if isinstance(error, self._httpx.TimeoutException | TimeoutError):
            late = f"deadline={self._deadline}" if isinstance(error, TimeoutError) else raised(error)
            told = f"{what} had no answer in time{often} ({late})"
            return HttpTimeout(told, method=request.method, url=url, attempts=attempts)
        why = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), error)
        hint = "; the host sets the CA bundle by HttpxClient(verify=…)" if why is not error else ""
        if why is error and isinstance(error, self._httpx.ConnectError):
            hint = "; look whether the server is up, and whether the address is right"
        told = f"{what} failed{often}: {why if isinstance(why, _Refused) else raised(why)}{hint}"
        return HttpError(told, method=request.method, url=url, attempts=attempts)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process has the settings, and connections of its own.
        if isinstance(self._given["verify"], ssl.SSLContext):
            raise TypeError("an HttpxClient with an ssl.SSLContext can't be copied: give verify= the CA bundle's path")
        return partial(HttpxClient, **self._given), ()

    def __repr__(self) -> str:
        return f"<HttpxClient{' (closed)' if self._closed else ''}>"


def _httpx2() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise ImportError("HttpxClient needs httpx2: pip install 'dagstack-plugins[http]'") from error
    return httpx2


def _timeout(timeout: object, httpx: Any) -> Any:
    if isinstance(timeout, httpx.Timeout):
        return timeout
    # Waiting until one of the client's own connections is free is no trouble with the server.
    return httpx.Timeout(None if timeout is None else seconds("timeout", timeout), pool=None)


class _Refused(Exception):
    """What the server wants is not done."""


async def _drain(answer: httpx2.Response) -> None:
    """Read the rest of a redirect, so that its connection can be used again; unless there is much of it."""
    size = 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size > _LITTLE:
            break


def _closed() -> RuntimeError:
    return RuntimeError("the HttpxClient is closed: requests end before the host closes its resources")


def _followed(request: httpx2.Request, answer: httpx2.Response) -> httpx2.Request | None:
    """The request to which a redirect leads; ``None`` if it is none, or is for the caller to decide on.

    A request that writes is repeated elsewhere only where the server says so (307 and 308, RFC 9110, section 15.4);
    otherwise it would become one that reads, and what was to be written would be lost in silence.
    """
    following = answer.next_request
    if following is None or (request.method != "GET" and answer.status_code not in (307, 308)):
        return None
    try:
        check_url(str(following.url))
    except ValueError:
        raise _Refused(f"it was redirected to {shown(_shown(following.url))}, which is no URL of a server") from None
    if request.url.scheme == "https" and following.url.scheme == "http":
        raise _Refused(f"it was redirected from https to http ({_shown(following.url)}), which is not followed")
    if _origin(following.url) not in (_origin(request.url), _secured(request.url)):
        # Keys and tokens are for the server that they were meant for.
        for name in [name for name in following.headers if name.lower() not in _FOR_ANYONE]:
            del following.headers[name]
    return following


def _shown(url: httpx2.URL) -> str:
    """A URL as messages show it: without what may be secret, user and password, query and fragment."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None)) + ("?…" if url.query else "")


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}[url.scheme]


def _secured(url: httpx2.URL) -> tuple[str, str, int] | None:
    """The same server, where all of its traffic is to be safe."""
    return ("https", url.host, 443) if _origin(url) == ("http", url.host, 80) else None


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server wants to be left alone: a number, or a date (RFC 9110, section 10.2.3)."""
    told = headers.get("retry-after", "").strip()
    if told.isdecimal() and told.isascii():
        return float(told) if len(told) < 10 else math.inf
    try:
        at = parsedate_to_datetime(told)
        return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):  # no date, or one that no calendar has
        return 0.0


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _methods(methods: Collection[str]) -> frozenset[str]:
    known = {"GET", "POST", "PUT", "DELETE"}
    if isinstance(methods, str) or not known.issuperset(methods):
        raise ValueError(f"retry_methods={shown(methods)}: give a set, of {', '.join(sorted(known))}")
    return frozenset(methods)
