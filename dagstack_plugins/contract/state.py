"""What lives longer than a plugin's instance: pictures of its modules and of its process, taken before and after."""

from __future__ import annotations

import array
import collections
import contextvars
import csv
import decimal
import enum
import gc
import hashlib
import io
import itertools
import locale
import logging
import os
import queue
import random
import signal
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

_DEPTH: Final = 6
_NODES: Final = 20_000
_CODE: Final = "code"
"""The picture of modules, and of functions and classes of others: a lazy import puts them anywhere."""
_OPAQUE: Final = (
    logging.Logger,
    types.GenericAlias,
    enum.Enum,
    *(type(one) for one in (threading.Lock(), threading.RLock())),
)
_OF_PYTHON: Final = frozenset(
    {"__annotations__", "__builtins__", "__cached__", "__dict__", "__doc__", "__file__", "__loader__", "__module__"}
    | {"__spec__", "__warningregistry__", "__weakref__", "__annotate__", "__annotations_cache__", "__annotate_func__"}
)

Picture = Any

_SHOWN: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    ((bytearray, array.array), bytes),
    ((itertools.count, itertools.repeat), repr),
    ((io.StringIO, io.BytesIO), lambda value: value.getvalue()),
    (random.SystemRandom, bool),
    (random.Random, lambda value: hashlib.blake2b(repr(value.getstate()).encode()).hexdigest()),
    (types.GeneratorType, lambda value: value.gi_frame.f_lasti if value.gi_frame else None),
)
"""What tells of the state of values that hold no others."""


class Camera:
    """Takes pictures of the modules whose files are a plugin's own.

    Args:
        is_own: whether a file is.
    """

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self._is_file = is_own

    def modules(self) -> dict[str, types.ModuleType]:
        """The plugin's modules, as far as they are loaded."""
        found = {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and self._is_file(file):
                found[name] = module
        return found

    def take(self) -> dict[str, Picture]:
        """A picture of each module-level name, and of each attribute of the classes there."""
        found: dict[str, Picture] = {}
        for name, module in self.modules().items():
            for variable, value in list(vars(module).items()):
                if variable not in _OF_PYTHON:
                    found[f"{name}:{variable}"] = _Shot(self.is_own).of(value)
        return found

    def is_own(self, value: Any) -> bool:
        """Whether a class or function is defined in the plugin's code."""
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and self._is_file(file)


class _Shot:
    """One picture: nested tuples that are equal as long as nothing in it changed."""

    def __init__(self, is_own: Callable[[Any], bool]) -> None:
        self._is_own = is_own
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        self._left = _NODES

    def of(self, value: Any, depth: int = _DEPTH) -> Picture:
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str, bytes):
            return value if kind is not float else repr(value)
        if isinstance(value, types.ModuleType | types.BuiltinFunctionType) or depth == 0 or self._left <= 0:
            return _CODE
        self._left -= 1
        if id(value) in self._seen:
            return ("again", self._seen[id(value)])
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)  # a value that is gone gives its identity to another
        try:
            return self._inside(value, kind, depth - 1)
        except Exception:  # code of the value's own, which does not like to be looked at
            return _CODE

    def _inside(self, value: Any, kind: type, depth: int) -> Picture:
        if isinstance(value, type):
            return self._class(value, depth) if self._is_own(value) and not issubclass(value, enum.Enum) else _CODE
        if isinstance(value, types.FunctionType):
            return self._function(value, depth)
        if isinstance(value, staticmethod | classmethod | property):
            parts = [getattr(value, name, None) for name in ("__func__", "fget", "fset")]
            return kind.__name__, tuple(self.of(part, depth) for part in parts)
        if isinstance(value, _OPAQUE) or kind.__module__.startswith("dagstack_plugins.contract"):
            return _CODE
        if (plain := self._plain(value, depth)) is not None:
            return (kind.__name__, *plain)
        return self._instance(value, depth)

    def _plain(self, value: Any, depth: int) -> tuple[Picture, ...] | None:
        if isinstance(value, Mapping):
            items = dict(value).items()
            return tuple((self.of(key, depth), self.of(item, depth)) for key, item in items) + self._more(value, depth)
        if isinstance(value, list | tuple | collections.deque):
            return tuple(self.of(item, depth) for item in value) + self._more(value, depth)
        if isinstance(value, set | frozenset):
            return tuple(sorted(repr(self.of(item, depth)) for item in value))
        for kinds, show in _SHOWN:
            if isinstance(value, kinds):
                return (show(value),)
        return self._holder(value, depth)

    def _holder(self, value: Any, depth: int) -> tuple[Picture, ...] | None:
        """What holds other values in a way of its own."""
        if isinstance(value, queue.Queue):
            return tuple(self.of(item, depth) for item in value.queue)
        if isinstance(value, contextvars.ContextVar):
            return (self.of(value.get(None), depth),)
        if isinstance(value, threading.local):
            return (self.of(dict(vars(value)), depth),)
        return None

    def _more(self, value: Any, depth: int) -> tuple[Picture, ...]:
        attributes = getattr(value, "__dict__", None)
        return (self.of(dict(attributes), depth),) if attributes else ()

    def _function(self, function: types.FunctionType, depth: int) -> Picture:
        if not self._is_own(function):
            return _CODE
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.of(cell.cell_contents, depth))
            except ValueError:  # empty as yet
                cells.append(None)
        attributes = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
        parts = function.__defaults__, function.__kwdefaults__, attributes, vars(function).get("__wrapped__")
        return ("function", *(self.of(part, depth) for part in parts), *cells)

    def _class(self, cls: type, depth: int) -> Picture:
        attributes = {name: value for name, value in vars(cls).items() if not _is_pythons(name)}
        return ("class", *((name, self.of(value, depth)) for name, value in sorted(attributes.items())))

    def _instance(self, value: Any, depth: int) -> Picture:
        attributes = dict(getattr(value, "__dict__", {}))
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in [slots] if isinstance(slots, str) else slots:
                if slot != "__dict__" and hasattr(value, slot):
                    attributes[slot] = getattr(value, slot)
        return type(value).__qualname__, self.of(attributes, depth)


