"""Who may talk to the dashboard: the right host name, the right origin, and who knows the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dagstack_plugins.addresses import is_loopback
from dagstack_plugins.dag.dashboard.replies import refusal, refused

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_FORM: Final = 4_096
"""Bytes that the form with the token may have."""
_HEADERS: Final = {
    # Names of nodes and messages of errors are shown as text; were one ever not, nothing of it would run.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",  # with less, a browser does not say where the form with the token comes from
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Lets requests pass to the app that may.

    A page of another site may send requests to a dashboard on this machine, and may even make its own name point
    here; so the ``Host`` must be a name of ours, the ``Origin``, if there is one, the same, and a browser needs the
    cookie that only the address with the token gives it.

    Args:
        app: what is guarded.
        token: what those know who may.
        host: the address that the server is bound to.
        allowed_hosts: other names under which it is reached, as behind a proxy.
        port: the port; cookies don't know it, so that it is a part of the cookie's name.
    """

    def __init__(self, app: ASGIApp, token: str, host: str, allowed_hosts: Iterable[str], port: int) -> None:
        self._app = app
        self._token = token.encode()
        # Not the token itself: a cookie that leaks is no key for programs.
        self._session = hmac.digest(self._token, b"dagstack dashboard session", "sha256").hex().encode()
        self._cookie = f"dagstack_dashboard_{port}"
        self._hosts = {name.lower().strip("[]") for name in (*allowed_hosts, host, *_LOOPBACK)}
        self._any_address = not is_loopback(host)
        if self._any_address:
            self._hosts.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-cache")  # another version may be served here tomorrow
            await send(message)

        # The path is the scope's, by which requests are routed; that of `request.url` is made of the Host as well.
        request = Request(scope, receive)
        answer = self._refused(request.headers) or self._admitted(request) or await self._signed_in(request)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refused(self, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(_name(host)):
            return refused(403, f"the dashboard is not known as {host!r}: DashboardPlugin(allowed_hosts=[…]) makes it")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return refused(403, f"a request of another site, {origin!r}, is not answered")
        return None

    def _is_ours(self, name: str | None) -> bool:
        if name is None:
            return False
        if name in self._hosts:
            return True
        return self._any_address and _is_address(name)  # names can be made to point here, addresses can't

    def _admitted(self, request: Request) -> Response | None:
        """A token in the address becomes a cookie, so that it stands in no history and in no picture of the screen."""
        given = request.query_params.get("token")
        if request.scope["path"] != "/" or given is None or not self._is_token(given):
            return None
        return self._with_cookie()

    def _with_cookie(self) -> Response:
        answer = RedirectResponse("/", 303, headers={"cache-control": "no-store"})
        # Lax: a link to it in a chat must work, too.
        answer.set_cookie(self._cookie, self._session.decode(), httponly=True, samesite="lax")
        return answer

    async def _signed_in(self, request: Request) -> Response | None:
        path: str = request.scope["path"]
        if path.startswith("/static/"):  # the same for everybody
            return None
        if path == "/login" and request.method == "POST":
            return await self._logged_in(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(given.strip()):
            return None
        if hmac.compare_digest(request.cookies.get(self._cookie, "").encode(), self._session):
            if request.method in ("GET", "HEAD") or "origin" in request.headers:
                return None
            return refused(403, "a browser says its origin; programs send 'Authorization: Bearer TOKEN'")
        return _not_signed_in(request, wrong="token" in request.query_params or bool(given))

    async def _logged_in(self, request: Request) -> Response | None:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _FORM:
                break
        given = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0]
        return self._with_cookie() if self._is_token(given.strip()) else _not_signed_in(request, wrong=True)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)


def _not_signed_in(request: Request, *, wrong: bool) -> Response:
    if "text/html" in request.headers.get("accept", "") and not request.scope["path"].startswith("/api/"):
        return refusal(wrong=wrong)
    what = "the token is wrong" if wrong else "the token is missing"
    told = f"{what}: open the address that the program printed, or send 'Authorization: Bearer TOKEN'"
    return refused(401, told, {"www-authenticate": "Bearer"})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str | None:
    """The name in a ``Host``; ``None`` if it is anything but a name, or an address, and maybe a port."""
    found = _HOST.fullmatch(host)
    return None if found is None else (found[1] or found[2]).lower()
