"""What a browser gets: the page, and what it sees who doesn't know the token."""

from __future__ import annotations

from pathlib import Path
from typing import Final

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
