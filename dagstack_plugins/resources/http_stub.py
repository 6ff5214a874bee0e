"""An ``http_client`` for tests: it answers as it was told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import copy
import json as jsonlib
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

import attrs

from dagstack_plugins.resources.http import Headers, Response, check_url, checked_headers
from dagstack_plugins.resources.settings import seconds, whole
from dagstack_plugins.wording import shown

_NOTHING: Final = object()


class UnexpectedRequest(AssertionError):
    """A plugin asked for what the ``StubHttpClient`` has no answer to.

    .. versionadded:: 0.1
    """


@attrs.frozen
class HttpCall:
    """One request that a ``StubHttpClient`` was asked.

    Attributes:
        method: in capitals.
        url: as it was given.
        headers: found whatever their case.
        json: a copy of the body; ``None`` where there was none.

    .. versionadded:: 0.1
    """

    method: str
    url: str
    headers: Mapping[str, str]
    json: Any


@attrs.define(eq=False)
class _Rule:
    method: str
    url: str | re.Pattern[str]
    status: int
    headers: Headers
    content: bytes
    times: int | None
    latency: float
    raises: BaseException | type[BaseException] | None
    used: int = 0
    matches: re.Pattern[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # In a text only the star has a meaning: URLs are full of question marks and dots.
        text = self.url if isinstance(self.url, str) else ""
        parts = map(re.escape, text.split("*"))
        self.matches = re.compile(".*".join(parts), re.DOTALL) if isinstance(self.url, str) else self.url

    def fits(self, call: HttpCall) -> bool:
        return self.method in ("*", call.method) and self.matches.fullmatch(call.url) is not None

    @property
    def spent(self) -> bool:
        return self.times is not None and self.used >= self.times

    def __str__(self) -> str:
        url = self.url if isinstance(self.url, str) else f"/{self.url.pattern}/"
        answer = f"raises {self.raises!r}" if self.raises is not None else str(self.status)
        often = f"{self.used} of {self.times} times" if self.times is not None else f"{self.used} times"
        return f"{self.method} {url} -> {answer} (answered {often})"


class StubHttpClient:
    """An ``HttpClient`` for tests: answers as ``on`` programs it, without a network.

    Examples:
        >>> import asyncio
        >>> stub = StubHttpClient()
        >>> stub.on("GET", "https://api.example/users/*", status=503, times=1)
        >>> stub.on("GET", "https://api.example/users/*", json={"name": "Ada"})
        >>> async def main():
        ...     first = await stub.get("https://api.example/users/1")
        ...     second = await stub.get("https://api.example/users/1")
        ...     return first.status_code, second.json()
        >>> asyncio.run(main())
        (503, {'name': 'Ada'})
        >>> [call.method for call in stub.calls]
        ['GET', 'GET']

    Attributes:
        calls: every request, in order, unexpected ones included; each an ``HttpCall``.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self.calls: list[HttpCall] = []
        self._rules: list[_Rule] = []
        self._unexpected: list[str] = []
        self._lock = threading.Lock()

    def on(
        self,
        method: str,
        url: str | re.Pattern[str],
        *,
        status: int = 200,
        json: Any = _NOTHING,
        text: str | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        latency: float = 0.0,
        raises: BaseException | type[BaseException] | None = None,
    ) -> None:
        """Program an answer.

        Rules answer in the order in which they were given: the first that fits, ``times`` times, then the next.

        Args:
            method: ``"GET"``, …; ``"*"`` fits all.
            url: the whole URL, in which ``*`` stands for anything; or a regular expression that fits the whole of it.
            status: the answer's status.
            json: the answer's body, as JSON.
            text: or as text.
            content: or as bytes.
            headers: the answer's headers.
            times: how often it answers; by default for ever.
            latency: seconds until it answers.
            raises: raised in place of an answer: ``HttpError("refused")``, ``HttpTimeout("too slow")``.

        Raises:
            TypeError: something is of the wrong type, ``json`` can't be JSON, or several bodies were given.
            ValueError: something is out of range.
        """
        _check(status, times, latency, raises)
        body, media = _body(json, text, content)
        told = Headers(media | {name.lower(): value for name, value in (headers or {}).items()})
        rule = _Rule(_method(method), _url(url), status, told, body, times, latency, raises)
        with self._lock:
            self._rules.append(rule)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Answer a GET.

        Raises:
            UnexpectedRequest: no rule fits, or those that do answered as often as they may.
        """
        return await self._answer("GET", url, headers)

    async def post(self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        """Answer a POST; raises as ``get`` does."""
        return await self._answer("POST", url, headers, json)

    async def put(self, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        """Answer a PUT; raises as ``get`` does."""
        return await self._answer("PUT", url, headers, json)

    async def delete(self, url: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Answer a DELETE; raises as ``get`` does."""
        return await self._answer("DELETE", url, headers)

    def verify(self, *, unused: bool = True) -> None:
        """Fail if the plugin asked for something unexpected, be it that it swallowed the error.

        Args:
            unused: fail for rules too that did not answer as often as their ``times`` say, or, without, not once.

        Raises:
            AssertionError: with what was unexpected, and what is left.
        """
        with self._lock:
            told = list(self._unexpected)
            if unused:
                told += [f"not used up: {rule}" for rule in self._rules if rule.used < (rule.times or 1)]
        if told:
            raise AssertionError("\n".join(told))

    async def _answer(self, method: str, url: str, headers: Mapping[str, str] | None, json: Any = None) -> Response:
        # A client on the wire takes JSON only, and what it took no longer changes.
        body = None if json is None else jsonlib.loads(jsonlib.dumps(json, allow_nan=False))
        check_url(url)
        call = HttpCall(method, url, Headers(checked_headers(headers) or {}), body)
        rule = self._pick(call)
        if rule.latency:
            await asyncio.sleep(rule.latency)
        if rule.raises is not None:
            raise _fresh(rule.raises)
        return Response(rule.status, rule.headers, rule.content, request=lambda: f"{method} {url}")

    def _pick(self, call: HttpCall) -> _Rule:
        with self._lock:
            self.calls.append(call)
            for rule in self._rules:
                if not rule.spent and rule.fits(call):
                    rule.used += 1
                    return rule
            programmed = "\n".join(f"  - {rule}" for rule in self._rules) or "  nothing: call stub.on(…) first"
            message = f"unexpected request: {call.method} {call.url}; programmed is\n{programmed}"
            self._unexpected.append(message)
        raise UnexpectedRequest(message)

    def for_worker(self, _worker: str) -> object:
        """Refuse to go to a worker process: what it is asked there would not be in ``calls`` here.

        Raises:
            TypeError: always.
        """
        raise TypeError("what a StubHttpClient is asked in a worker process would not be known here")

    def __repr__(self) -> str:
        return f"<StubHttpClient with {len(self._rules)} rules, {len(self.calls)} calls>"