def _is_pythons(name: str) -> bool:
    return name in _OF_PYTHON or name.startswith("_abc_")


def changed(before: Mapping[str, Picture], after: Mapping[str, Picture]) -> list[str]:
    """The names whose pictures differ, of classes with the attribute; lazy imports don't count."""
    found = []
    known = {name.partition(":")[0] for name in before}
    for name, now in after.items():
        if name.partition(":")[0] not in known:  # a module that was imported since
            continue
        was = before.get(name, None if name in before else _CODE)
        if was != now and not _is_import(name in before, was, now):
            found.append(name + _attribute(was, now))
    return found + [name for name in before if name not in after]


def _attribute(was: Picture, now: Picture) -> str:
    """Which attribute of a class differs."""
    if not all(isinstance(one, tuple) and one[:1] == ("class",) for one in (was, now)):
        return ""
    before, after = dict(was[1:]), dict(now[1:])
    changed_one = next((name for name in {**before, **after} if before.get(name) != after.get(name)), None)
    return "" if changed_one is None else f".{changed_one}"


def _is_import(was_there: bool, was: Picture, now: Picture) -> bool:
    return (now == _CODE and (not was_there or was is None)) or (
        not was_there and isinstance(now, tuple) and now[0] in ("class", "function")
    )


# --- the process ------------------------------------------------------------------------------------------------------


def process() -> dict[str, Picture]:
    """What all code of a process shares."""
    umask = os.umask(0o022)
    os.umask(umask)
    context = decimal.getcontext()
    found: dict[str, Picture] = {
        "os.environ": dict(os.environ),
        "the working directory": os.getcwd(),  # noqa: PTH109
        "sys.path": list(sys.path),
        "sys.meta_path": [id(one) for one in sys.meta_path if not _is_installed(one)],
        "the locale": locale.setlocale(locale.LC_ALL),
        "the umask": umask,
        "warnings.filters": [str(one) for one in warnings.filters],
        "the root logger's level": logging.root.level,
        "the root logger's handlers": [id(one) for one in logging.root.handlers],
        "logging.disable": logging.root.manager.disable,
        "the state of random": hashlib.blake2b(repr(random.getstate()).encode()).hexdigest(),
        "the decimal context": (context.prec, context.rounding, context.Emin, context.Emax),
        "socket.setdefaulttimeout": socket.getdefaulttimeout(),
        "sys.setrecursionlimit": sys.getrecursionlimit(),
        "sys.setswitchinterval": sys.getswitchinterval(),
        "the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "sys.stdout": _stream(sys.stdout),
        "sys.stderr": _stream(sys.stderr),
        "csv.field_size_limit": csv.field_size_limit(),
        "sys.excepthook": id(sys.excepthook),
        "threading.excepthook": id(threading.excepthook),
        "sys.settrace": id(sys.gettrace()),
        "sys.displayhook": id(sys.displayhook),
        "sys.int_max_str_digits": sys.get_int_max_str_digits(),
    }
    for descriptor, name in enumerate(("standard input", "standard output", "standard error")):
        found[f"the descriptor of {name}"] = _file_of(descriptor)
    for number in signal.valid_signals() - {signal.SIGUSR1}:
        handler = signal.getsignal(number)
        found[f"the handler of {signal.Signals(number).name if number in _NAMED else number}"] = (
            handler if isinstance(handler, int) else id(handler)
        )
    return found


_NAMED: Final = frozenset(signal.Signals)


def _is_installed(importer: Any) -> bool:
    """Whether a library put it there, when it was imported."""
    module = sys.modules.get(getattr(importer, "__module__", None) or type(importer).__module__)
    return "-packages" in (getattr(module, "__file__", None) or "")


def _file_of(descriptor: int) -> Picture:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stream(stream: Any) -> Picture:
    return (id(stream), *(getattr(stream, name, None) for name in ("encoding", "errors", "line_buffering")))


Names = dict[str, dict[str, int]]


def foreign(camera: Camera) -> Names:
    """The names of all modules that are not the plugin's, and of the classes that it uses, with what they stand for."""
    own = camera.modules()
    found = {
        name: {variable: id(value) for variable, value in list(vars(module).items())}
        for name, module in list(sys.modules.items())
        if name not in own and isinstance(module, types.ModuleType) and not name.startswith(("dagstack", "contract"))
    }
    for name, cls in _used_classes(own.values()):
        found[name] = {variable: id(value) for variable, value in vars(cls).items()}
    return found


def _used_classes(modules: Iterable[types.ModuleType]) -> Iterator[tuple[str, type]]:
    """Classes of others that a module names, or that are in modules that it names."""
    for module in modules:
        for value in list(vars(module).values()):
            inside = list(vars(value).values()) if isinstance(value, types.ModuleType) else [value]
            for cls in inside:
                if isinstance(cls, type) and cls.__module__ != module.__name__:
                    yield f"{cls.__module__}.{cls.__qualname__}", cls


def patched(camera: Camera, before: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Names of other modules and classes that hold what is the plugin's now, or that were not there."""
    classes = dict(_used_classes(camera.modules().values()))
    for name, variables in before.items():
        holder = sys.modules.get(name) or classes.get(name)
        for variable, value in list(vars(holder).items()) if holder is not None else ():
            is_new = variable not in variables
            if isinstance(value, types.ModuleType) or not (is_new or variables[variable] != id(value)):
                continue
            of_plugin = camera.is_own(value) or camera.is_own(type(value))
            public = not variable.startswith("_") and (is_new or isinstance(holder, type))
            if is_new and callable(value) and getattr(value, "__module__", None) in sys.modules:
                public = False  # what a module puts there itself, when it is first asked for
            if of_plugin or public:
                yield f"{name}.{variable}"
