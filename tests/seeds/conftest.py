"""The code of the documents that users were shown, run as printed, once its lost indentation is restored."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

WriteFile = Callable[[str, str], Path]
RunPrinted = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteFile:
    """Write a file below a fresh working directory."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def run_fragment() -> RunPrinted:
    """Runs a fragment of a document inside an async function, as its reader would; gives its local names back."""
    return _run_fragment


async def _run_fragment(code: str, **names: Any) -> dict[str, Any]:
    body = textwrap.indent(textwrap.dedent(code), "    ")
    scope: dict[str, Any] = dict(names)
    exec(f"async def fragment():\n{body}\n    return dict(locals())", scope)
    found: dict[str, Any] = await scope["fragment"]()
    return found
