"""Plugins of installed distributions: an entry point names the code, a manifest beside it says the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from dagstack_plugins.discovery.sources import InstalledSource
from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.manifest import find_manifest

GROUP = "dagstack.plugins"


def installed_plugins(group: str = GROUP) -> Iterator[tuple[InstalledSource, Path | PluginLoadError]]:
    """Each entry point of ``group`` with its manifest's file, or with what is wrong; no plugin code is imported.

    Args:
        group: the entry points' group.
    """
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        distribution = entry.dist.name if entry.dist is not None else "unknown"
        module, attribute = _parts(entry)
        source = InstalledSource(distribution, module, attribute, Path())
        try:
            manifest = _manifest(entry, distribution, module)
        except PluginLoadError as error:
            yield source, error
            continue
        source.folder = manifest.parent
        yield source, manifest


def _parts(entry: EntryPoint) -> tuple[str, str]:
    try:
        return entry.module, entry.attr
    except AttributeError:  # a value that is no object reference
        return entry.value, ""


def _manifest(entry: EntryPoint, distribution: str, module: str) -> Path:
    told = f"entry point {entry.name} = {entry.value} of distribution {distribution}"
    spec = _find_spec(module)
    if spec is None:
        raise PluginLoadError(f"{told}: there is no module {module!r}", file=module)
    folders = list(spec.submodule_search_locations or ())
    if not folders and spec.origin:
        folders = [str(Path(spec.origin).parent)]
    found = [file for folder in folders if (file := find_manifest(Path(folder))) is not None]
    if not found:
        where = ", ".join(folders) or "its module"
        zipped = (
            "; a zipped installation cannot be read" if any(not Path(folder).is_dir() for folder in folders) else ""
        )
        raise PluginLoadError(
            f"{told}: there is no dagstack.toml in {where}; ship it as package data beside the module{zipped}",
            file=module,
        )
    return found[0]


def _find_spec(module: str) -> ModuleSpec | None:
    """Where a module is, without importing its parents, which ``importlib.util.find_spec`` would."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        found = (finder.find_spec(name, path, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((one for one in found if one is not None), None)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec
