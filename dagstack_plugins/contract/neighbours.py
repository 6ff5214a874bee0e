"""The plugins that the one under test depends on: they are looked for beside it, where a host would find them too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dagstack_plugins.contract.placeholders import filled_in
from dagstack_plugins.discovery.folders import plugin_folders
from dagstack_plugins.discovery.sources import FolderSource
from dagstack_plugins.errors import ManifestInvalid
from dagstack_plugins.manifest import Dependency, PluginManifest, read_manifest
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.wording import nearest


def neighbours(manifest: PluginManifest) -> tuple[tuple[PluginManifest, ...], tuple[str, ...]]:
    """What a plugin depends on, and what that depends on in turn.

    Args:
        manifest: the plugin's.

    Returns:
        The manifests that were found, and the dependencies that were not.
    """
    if not manifest.depends_on:
        return (), ()
    known = list(_manifests_beside(manifest.folder)) if manifest.folder else []
    found: dict[tuple[str, str], PluginManifest] = {}
    missing: list[str] = []
    waiting = list(manifest.depends_on)
    while waiting:
        need = waiting.pop()
        one = next((one for one in known if _meant(need, one)), None)
        if one is None:
            missing.append(f"{need}{nearest(need.name, [other.name for other in known])}")
        elif one.key not in found and one.key != manifest.key:
            found[one.key] = one
            waiting += one.depends_on
    return tuple(found.values()), tuple(missing)


def _meant(need: Dependency, one: PluginManifest) -> bool:
    return need.name == one.name and need.kind in (None, one.kind)


def _manifests_beside(folder: Path) -> Iterator[PluginManifest]:
    for file in plugin_folders(folder.parent):
        if isinstance(file, Path):
            try:
                yield read_manifest(file)
            except (ManifestInvalid, OSError):
                continue


def taken(registry: PluginRegistry, manifest: PluginManifest) -> PluginManifest:
    """A plugin of a folder, registered as by a host that found it.

    Args:
        registry: where to.
        manifest: its manifest, as it was read from the folder.
    """
    assert manifest.folder is not None
    source = FolderSource(manifest.folder, os.path.realpath(manifest.folder))
    return registry._take_one(source, manifest)  # noqa: SLF001


def configured(manifests: Iterable[PluginManifest], given: Path) -> dict[str, dict[str, Any]]:
    """A host's configuration for plugins: what their manifests have for tests, ``[contract] config``.

    Args:
        manifests: as they were read from folders.
        given: the folder that ``${tmpdir}`` stands for.
    """
    sections: dict[str, dict[str, Any]] = {}
    for one in manifests:
        section = filled_in(one.contract.get("config", {}), given, str(one.folder))
        sections.setdefault(one.kind, {})[one.name] = section
    return sections
