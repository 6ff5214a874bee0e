"""Code of plugin folders, imported without touching ``sys.path``, each folder as a package of its own."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.runtimes.in_process import implements, nearly_hooks
from dagstack_plugins.wording import nearest, place_of, raised

PREFIX: Final = "dagstack._discovered"
DEFAULT_MODULE: Final = "plugin"
_DEPTH: Final = 3
"""Names in the full name of a discovered package."""
_lock: Final = threading.RLock()


class LoadedFolder:
    """A plugin's folder as a package: ``dagstack._discovered.<name>``, its modules below it.

    Args:
        folder: the folder.
        name: the plugin's name; a second folder of that name gets a suffix.
        place: the folder, without the links that led to it.
    """

    def __init__(self, folder: Path, name: str, place: str) -> None:
        self.folder = folder
        self._place = place
        with _lock:
            _ensure_root()
            self.package = _free_name(f"{PREFIX}.{name}")
            # Taken before the code runs, so that nothing it does can take the name.
            self._spec = self._package_spec()
            self._module = importlib.util.module_from_spec(self._spec)
            self._module.__path__ = [str(folder)]
            sys.modules[self.package] = self._module

    def _package_spec(self) -> importlib.machinery.ModuleSpec:
        folder, init = [str(self.folder)], f"{self.folder}{os.sep}__init__.py"
        if os.path.isfile(init):  # noqa: PTH113 - a Path for each file costs more than the look
            spec = importlib.util.spec_from_file_location(self.package, init, submodule_search_locations=folder)
        else:
            # This loader has nothing to run, but it knows of importlib.resources.
            finder: Any = importlib.machinery.PathFinder.find_spec
            loader = importlib.machinery.NamespaceLoader(self.package, folder, finder)
            spec = importlib.util.spec_from_loader(self.package, loader, is_package=True)
        if spec is None:
            raise PluginLoadError(f"{init} cannot be imported", file=init)
        return spec

    def load(self, module: str) -> ModuleType:
        """Import one module of the folder.

        Args:
            module: its dotted name, below the folder.

        Raises:
            PluginLoadError: if it isn't there, lies elsewhere, or fails while it is imported.
        """
        full = f"{self.package}.{module}"
        spec = self._plain_file(module, full)
        if spec is None:
            self._check_inside(module)
        if self._spec.origin is not None:
            self._check_file("__init__", self._spec.origin)
        if (loader := self._spec.loader) is not None:
            imported(lambda: loader.exec_module(self._module), self.folder / "__init__.py")
        file = f"{self.folder}{os.sep}{module.replace('.', os.sep)}.py"
        if spec is None or full in sys.modules:  # its package may have imported it
            loaded: ModuleType = imported(lambda: importlib.import_module(full), file)
            return loaded
        return self._executed(spec, module, file)

    def _plain_file(self, module: str, full: str) -> importlib.machinery.ModuleSpec | None:
        """The common case, a file beside the manifest: found by a look at it, where Python would list the folder."""
        base = f"{self._place}{os.sep}{module}"
        try:
            if "." in module or not stat.S_ISREG(os.lstat(f"{base}.py").st_mode) or os.path.isdir(base):  # noqa: PTH112
                return None
        except OSError:
            return None
        return importlib.util.spec_from_file_location(full, f"{self.folder}{os.sep}{module}.py")

    def _executed(self, spec: importlib.machinery.ModuleSpec, module: str, file: str) -> ModuleType:
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded
        assert spec.loader is not None
        loader = spec.loader
        imported(lambda: loader.exec_module(loaded), file)
        loaded = sys.modules[spec.name]  # it may have put something else in its place
        setattr(self._module, module, loaded)  # as an import does
        return loaded

    def _check_inside(self, module: str) -> None:
        path = [str(self.folder)]
        for part in module.split("."):
            # By its last name: for its whole name, Python would ask parents that are not imported yet.
            spec = importlib.machinery.PathFinder.find_spec(part, path)
            if spec is None:
                raise PluginLoadError(
                    f"there is no module {module!r} in {self.folder}; entry_point names a file of the plugin's folder",
                    file=str(self.folder),
                )
            if spec.origin is not None:
                self._check_file(module, spec.origin)
            path = list(spec.submodule_search_locations or ())

    def _check_file(self, module: str, file: str) -> None:
        real = os.path.realpath(file)
        if not real.startswith(f"{self._place}{os.sep}"):
            raise PluginLoadError(
                f"module {module!r} of {self.folder} lies outside it, at {real}; a plugin's code is inside its folder",
                file=file,
            )


def unload_packages(packages: Collection[str]) -> None:
    """Remove discovered packages, and what is below them, from ``sys.modules``."""
    with _lock:
        # By name: a package may have deleted the attribute that an imported module is, or never come to set it.
        for name in [name for name in list(sys.modules) if name.startswith(f"{PREFIX}.")]:
            if ".".join(name.split(".", _DEPTH)[:_DEPTH]) in packages:
                del sys.modules[name]


def _ensure_root() -> None:
    if PREFIX not in sys.modules:
        root = ModuleType(PREFIX)
        root.__path__ = []
        sys.modules[PREFIX] = root


def _free_name(wanted: str) -> str:
    name, number = wanted, 2
    while name in sys.modules:
        name, number = f"{wanted}_{number}", number + 1
    return name


def imported(action: Callable[[], Any], file: object) -> Any:
    """What ``action`` imports.

    Raises:
        PluginLoadError: whatever else it raises, or if it exits.
    """
    try:
        return action()
    except BaseException as error:  # SystemExit too: a module that exits must not take the host along
        if is_interrupt(error):
            raise
        what = "exits" if isinstance(error, SystemExit) else f"raises {raised(error)}"
        place = place_of(error, str(file))
        raise PluginLoadError(f"{file} cannot be imported: it {what}{place}", file=str(file)) from error


def defined_classes(module: ModuleType) -> Iterator[type]:
    """The classes that a module defines itself, each once; imported ones don't count."""
    seen: set[int] = set()
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__ and id(value) not in seen:
            seen.add(id(value))
            yield value


