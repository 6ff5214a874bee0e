"""What is ambient: the functions by which code reaches past its host, and how calls of them are seen.

A profile function sees calls of built-in functions; stand-ins are put in the place of functions of Python, of those
whose arguments decide, and of those that C code calls.
"""

from __future__ import annotations

import asyncio
import calendar
import datetime
import functools
import locale
import os
import random
import sys
import sysconfig
import threading
import time
import warnings
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import forbiddenfruit  # type: ignore[import-untyped]

from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.resources import lent

if TYPE_CHECKING:
    from dagstack_plugins.contract.watch import Watch

LIBRARY: Final = f"{sysconfig.get_path('stdlib')}{os.sep}"
WAITS: Final = tuple(
    f"{LIBRARY}{name}"
    for name in (
        f"asyncio{os.sep}",
        f"concurrent{os.sep}",
        f"multiprocessing{os.sep}",
        "queue.py",
        "sched.py",
        "selectors.py",
        "socket.py",
        "ssl.py",
        "subprocess.py",
        "tempfile.py",
        "threading.py",
    )
)
"""These look at clocks for their timeouts, and at the environment for how to start."""

Seen = tuple[str, str] | None
Looked = Callable[[Any, FrameType], Seen]


def by(frame: FrameType, files: tuple[str, ...]) -> bool:
    """Whether a frame runs code of one of some files, told by how their names begin."""
    return frame.f_code.co_filename.startswith(files)


def _of_module(module: str, what: str, *, unless: tuple[str, ...] = ()) -> Callable[[str], Looked]:
    def of(name: str) -> Looked:
        def look(holder: Any, frame: FrameType) -> Seen:
            if getattr(holder, "__name__", None) != module or (unless and by(frame, unless)):
                return None
            return what, f"{module.replace('posix', 'os').lstrip('_')}.{name}()"

        return look

    return of


def _interval(name: str) -> Looked:
    """How long something takes is the business of libraries; what the plugin measures itself goes into its results."""

    def look(holder: Any, frame: FrameType) -> Seen:
        if getattr(holder, "__name__", None) != "time" or by(frame, (LIBRARY,)):
            return None
        return "interval", f"time.{name}()"

    return look


def _now(name: str) -> Looked:
    def look(holder: Any, _: FrameType) -> Seen:
        if isinstance(holder, type) and issubclass(holder, datetime.date):
            return "clock", f"{holder.__name__}.{name}()"
        return None

    return look


def _shared_random(name: str) -> Looked:
    shared = random._inst

    def look(holder: Any, _: FrameType) -> Seen:
        return ("randomness", f"random.{name}()") if holder is shared else None

    return look


def _directly(module: str, what: str, shown: str) -> Callable[[str], Looked]:
    """Counts where the plugin's own code calls it: libraries have reasons of their own."""

    def of(name: str) -> Looked:
        def look(holder: Any, frame: FrameType) -> Seen:
            if getattr(holder, "__name__", None) != module or by(frame, (LIBRARY,)):
                return None
            return what, f"{shown}{name}()"

        return look

    return of


