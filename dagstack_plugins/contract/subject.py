"""The plugin under test, told in a way that another process can load it by."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from dagstack_plugins.contract.neighbours import neighbours
from dagstack_plugins.discovery.kind_folders import nearest_kinds
from dagstack_plugins.discovery.sources import FolderSource, ObjectSource, Source
from dagstack_plugins.errors import HookspecInvalid, PluginLoadError
from dagstack_plugins.kinds.builtin import builtin_hookspec
from dagstack_plugins.kinds.hookspec import hookspec_files, read_hookspec
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.parcels import packed
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.wording import raised

Elsewhere = tuple[Callable[..., Source], tuple[Any, ...]]
"""How another process makes a source: a function, and its arguments."""


@attrs.frozen(kw_only=True)
class Subject:
    """One plugin, and what it is tested with.

    Attributes:
        manifest: its manifest.
        source: how its class is found.
        own: the folder or package that its code lies in, or the one file.
        hookspecs: the hookspec files of its kind, and of those that it depends on.
        neighbours: the manifests of the plugins that it depends on.
        missing: dependencies that were found nowhere.
        config: its configuration, before ``${tmpdir}`` and ``${plugin}`` are filled in.
        resources: what was handed over for it, each as a parcel of (value, factory).
        examples: how many inputs are made for each hook.
        seed: what they are made from.
    """

    manifest: PluginManifest
    source: Elsewhere
    own: str
    hookspecs: tuple[Path, ...] = ()
    neighbours: tuple[PluginManifest, ...] = ()
    missing: tuple[str, ...] = ()
    config: Mapping[str, Any] = attrs.field(factory=dict)
    resources: Mapping[str, bytes] = attrs.field(factory=dict)
    examples: int = 100
    seed: int = 0

    @property
    def label(self) -> str:
        """``kind/name``."""
        return f"{self.manifest.kind}/{self.manifest.name}"

    @property
    def alone(self) -> bool:
        """Whether its code lies in a folder of its own, and not among other code, such as that of tests."""
        folder = self.manifest.folder
        return folder is not None and self.own == str(folder)

    def kind(self) -> Kind | None:
        """Its kind; ``None`` where that is unknown or its hookspec faulty."""
        found = [kind for kind in self._kinds() if kind.name == self.manifest.kind]
        major = int(self.manifest.kind_api_version.partition(".")[0])
        return next((kind for kind in found if kind.major == major), found[-1] if found else None)

    def _kinds(self) -> Iterator[Kind]:
        builtin = builtin_hookspec(self.manifest.kind)
        for file in (*self.hookspecs, *([builtin] if builtin else [])):
            try:
                yield read_hookspec(file)
            except HookspecInvalid:  # the check of the manifest tells
                continue


def subject_of(
    manifest: PluginManifest,
    plugin_class: type | None = None,
    *,
    hookspecs: Sequence[str | Path] = (),
    resources: Mapping[str, Any] | ResourceRegistry | None = None,
    config: Mapping[str, Any] | None = None,
    examples: int = 100,
    seed: int = 0,
) -> Subject:
    """Settle what is tested.

    Args:
        manifest: the plugin's manifest.
        plugin_class: its class; left out, it is loaded from the manifest's folder.
        hookspecs: files and folders that declare kinds; left out, the nearest folders ``kinds`` and ``hookspecs``.
        resources: what the plugin is lent in place of the parts for tests.
        config: its configuration; left out, that of ``[contract] config`` in the manifest.
        examples: how many inputs are made for each hook.
        seed: what they are made from.

    Raises:
        TypeError: if the class, or a resource, can't go to another process.
        HookspecInvalid: if there is no hookspec where ``hookspecs`` says.
    """
    manifest = _without_links(manifest)
    source, own = _source(manifest, plugin_class)
    found, missing = neighbours(manifest)
    return Subject(
        manifest=manifest,
        source=source,
        own=own,
        hookspecs=tuple(_hookspecs(hookspecs, own)),
        neighbours=found,
        missing=missing,
        config=manifest.contract.get("config", {}) if config is None else config,
        resources=_parcels(resources),
        examples=examples,
        seed=seed,
    )


def _without_links(manifest: PluginManifest) -> PluginManifest:
    """What a plugin opens is compared with its folder, by paths that have no links in them."""
    if manifest.folder is None:
        return manifest
    file = manifest.file and manifest.folder.resolve() / manifest.file.name
    return attrs.evolve(manifest, folder=manifest.folder.resolve(), file=file)


def _source(manifest: PluginManifest, plugin_class: type | None) -> tuple[Elsewhere, str]:
    if plugin_class is None:
        if manifest.folder is None:
            raise TypeError(
                f"the manifest of {manifest.name!r} comes from no folder: give the class, plugin_class=…, "
                "or a manifest read by load_manifest()"
            )
        return (FolderSource, (manifest.folder, os.path.realpath(manifest.folder))), str(manifest.folder)
    where = ClassPlace.of(plugin_class)
    folder = manifest.folder
    inside = folder is not None and Path(where.file).is_relative_to(folder)
    return (_found_class, (where,)), str(folder) if inside else _home_of(Path(where.file))


def _home_of(file: Path) -> str:
    """The package of a file, whose other modules work for the class and whose data it reads; or the file."""
    return str(file.parent if (file.parent / "__init__.py").exists() else file)


@attrs.frozen
class ClassPlace:
    """Where a class is defined: enough to find it in another process.

    Attributes:
        module: the name of its module.
        name: its own, perhaps inside another class.
        file: the module's file.
    """

    module: str
    name: str
    file: str

    @classmethod
    def of(cls, found: type) -> ClassPlace:
        """Of a class.

        Raises:
            TypeError: for what is no class, or one that no other process can find.
        """
        if not isinstance(found, type):
            raise TypeError(f"plugin_class is a class, found {found!r}")
        file = getattr(sys.modules.get(found.__module__), "__file__", None)
        if file is None or "<locals>" in found.__qualname__:
            raise TypeError(
                f"{found.__qualname__} can't be loaded by another process, which is where plugins are tested: "
                "define it at the top of a module"
            )
        return cls(found.__module__, found.__qualname__, str(Path(file).absolute()))


def _found_class(place: ClassPlace) -> ObjectSource:
    found: Any = _module(place)
    for part in place.name.split("."):
        found = getattr(found, part)
    return ObjectSource(found)


def _module(place: ClassPlace) -> Any:
    """The module, by its name where that leads to the same file, else from the file: tests can't always be imported."""
    if place.module != "__main__":
        try:
            module = importlib.import_module(place.module)
            if getattr(module, "__file__", None) in (None, place.file):
                return module
        except ImportError:
            pass
    name = "__contract_main__" if place.module == "__main__" else place.module
    spec = importlib.util.spec_from_file_location(name, place.file)
    if spec is None or spec.loader is None:
        raise PluginLoadError(f"{place.file} cannot be imported", file=place.file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hookspecs(given: Sequence[str | Path], own: str) -> list[Path]:
    if isinstance(given, str | Path):
        raise TypeError(f"hookspecs takes several: [{str(given)!r}], not {str(given)!r}")
    folders = [Path(path).expanduser().absolute() for path in given] or nearest_kinds([Path(own)])
    return list(dict.fromkeys(file for folder in folders for file in hookspec_files(folder)))


def _parcels(resources: Mapping[str, Any] | ResourceRegistry | None) -> dict[str, bytes]:
    found = {}
    for name, value in _given(resources).items():
        try:
            found[name] = packed((value.__class__.for_worker(value, "contract") if _travels(value) else value, None))
        except Exception as error:
            raise TypeError(
                f"the resource {name!r} can't go to the process that the plugin is tested in: {raised(error)}; name "
                f"what makes it there instead, in the manifest: [plugin.contract.resources] {name} = 'module:function'"
            ) from error
    return found


def _given(resources: Mapping[str, Any] | ResourceRegistry | None) -> Mapping[str, Any]:
    if isinstance(resources, ResourceRegistry):
        standard = {"tmpdir"}  # each host makes its own
        return {name: resources.get(name) for name in resources.names() if name not in standard}
    return {} if resources is None else resources


def _travels(value: Any) -> bool:
    return hasattr(type(value), "for_worker")
