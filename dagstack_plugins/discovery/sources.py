"""Where a plugin's class comes from: a folder, an object that was handed over, an installed module."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import attrs

from dagstack_plugins.contents import Contents
from dagstack_plugins.discovery.loading import (
    DEFAULT_MODULE,
    LoadedFolder,
    imported,
    named_class,
    only_class,
)
from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.manifest import PluginManifest


class Place(Protocol):
    """Where a plugin is.

    Attributes:
        location: for people.
        place: to be recognised when it is found again; ``None`` for what the host hands over.
        contents: its files; ``None`` for what the host hands over.
    """

    @property
    def location(self) -> str:
        """Where the plugin came from."""

    @property
    def place(self) -> Hashable:
        """Equal for equal sources."""

    @property
    def contents(self) -> Contents | None:
        """The plugin's files."""


class Source(Place, Protocol):
    """Where a plugin's code is.

    Attributes:
        package: the package that ``find`` loaded it as, for it alone; ``None`` for code that others import too.
    """

    @property
    def package(self) -> str | None:
        """A name in ``sys.modules``."""

    def find(self, manifest: PluginManifest, hooks: Collection[str]) -> Any:
        """The plugin's class, or the object that is the plugin.

        Raises:
            PluginLoadError: if the code fails, or no class fits.
        """

    def elsewhere(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        """How to make the same source in another process: a function, and its arguments."""


@attrs.define(eq=False)
class FolderSource:
    """Code in a plugin's folder, isolated.

    Attributes:
        folder: the folder.
        place: the same, whatever links it was reached by.
        contents: all in the folder.
    """

    folder: Path
    place: str
    _loaded: LoadedFolder | None = attrs.field(init=False, default=None)
    contents: Contents = attrs.field(init=False)

    @contents.default
    def _all_in_it(self) -> Contents:
        return Contents(self.folder)

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.folder)

    def find(self, manifest: PluginManifest, hooks: Collection[str]) -> Any:
        """The class that ``entry_point`` names, or the only one in ``plugin.py`` that fits."""
        module_name, _, class_name = (manifest.entry_point or DEFAULT_MODULE).partition(":")
        file = f"{self.folder}{os.sep}{module_name.replace('.', os.sep)}.py"
        if not manifest.entry_point and not os.path.isfile(file):  # noqa: PTH113 - a Path costs more than the look
            raise PluginLoadError(
                f"there is no {file}; write the plugin there, or name its class in entry_point", file=file
            )
        self._loaded = LoadedFolder(self.folder, manifest.name, self.place)
        module = self._loaded.load(module_name)
        file = getattr(module, "__file__", None) or file
        return named_class(module, class_name, file) if class_name else only_class(module, hooks, manifest.kind, file)

    @property
    def package(self) -> str | None:
        """A package of its own."""
        return None if self._loaded is None else self._loaded.package

    def elsewhere(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        """The same folder, not loaded yet."""
        return FolderSource, (self.folder, self.place)


@attrs.frozen(eq=False)
class UnreadablePlace:
    """A folder that could not be looked into."""

    location: str

    @property
    def place(self) -> Hashable:
        """The folder."""
        return os.path.realpath(self.location)

    @property
    def contents(self) -> None:
        """None: it can't be looked into."""


@attrs.define(eq=False)
class ObjectSource:
    """A class or an object that the host handed over."""

    plugin: Any

    @property
    def location(self) -> str:
        """The module and name of the class."""
        if isinstance(self.plugin, ModuleType):
            return f"module {self.plugin.__name__}"
        cls = self.plugin if isinstance(self.plugin, type) else type(self.plugin)
        return f"{cls.__module__}.{cls.__qualname__}"

    @property
    def place(self) -> Hashable:
        """None: it is never found again."""
        return None

    def find(self, manifest: PluginManifest, hooks: Collection[str]) -> Any:  # noqa: ARG002 - nothing to look for
        """What was handed over."""
        return self.plugin

    @property
    def contents(self) -> None:
        """None: the host knows what it hands over."""

    @property
    def package(self) -> None:
        """None: it was there before."""

    def elsewhere(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        """The class, or the module, found by its name."""
        if isinstance(self.plugin, ModuleType):
            return _handed_over, (self.plugin.__name__,)
        return ObjectSource, (self.plugin,)


@attrs.frozen(eq=False)
class ManifestSource:
    """A manifest without code, of a plugin that runs elsewhere.

    Attributes:
        file: the manifest's file.
        place: the same, whatever links it was reached by.
    """

    file: Path
    place: str

    @property
    def location(self) -> str:
        """The manifest."""
        return str(self.file)

    def find(self, manifest: PluginManifest, hooks: Collection[str]) -> Any:  # noqa: ARG002 - there is nothing
        """Nothing.

        Raises:
            PluginLoadError: always.
        """
        raise PluginLoadError(f"{self.file} is a manifest alone: there is no code that could run in process")

    @property
    def contents(self) -> None:
        """None: the host's own configuration names the folder."""

    @property
    def package(self) -> None:
        """None: nothing is loaded."""

    def elsewhere(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        """The same manifest."""
        return ManifestSource, (self.file, self.place)


@attrs.define(eq=False)
class ModuleSource:
    """A module that the host imported."""

    module: ModuleType

    @property
    def location(self) -> str:
        """The module's name and file."""
        return f"module {self.module.__name__}"

    @property
    def place(self) -> Hashable:
        """None: it is never found again."""
        return None

    def find(self, manifest: PluginManifest, hooks: Collection[str]) -> Any:
        """The class that ``entry_point`` names, or the only one that fits."""
        file = getattr(self.module, "__file__", None) or self.module.__name__
        module_name, _, class_name = (manifest.entry_point or "").partition(":")
        if not class_name:
            return only_class(self.module, hooks, manifest.kind, file)
        if module_name.split(".")[-1] != self.module.__name__.split(".")[-1]:
            raise PluginLoadError(
                f"entry_point names module {module_name!r}, but this is {self.module.__name__!r}", file=file
            )
        return named_class(self.module, class_name, file)

    @property
    def contents(self) -> None:
        """None: the module is the host's."""

    @property
    def package(self) -> None:
        """None: the module is the host's."""

    def elsewhere(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        """The module, found by its name."""
        return _imported_module, (self.module.__name__,)


@attrs.define(eq=False)
class InstalledSource:
    """A class of an installed distribution, imported under its own name.

    Attributes:
        distribution: the distribution's name, for people.
        module: the dotted module that its entry point names.
        attribute: the class that its entry point names; empty if it names only the module.
        folder: where its manifest is.
        contents: the files of its top-level package, or of its module alone.
    """

    distribution: str
    module: str
    attribute: str
    folder: Path
    contents: Contents | None = None

    @property
    def location(self) -> str:
        """The module or class, and its distribution."""
        code = f"{self.module}:{self.attribute}" if self.attribute else self.module
        return f"{code} (distribution {self.distribution})"

    @property
    def place(self) -> Hashable:
        """What the entry point says."""
        return self.distribution, self.module, self.attribute

    def find(self, manifest: PluginManifest, hooks: Collection[str]) -> Any:
        """The class that the entry point names, or the only one that fits; the manifest must agree."""
        module = imported(lambda: importlib.import_module(self.module), self.module)
        if self.attribute:
            found = named_class(module, self.attribute, self.module)
        elif manifest.entry_point and ":" in manifest.entry_point:
            found = self._by_manifest(manifest)
        else:
            found = only_class(module, hooks, manifest.kind, self.module)
        if manifest.entry_point and self._by_manifest(manifest) is not found:
            raise PluginLoadError(
                f"the entry point of {self.distribution} names {self.module}:{self.attribute or found.__name__}, "
                f"its manifest {manifest.entry_point}; they must be the same class, "
                "or the manifest leaves entry_point out",
                file=str(manifest.file),
            )
        return found

    def _by_manifest(self, manifest: PluginManifest) -> Any:
        inner, _, class_name = (manifest.entry_point or "").partition(":")
        package = self.module if self._is_package() else self.module.rpartition(".")[0]
        if not package and inner != self.module:  # a lock would know nothing of the other one
            raise PluginLoadError(
                f"the entry point of {self.distribution} names the module {self.module}, its manifest another one, "
                f"{inner}; the entry point must name the module that the plugin is in",
                file=str(manifest.file),
            )
        name = f"{package}.{inner}" if package else inner
        return named_class(imported(lambda: importlib.import_module(name), name), class_name, name)

    def _is_package(self) -> bool:
        return hasattr(sys.modules[self.module], "__path__")

    @property
    def package(self) -> None:
        """None: the module belongs to its distribution."""

    def elsewhere(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        """The same, as it is installed there too."""
        return InstalledSource, (self.distribution, self.module, self.attribute, self.folder, self.contents)


def _handed_over(module: str) -> ObjectSource:
    return ObjectSource(importlib.import_module(module))


def _imported_module(module: str) -> ModuleSource:
    return ModuleSource(importlib.import_module(module))