BUILT_IN: Final[dict[str | None, Looked]] = {
    **{name: _of_module("time", "clock", unless=WAITS)(name) for name in ("time", "time_ns", "clock_gettime")},
    **{name: _interval(name) for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")},
    **{name: _interval(name) for name in ("process_time", "process_time_ns", "thread_time", "thread_time_ns")},
    "sleep": _of_module("time", "sleep")("sleep"),
    **{name: _now(name) for name in ("now", "utcnow", "today")},
    **{name: _shared_random(name) for name in ("random", "getrandbits", "seed", "setstate")},
    "urandom": _of_module("posix", "randomness", unless=WAITS)("urandom"),
    "getrandom": _of_module("posix", "randomness")("getrandom"),
    "generate_time_safe": lambda *_: ("randomness", "uuid.uuid1()"),
    **{name: _of_module("posix", "directory")(name) for name in ("getcwd", "getcwdb", "chdir", "fchdir")},
    **{name: _of_module("posix", "environment", unless=WAITS)(name) for name in ("putenv", "unsetenv")},
    **{
        name: _directly("posix", "identity", "os.")(name)
        for name in ("getpid", "getppid", "getuid", "getlogin", "cpu_count", "getloadavg", "times")
    },
    "uname": _of_module("posix", "identity")("uname"),
    **{name: _of_module("_ssl", "randomness")(name) for name in ("RAND_bytes", "RAND_pseudo_bytes")},
    "gethostname": _of_module("_socket", "identity")("gethostname"),
    **{
        name: _of_module("_locale", "locale")(name)
        for name in ("setlocale", "localeconv", "nl_langinfo", "strcoll", "strxfrm")
    },
    **{name: _of_module("_asyncio", "loop")(name) for name in ("get_event_loop", "get_running_loop")},
    **{name: _directly("builtins", "order", "")(name) for name in ("id", "hash")},
    **{name: _of_module("posix", "order")(name) for name in ("listdir", "scandir")},
}


class _StandIn:
    """Stands for a function of ``time``, as only its arguments say whether it looks at a clock.

    No function, so that a class attribute that holds it makes no method of it, as with the built-in one.
    """

    def __init__(self, watch: Watch, name: str, ambient: Callable[[tuple[Any, ...]], bool]) -> None:
        self._watch = watch
        self._function = getattr(time, name)
        self.__name__ = name
        self.__doc__ = self._function.__doc__
        self._ambient = ambient

    def __call__(self, *arguments: Any) -> Any:
        if self._ambient(arguments):
            self._watch.saw("clock", f"time.{self.__name__}()", sys._getframe(1))
        return self._function(*arguments)


class _Reads:
    """Stands for a function that always reaches for something, so that it is seen when C code calls it (``map``)."""

    def __init__(self, watch: Watch, module: ModuleType, name: str, what: str) -> None:
        self._watch = watch
        self._function = getattr(module, name)
        self._what = what
        self._told = f"{module.__name__}.{name}()"
        self.__name__ = name
        self.__doc__ = self._function.__doc__

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        frame = sys._getframe(1)
        quiet = (LIBRARY,) if self._what == "interval" else WAITS
        if not by(frame, quiet):
            self._watch.saw(self._what, self._told, frame)
        return self._function(*arguments, **named)


def stand_in(watch: Watch) -> None:
    """Put stand-ins in this process, for good; they tell a watch.

    Args:
        watch: hears of each use.
    """
    for name in ("localtime", "gmtime", "ctime", "asctime"):
        setattr(time, name, _StandIn(watch, name, lambda arguments: not arguments or arguments[0] is None))
    time.strftime = _StandIn(watch, "strftime", lambda arguments: len(arguments) < 2)
    for module, what, names in _WATCHED:
        for name in names:
            setattr(module, name, _Reads(watch, module, name, what))
    for name in ("now", "utcnow"):
        forbiddenfruit.curse(datetime.datetime, name, classmethod(_date_reader(watch, name)))
    forbiddenfruit.curse(datetime.date, "today", classmethod(_date_reader(watch, "today", datetime.date)))
    _go_round_python(watch)


def _go_round_python(watch: Watch) -> None:
    """Put functions round those of Python's own that a profile function would have to look for in each call."""

    def ambient(what: str, told: str) -> Tell:
        return lambda frame, _: watch.ambient(what, told, frame)

    def of_key(frame: FrameType, arguments: tuple[Any, ...]) -> None:
        if not (watch.phase == "load" and _is_librarys(arguments[1], frame)):
            watch.ambient("environment", f"os.environ[{arguments[1]!r}]", frame)

    environ = type(os.environ)
    for name in ("__getitem__", "__setitem__", "__delitem__"):
        _go_round(environ, name, of_key)
    for name in ("__iter__", "copy"):
        _go_round(environ, name, ambient("environment", "os.environ, all of it"))
    _go_round(threading.Thread, "start", lambda frame, arguments: watch.starts(arguments[0], frame))
    _go_round(asyncio.BaseEventLoop, "time", ambient("interval", "loop.time()"))
    for module in (asyncio, asyncio.events):
        _go_round(module, "new_event_loop", ambient("loop", "asyncio.new_event_loop()"))
    _go_round(calendar._localized_day, "__getitem__", ambient("locale", "calendar.day_name"))
    _go_round(calendar._localized_month, "__getitem__", ambient("locale", "calendar.month_name"))
    for name in ("filterwarnings", "simplefilter", "resetwarnings"):
        _go_round(warnings, name, ambient("filters", f"warnings.{name}()"))
    _go_round(lent, "_undeclared", lambda frame, arguments: watch.undeclared(arguments[0], frame))
    registry = vars(PluginRegistry)["resource_registry"].fget

    def read(self: PluginRegistry) -> Any:
        watch.ambient("registry", "ctx.registry.resource_registry", sys._getframe(1))
        return registry(self)

    setattr(PluginRegistry, "resource_registry", property(read))  # noqa: B010 - a class that is read only for mypy


def _is_librarys(key: Any, frame: FrameType) -> bool:
    """Whether a library reads a variable that bears its own name: how users set it, and not the plugin's doing."""
    while frame.f_back is not None and by(frame, (LIBRARY, "<frozen")) and "-packages" not in frame.f_code.co_filename:
        frame = frame.f_back
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0].strip("_")
    return bool(package) and isinstance(key, str) and key.lower().startswith(f"{package.lower()}_")


Tell = Callable[[FrameType, tuple[Any, ...]], None]


def _go_round(holder: Any, name: str, tell: Tell) -> None:
    function = vars(holder)[name]

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        tell(sys._getframe(1), arguments)
        return function(*arguments, **named)

    setattr(holder, name, call)


_WATCHED: Final = (
    (time, "clock", ("time", "time_ns")),
    (time, "sleep", ("sleep",)),
    (time, "interval", ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time")),
    (random, "randomness", ("random", "getrandbits")),
    (os, "randomness", ("urandom",)),
    (locale, "locale", ("strcoll", "strxfrm")),
)


def _date_reader(watch: Watch, name: str, cls: type = datetime.datetime) -> Callable[..., Any]:
    """Stands for a method of a built-in class, so that it is seen when C code calls it."""
    function = vars(cls)[name]
    bound = function.__get__(None, cls)

    def read(holder: type, *arguments: Any, **named: Any) -> Any:
        frame = sys._getframe(1)
        if not by(frame, WAITS):
            watch.saw("clock", f"{holder.__name__}.{name}()", frame)
        if holder is cls:
            return bound(*arguments, **named)
        return function.__get__(None, holder)(*arguments, **named)

    return read
