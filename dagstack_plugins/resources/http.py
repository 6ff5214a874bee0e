"""The resource ``http_client``: what an answer is, and what it is when there is none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dagstack_plugins.wording import shown


class HttpError(OSError):
    """A request had no answer: the server could not be reached or trusted, or did not speak to the end.

    Answers that tell of an error, such as status 404 or 503, are answers. What went wrong below is the ``__cause__``.

    Args:
        message: what happened, for people.
        method: the request's method.
        url: its URL, without a password.
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

    Example:
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


class Response:
    """An answer, whole, as every shipped client hands it out.

    Args:
        status_code: the status.
        headers: the headers.
        content: the body.
        request: method and URL, for messages.
        encoding: what the body's text is encoded in.
    """

    __slots__ = ("_encoding", "_request", "content", "headers", "status_code")

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        content: bytes,
        *,
        request: str = "the request",
        encoding: str | None = None,
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self._request = request
        self._encoding = encoding or "utf-8"

    def text(self) -> str:
        """The body, decoded as the server said, by default as UTF-8; what can't be is replaced."""
        try:
            return self.content.decode(self._encoding, errors="replace")
        except LookupError:  # no such encoding
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
                f"what answered {self._request} is not JSON: {error}; status {self.status_code}, content type {media}, "
                f"it starts with {shown(self.text()[:200])}"
            ) from error

    def __repr__(self) -> str:
        return f"<Response {self.status_code} to {self._request}, {len(self.content):,} bytes>"
