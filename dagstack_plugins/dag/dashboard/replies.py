"""What is sent back: the page, the form that asks for the token, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.responses import FileResponse, HTMLResponse, Response

STATIC: Final = Path(__file__).parent / "static"


def page() -> Response:
    """The dashboard."""
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})


def refusal(*, wrong: bool) -> Response:
    """A form that asks for the token.

    Args:
        wrong: whether one was given.
    """
    text = (STATIC / "login.html").read_text("utf-8")
    hint = "That is not the token of this dashboard." if wrong else "This dashboard is for those who know its token."
    return HTMLResponse(text.replace("{{hint}}", hint), 401, headers={"cache-control": "no-store"})


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON, in ASCII: names of files may have halves of characters, which no encoding takes."""
    kept = {"cache-control": "no-store", **(headers or {})}
    return Response(json.dumps(value), status, kept, "application/json")


def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """What is wrong with a request."""
    return reply({"error": message}, status, headers)