def _body(json: Any, text: str | None, content: bytes | None) -> tuple[bytes, dict[str, str]]:
    bodies = {"json": json is not _NOTHING, "text": text is not None, "content": content is not None}
    if len(given := [name for name, there in bodies.items() if there]) > 1:
        raise TypeError(f"an answer has one body, got {' and '.join(given)}: give one of them")
    if json is not _NOTHING:
        return jsonlib.dumps(json, allow_nan=False).encode(), {"content-type": "application/json"}
    if text is not None:
        return text.encode(), {"content-type": "text/plain; charset=utf-8"}
    return bytes(content or b""), {}


def _fresh(error: BaseException | type[BaseException]) -> BaseException | type[BaseException]:
    """An error that nobody raised yet: tracebacks and notes of one call are not for the next."""
    if isinstance(error, type):
        return error
    try:
        return copy.copy(error).with_traceback(None)
    except Exception:  # one that can't be made again of its arguments
        return error.with_traceback(None)


def _method(method: str) -> str:
    if not isinstance(method, str) or method.upper() not in ("GET", "POST", "PUT", "DELETE", "*"):
        raise ValueError(f'an HttpClient has the methods GET, POST, PUT and DELETE, got {shown(method)}; "*" is any')
    return method.upper()


def _url(url: str | re.Pattern[str]) -> str | re.Pattern[str]:
    if not isinstance(url, str | re.Pattern):
        raise TypeError(f"the URL is a text or a compiled pattern, got {type(url).__name__}: {shown(url)}")
    return url


def _check(status: int, times: int | None, latency: float, raises: object) -> None:
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise ValueError(f"status={shown(status)}: give a number from 100 to 599")
    if times is not None:
        whole("times", times, least=1)
    seconds("latency", latency)
    an_error = isinstance(raises, BaseException) or (isinstance(raises, type) and issubclass(raises, BaseException))
    if raises is not None and not an_error:
        raise TypeError(f"raises={shown(raises)}: give an exception, such as HttpError('refused')")
