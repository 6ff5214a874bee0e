"""What looks like a plugin or a kind to a person, and is none to a host: a file's name decides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagstack_plugins.cli.findings import Finding
from dagstack_plugins.discovery.folders import DEFAULT_IGNORE
from dagstack_plugins.discovery.kind_folders import is_hookspec, is_kind_folder
from dagstack_plugins.manifest import MANIFEST_FILES, find_manifest
from dagstack_plugins.wording import near

_CODE: Final = "plugin.py"
_HOOKS: Final = re.compile(rb"^hooks\s*:", re.MULTILINE)
"""What a hookspec has, and other YAML hardly."""


def strays(root: Path) -> Iterator[Finding]:
    """Folders with a plugin's code and no manifest, and YAML that lies beside hookspecs under another name.

    Args:
        root: where to look, itself and below; not in plugins.
    """
    for place, folders, files in os.walk(root):
        folder = Path(place)
        if find_manifest(folder, files) is not None:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in DEFAULT_IGNORE)
        if _CODE in files and "__init__.py" not in files:  # else it is a module of some program
            yield _no_plugin(folder, files)
        if is_kind_folder(folder):
            yield from _no_kinds(folder, files)
        elif is_kind_folder(folder.parent):
            yield from _no_hookspecs(folder, files)


def _no_plugin(folder: Path, files: list[str]) -> Finding:
    meant = next((name for name in files if near(name, MANIFEST_FILES, at_least=0.8)), None)
    told = f"; is {meant!r} meant to be its {near(meant, MANIFEST_FILES)}?" if meant else ""
    return _finding(folder, f"holds a {_CODE} and no manifest, so it is no plugin{told}")


def _no_kinds(folder: Path, files: list[str]) -> Iterator[Finding]:
    for file in _like_hookspecs(folder, files):
        yield _finding(file, f"is no hookspec here; that of a kind is {folder.name}/<kind>/v<major>.yaml")


def _no_hookspecs(folder: Path, files: list[str]) -> Iterator[Finding]:
    for file in _like_hookspecs(folder, files):
        if not is_hookspec(file.name):
            yield _finding(file, "is no hookspec; those are called v<major>.yaml, such as v1.yaml")


def _like_hookspecs(folder: Path, files: list[str]) -> Iterator[Path]:
    for name in sorted(files):
        if name.endswith((".yaml", ".yml")):
            with suppress(OSError):
                if _HOOKS.search((folder / name).read_bytes()):
                    yield folder / name


def _finding(file: Path, message: str) -> Finding:
    return Finding(file=str(file), message=message, error="")
