"""The kinds that are always known."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

MIDDLEWARE: Final = "horizontal_middleware"
"""The kind whose plugins go round calls of others."""


@cache
def builtin_hookspecs() -> Path:
    """The folder of the built-in kinds: inside the package where a wheel was installed, beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "hookspecs"
    return inside if inside.is_dir() else package.parent / "hookspecs"


def builtin_hookspec(kind: str) -> Path | None:
    """The newest hookspec of a built-in kind, if there is one of that name."""
    folder = builtin_hookspecs() / kind
    versions = sorted(folder.glob("v*.yaml"), key=lambda file: int(file.stem[1:])) if kind.isidentifier() else []
    return versions[-1] if versions else None


def builtin_kinds() -> list[str]:
    """The names of the built-in kinds."""
    return sorted(file.parent.name for file in builtin_hookspecs().glob("*/v*.yaml"))
