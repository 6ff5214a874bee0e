"""Plugins of installed distributions: an entry point names the code, a manifest beside it says the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from dagstack_plugins.contents import Contents
from dagstack_plugins.discovery.sources import InstalledSource
from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.manifest import config_schema_file, find_manifest


def installed_plugins(group: str) -> Iterator[tuple[InstalledSource, Path | PluginLoadError]]:
    """Each entry point of ``group`` with its manifest's file, or with what is wrong; no plugin code is imported.

    Args:
        group: the entry points' group.
    """
    for entry in sorted(_entry_points(group), key=lambda entry: (entry.name, entry.value)):
        distribution = _distribution(entry)
        module, attribute = _parts(entry)
        source = InstalledSource(distribution, module, attribute, Path())
        try:
            manifest = _manifest(entry, distribution, module)
        except PluginLoadError as error:
            yield source, error
            continue
        source.folder = manifest.parent
        source.contents = _contents(module, manifest)
        yield source, manifest


def _entry_points(group: str) -> Iterator[EntryPoint]:
    """Those of a group; ``importlib.metadata.entry_points`` parses the files of all distributions for them."""
    seen: set[str] = set()
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except (OSError, ValueError):  # damaged, and nobody's business here
            continue
        if text and group in text and not _is_hidden(distribution, text, seen):
            yield from distribution.entry_points.select(group=group)


def _is_hidden(distribution: Distribution, text: str, seen: set[str]) -> bool:
    """Whether another one of the same name comes before it on the path, as after an upgrade for one user."""
    name = _name(distribution)
    if name is None:
        return False
    normal = canonicalize_name(name)
    if normal in seen:
        return True
    seen.add(normal)
    try:  # the first one may have no entry points of this group
        return Distribution.from_name(name).read_text("entry_points.txt") != text
    except (PackageNotFoundError, OSError, ValueError):
        return False


def _distribution(entry: EntryPoint) -> str:
    return (entry.dist is not None and _name(entry.dist)) or "unknown"


def _name(distribution: Distribution) -> str | None:
    # Not its ``name``, which warns or fails where METADATA is damaged.
    metadata: Any = distribution.metadata
    return (metadata or {}).get("Name")


def _parts(entry: EntryPoint) -> tuple[str, str]:
    # Not its ``module`` and ``attr``: what they raise for a value of another form differs between Python's versions.
    parts = entry.pattern.match(entry.value)
    return (parts["module"], parts["attr"] or "") if parts else (entry.value, "")


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


def _contents(module: str, manifest: Path) -> Contents:
    """The files of an installed plugin: its top-level package, or its folder, or one module, its manifest and schema.

    A namespace, which several distributions share, is none's own; the package or folder below it is.
    """
    specs = list(_specs(module))
    for spec in specs:
        if spec.submodule_search_locations and spec.origin is not None:
            return Contents(Path(spec.origin).parent)
    last = specs[-1]
    if len(specs) > 1 or last.origin is None:
        return Contents(manifest.parent)
    # Beside a module at the top lie those of everybody else.
    schema = config_schema_file(manifest)
    return Contents(manifest.parent, tuple({Path(last.origin).name, manifest.name, *([schema] if schema else [])}))


def _find_spec(module: str) -> ModuleSpec | None:
    """Where a module is, without importing its parents, which ``importlib.util.find_spec`` would."""
    specs = list(_specs(module))
    return specs[-1] if len(specs) == module.count(".") + 1 else None


def _specs(module: str) -> Iterator[ModuleSpec]:
    """Where a module's packages are, the uppermost first, and then the module itself; as far as they are there."""
    path: list[str] | None = None
    name = ""
    for part in module.split("."):
        if not part:
            return
        name = f"{name}.{part}" if name else part
        found = (_ask(finder, name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((one for one in found if one is not None), None)
        if spec is None:
            return
        yield spec
        path = list(spec.submodule_search_locations or ())


def _ask(finder: Any, name: str, path: list[str] | None) -> ModuleSpec | None:
    try:
        found: ModuleSpec | None = finder.find_spec(name, path, None)
    except KeyError:
        # A folder without __init__.py: for its whole name, Python asks parents that are not imported.
        found = PathFinder.find_spec(name.rpartition(".")[2], path)
    return found
