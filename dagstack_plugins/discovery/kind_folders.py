"""Folders that kinds are declared in, near the plugins that implement them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_KIND_FOLDERS: Final = ("kinds", "hookspecs")
_VERSION_FILE: Final = re.compile(r"v\d+\.ya?ml")


def nearest_kinds(starts: Iterable[Path]) -> list[Path]:
    """The nearest folders of kinds in or above each of some folders, up to the end of the repository or the home."""
    found: dict[Path, None] = {}
    for start in starts:
        for folder in _upwards(start.resolve()):
            if here := kind_folders(folder):
                found.update(dict.fromkeys(here))
                break
    return list(found)


def kind_folders(folder: Path) -> list[Path]:
    """The folders ``kinds`` and ``hookspecs`` in a folder, as far as they hold a hookspec ``<kind>/v<major>.yaml``."""
    return [path for name in _KIND_FOLDERS if _holds_kinds(path := folder / name)]


def is_kind_folder(folder: Path) -> bool:
    """Whether kinds are looked for in a folder, by its name."""
    return folder.name in _KIND_FOLDERS


def is_hookspec(name: str) -> bool:
    """Whether a file of that name, in the folder of a kind, is a hookspec."""
    return _VERSION_FILE.fullmatch(name) is not None


def _upwards(start: Path) -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none
    for folder in (start, *start.parents):
        yield folder
        if (folder / ".git").exists() or folder == home:
            return


def _holds_kinds(folder: Path) -> bool:
    return any(is_hookspec(file.name) for file in folder.glob("*/v*.y*ml"))
