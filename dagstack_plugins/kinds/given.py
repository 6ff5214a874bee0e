"""Kinds, in whatever form a host has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.hookspec import hookspec_files, read_hookspec
from dagstack_plugins.kinds.hookspec_class import hookspec_classes
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.wording import shown


def kinds_of(given: Any) -> list[Kind]:
    """The kinds in what ``add_hookspecs`` takes.

    Args:
        given: a hookspec file, a kind's folder, or a folder of kinds; or a class or module that the emitter wrote; or a
            kind.

    Raises:
        HookspecInvalid: if one is faulty; all faults of all files are told.
        TypeError: if it is something else.
    """
    if isinstance(given, str | Path):
        return _read_all(hookspec_files(Path(given).expanduser()))
    if isinstance(given, Kind):
        return [given]
    if isinstance(given, type | ModuleType):
        return [one.kind for one in hookspec_classes(given)]
    raise TypeError(
        f"add_hookspecs takes the path of a hookspec or of a folder of kinds, or an emitted class, found {shown(given)}"
    )


def _read_all(files: Sequence[Path]) -> list[Kind]:
    kinds: list[Kind] = []
    errors: list[HookspecInvalid] = []
    for file in files:
        try:
            kinds.append(read_hookspec(file))
        except HookspecInvalid as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise HookspecInvalid("\n".join(map(str, errors)), file=errors[0].file)
    return kinds
