"""New files, which never take the place of old ones: all are written, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_new(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write files that are not there yet.

    Args:
        folder: where; it is made if it is missing.
        files: their names below it, with ``/``, and their texts.

    Returns:
        The files.

    Raises:
        FileExistsError: if one is there; then nothing was written.
        OSError: if one can't be written; those before it are removed again.
    """
    for name in files:
        if os.path.lexists(folder / name):
            raise FileExistsError(f"{folder / name} is there already, and nothing is overwritten")
    made: list[Path] = []
    try:
        for name, text in files.items():
            _write(folder / name, text, made)
    except BaseException:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        raise
    return [folder / name for name in files]


def _write(file: Path, text: str, made: list[Path]) -> None:
    missing = [parent for parent in file.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        made.append(parent)
    with file.open("x", encoding="utf-8", newline="\n") as opened:  # by "x", whoever comes between is not overwritten
        made.append(file)
        opened.write(text)
