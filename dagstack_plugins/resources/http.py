"""The resource ``http_client``: what an answer is, and what it is when there is none."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from dagstack_plugins.wording import shown

_URL: Final = re.compile(
    r"https?://(?:[^/?#]*@)?(?:\[[^\]/?#]+\]|[^:/?#\s@]+)(?::(?P<port>\d{0,5}))?(?:[/?#]|$)", re.IGNORECASE
)
_SECRETS: Final = re.compile(r"^([A-Za-z][\w+.-]*:/*)[^?#]*@|\?[^#]*|#.*", re.DOTALL)
_LAST_PORT: Final = 65_535
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_HEADER_VALUE: Final = re.compile(r"(?![ \t])[\t\x20-\x7e]*(?<![ \t])")
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:+-]+)", re.IGNORECASE)
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
"""Codecs of Python's that servers have no use for."""


class HttpError(OSError):
    """A request had no answer: the server could not be reached or trusted, or did not speak to the end.

    Answers that tell of an error, such as status 404 or 503, are answers. What went wrong below is the ``__cause__``.

    Args:
        message: what happened, for people.
        method: the request's method.
        url: its URL, without what may be secret: password and query.
        attempts: how often it was tried.

    .. versionadded:: 0.1
    """

    def __init__(self, message: str, *, method: str = "", url: str = "", attempts: int = 1) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.attempts = attempts


class HttpTimeout(HttpError, TimeoutError):
    """A request had no answer in time.

    .. versionadded:: 0.1
    """


class Headers(Mapping[str, str]):
    """Headers of an answer, found whatever their case; of one that came several times, the values joined by commas.

    Examples:
        >>> headers = Headers([("Content-Type", "text/plain"), ("Vary", "A"), ("vary", "B")])
        >>> headers["content-type"], headers["VARY"], list(headers)
        ('text/plain', 'A, B', ['content-type', 'vary'])
    """

    def __init__(self, given: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in given.items() if isinstance(given, Mapping) else given:
            known = self._values.get(name.lower())
            self._values[name.lower()] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


def check_url(url: str) -> None:
    """Refuse what is no URL of a server.

    Raises:
        TypeError: it is not a string.
        ValueError: it does not begin with ``http://`` or ``https://`` and a host.
    """
    if not isinstance(url, str):
        raise TypeError(f"a URL is a str, got {type(url).__name__}: {shown(url)}")
    found = _URL.match(url)
    if found is None or int(found["port"] or 0) > _LAST_PORT:
        raise ValueError(
            f"{shown(public_url(url))} is no URL of a server: it begins with http:// or https://, and names a host"
        )


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    """The headers of a request; a message names them only, as their values may be secret.

    Raises:
        TypeError: a name or a value is no string.
        ValueError: one can't be sent.
    """
    if headers is None:
        return None
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"the header {shown(name)} is a {type(value).__name__}: names and values are texts")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the header {shown(name)} can't be sent: its name or value has a character that headers must not "
                "have; a line feed at the end of a token that was read from a file, say"
            )
    return dict(headers)


def public_url(url: object) -> str:
    """A URL that may be none, as messages show it: without what may be secret, or be meant to be."""
    return _SECRETS.sub(lambda found: "?…" if found[0][0] == "?" else found[1] or "", str(url))


class Response:
    """An answer, whole, as every shipped client hands it out.

    Args:
        status_code: the status.
        headers: the headers.
        content: the body.
        request: gives method and URL, for messages.
    """

    __slots__ = ("_request", "content", "headers", "status_code")

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        content: bytes,
        *,
        request: Callable[[], str],
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self._request = request

    def text(self) -> str:
        """The body, decoded as the server said, by default as UTF-8; what can't be is replaced."""
        told = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            encoding = codecs.lookup(told[1]).name if told else "utf-8"
            fit = encoding.replace("-", "_") not in _NO_CHARSETS
            return self.content.decode(encoding if fit else "utf-8", errors="replace")
        except (LookupError, ValueError):  # no such encoding, or none of texts
            return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body, read as JSON.

        Raises:
            ValueError: it is none.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            media = self.headers.get("content-type", "none given")
            raise ValueError(
                f"what answered {self._request()} is not JSON: {error}; status {self.status_code}, "
                f"content type {media}, it starts with {shown(self.text()[:200])}"
            ) from error

    def __repr__(self) -> str:
        return f"<Response {self.status_code} to {self._request()}, {len(self.content):,} bytes>"