def named_class(module: ModuleType, name: str, file: str) -> type:
    """The class that an entry point names, perhaps one inside another (``Outer.Inner``).

    Raises:
        PluginLoadError: if it isn't there; it lists those that are.
    """
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    names = [cls.__name__ for cls in defined_classes(module)]
    problem = f"has no class {name!r}{nearest(name, names)}" if found is None else f"has {name!r}, which is no class"
    raise PluginLoadError(
        f"{file} {problem}; it defines: {', '.join(names) or 'no class'}; "
        "write one of them in entry_point, or rename it",
        file=file,
    )


def only_class(module: ModuleType, hooks: Collection[str], kind: str, file: str) -> type:
    """The one class of a module that implements a hook.

    Raises:
        PluginLoadError: if there is none, or several; it lists the classes found.
    """
    classes = list(defined_classes(module))
    fitting = [cls for cls in classes if not inspect.isabstract(cls) and implements(cls, hooks)]
    if len(fitting) == 1:
        return fitting[0]
    names = [f"{cls.__name__} (abstract)" if inspect.isabstract(cls) else cls.__name__ for cls in fitting or classes]
    told = f"({', '.join(hooks)}); classes found: {', '.join(names) or 'none'}"
    if fitting:
        problem = f"several classes that implement a hook of kind {kind!r} {told}"
        advice = "write the plugin's class in entry_point"
    else:
        problem = f"no class that implements a hook of kind {kind!r} {told}"
        unfinished = [cls for cls in classes if inspect.isabstract(cls) and implements(cls, hooks)]
        slips = [(cls.__name__, name, hook) for cls in classes for name, hook in nearly_hooks(cls, hooks)]
        advice = "a plugin is a class with a method named like the hook"
        if unfinished:
            lacking = ", ".join(sorted(getattr(unfinished[0], "__abstractmethods__", ())))
            advice = f"{unfinished[0].__name__} is abstract, it lacks {lacking}"
        elif slips:
            advice = "{} has {!r}, did you mean {!r}?".format(*slips[0])
    raise PluginLoadError(f"{file} defines {problem}; {advice}", file=file)
