"""``${tmpdir}`` and ``${plugin}`` in what a manifest gives to its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def filled_in(value: Any, folder: Path, own: str) -> Any:
    """A configuration or an example with its ``${tmpdir}`` and ``${plugin}`` filled in; the folder is made."""
    if isinstance(value, Mapping):
        return {key: filled_in(item, folder, own) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [filled_in(item, folder, own) for item in value]
    if isinstance(value, str) and "${" in value:
        folder.mkdir(exist_ok=True)
        return value.replace("${tmpdir}", str(folder)).replace("${plugin}", own)
    return value
