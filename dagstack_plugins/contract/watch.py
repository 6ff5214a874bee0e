"""What a plugin reaches for while it runs: clocks, randomness, the environment, files, sockets, processes.

Three ways of seeing, in the processes of tests only: a profile function sees calls of built-in functions and of the few
Python functions that stand for ambient things; stand-ins for ``time`` functions whose arguments decide; audit hooks
(PEP 578) see files, sockets and processes, whoever opens them. What is seen is blamed on the plugin's line that led
there; what the host's own resources do for it is not seen at all.
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
import weakref
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final

import attrs
import forbiddenfruit  # type: ignore[import-untyped]

from dagstack_plugins.contract.guard import HARMLESS, Guard, Use, below, guard_of_process, named_paths
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.resources import lent

Place = tuple[str, int]
ProfileFunction = Callable[[FrameType, str, Any], None]

_PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"
_LIBRARY: Final = f"{sysconfig.get_path('stdlib')}{os.sep}"
_LENDERS: Final = (_PACKAGE, "<frozen importlib", f"{_LIBRARY}importlib{os.sep}")
"""What is done on these files' behalf is the host's business: resources, imports."""
_HOSTS: Final = (
    *_LENDERS,
    f"{_LIBRARY}logging{os.sep}",
    *(f"{_LIBRARY}{name}.py" for name in ("traceback", "tracemalloc", "warnings")),
)
"""The same, as far as clocks and files go: logs, and what shows errors."""
_WAITS: Final = tuple(
    f"{_LIBRARY}{name}"
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


@attrs.frozen
class Sighting:
    """One thing that was seen.

    Attributes:
        what: ``clock``, ``interval``, ``randomness``, ``environment``, ``directory``, ``identity``, ``locale``,
            ``loop``, ``order``, ``sleep``, ``write``, ``read``, ``socket``, ``process``, ``registry``.
        told: what was called: ``time.time()``.
        phase: ``load``, ``setup``, ``teardown`` or the name of a hook.
        file: the plugin's file.
        line: its line.
        path: the path concerned, absolute, if one is.
        thread: the name of the thread.
    """

    what: str
    told: str
    phase: str
    file: str
    line: int
    path: str = ""
    thread: str = ""


class Watch:
    """Watches one plugin in this process, from ``begin`` until the process ends.

    Args:
        own: the plugin's folder, or its one file.
        scratch: the folder for all that is written.
        guard: hears of files, sockets and processes; by default that of this process.

    Attributes:
        sightings: what was seen, each once.
        phase: what the plugin does now.
        named: paths that its configuration and payloads name.
    """

    def __init__(self, own: str, scratch: Path, guard: Guard | None = None) -> None:
        self._guard = guard or guard_of_process()
        self._own = own if os.path.isfile(own) else f"{own.rstrip(os.sep)}{os.sep}"  # noqa: PTH113
        self._real = os.path.realpath(own) + ("" if os.path.isfile(own) else os.sep)  # noqa: PTH113
        self._scratch = f"{scratch}{os.sep}"
        self.sightings: dict[Sighting, None] = {}
        self.phase = "load"
        self.named: list[str] = []
        self._lent: list[str] = []
        self._threads: weakref.WeakKeyDictionary[threading.Thread, Place] = weakref.WeakKeyDictionary()

    # Who is to blame

    def is_own(self, file: str) -> bool:
        """Whether a file is the plugin's."""
        return file.startswith((self._own, self._real))

    def blame_only(self, frame: FrameType | None) -> Place | None:
        """The plugin's line that a frame stands on, or waits for the end of, whoever works for it."""
        at = frame
        while at is not None:
            if self.is_own(at.f_code.co_filename):
                return at.f_code.co_filename, at.f_lineno
            at = at.f_back
        return None

    def started(self, thread: threading.Thread) -> Place | None:
        """The plugin's line that started a thread."""
        return self._threads.get(thread)

    def blame(self, frame: FrameType | None, hosts: tuple[str, ...] = _HOSTS) -> Place | None:
        """The plugin's line that led to a frame; ``None`` if none did, or the host did it for the plugin.

        Args:
            frame: the frame.
            hosts: beginnings of the files that hosts do things in.
        """
        at = frame
        while at is not None:
            name = at.f_code.co_filename
            if hosts and name in self._guard.lenders:
                return None
            if self.is_own(name):
                return name, at.f_lineno
            if name.startswith(hosts):
                return None
            at = at.f_back
        return self._threads.get(threading.current_thread())

    def _saw(
        self, what: str, told: str, frame: FrameType | None, path: str = "", hosts: tuple[str, ...] = _HOSTS
    ) -> bool:
        place = self.blame(frame, hosts)
        if place is None:
            return False
        thread = threading.current_thread().name
        self.sightings[Sighting(what, told, self.phase, *place, path, thread)] = None
        return True

    # Calls

    def begin(self, also: ProfileFunction | None = None, *, profile: bool = True) -> None:
        """Watch from now on.

        Args:
            also: another profile function, called for each event too.
            profile: whether calls are watched too, which makes code of many small steps several times as slow.
        """
        _stand_in(self)
        self._guard.listener = self._audited
        if not profile:
            return
        profiler = self._profiler(also)
        threading.setprofile(profiler)
        sys.setprofile(profiler)

    def end(self) -> None:
        """Look away."""
        self._guard.listener = None
        threading.setprofile(None)
        sys.setprofile(None)

    def _profiler(self, also: ProfileFunction | None) -> ProfileFunction:
        """The profile function; called so often that what it needs is at hand, and a frame's code is not.

        Reading that raises an audit event, and with it our own hook.
        """
        built_in, saw = _BUILT_IN.get, self._saw

        def profiled(frame: FrameType, event: str, argument: Any) -> None:
            if event == "c_call":
                looked_for = built_in(argument.__name__)
                if looked_for is not None and (seen := looked_for(argument.__self__, frame)) is not None:
                    saw(*seen, frame)

        if also is None:
            return profiled

        def both(frame: FrameType, event: str, argument: Any) -> None:
            also(frame, event, argument)
            profiled(frame, event, argument)

        return both

    # Functions of Python that stand-ins tell of

    def ambient(self, what: str, told: str, frame: FrameType) -> None:
        """Something ambient is used, but not by a library that only waits."""
        if not _by(frame, _WAITS):
            self._saw(what, told, frame)

    def starts(self, thread: threading.Thread, frame: FrameType) -> None:
        """A thread is about to start."""
        if (place := self.blame(frame)) is not None:
            self._threads[thread] = place

    def undeclared(self, name: str, frame: FrameType) -> None:
        """A resource is read that the manifest does not declare."""
        if (place := self.blame(frame, hosts=())) is not None:
            told = f"ctx.resources.{name}, which its manifest does not declare"
            self.sightings[Sighting("undeclared", told, self.phase, *place)] = None

    # Audit events

    def _audited(self, event: str, arguments: tuple[Any, ...], frame: FrameType, uses: list[Use]) -> None:
        for use in uses:
            self._used(use, frame)
        what = "socket" if event in _SOCKETS else "process" if event in _PROCESSES else ""
        if what:
            told = next((repr(argument) for argument in arguments if isinstance(argument, str | tuple | bytes)), "")
            self._saw(what, f"{event}({told})", frame, hosts=_LENDERS)

    def _used(self, use: Use, frame: FrameType) -> None:
        """The plugin opens, makes, moves or removes something."""
        host = self.blame(frame) is None
        if host and use.writes and use.path.startswith(self._scratch):
            self._lent.append(use.path)  # the host makes its plugin's tmpdir
        elif not use.writes and use.name.endswith((".py", ".pyc")) and not self.is_own(frame.f_code.co_filename):
            return  # a library shows code, or imports it
        elif host or use.path in HARMLESS:
            return
        elif not os.path.isabs(use.name) and not self._is_named(use.path):  # noqa: PTH117
            self._saw("directory", f"{use.told} with the relative path {use.name!r}", frame, use.path)
        elif not self._may(use.path, writes=use.writes):
            self._saw("write" if use.writes else "read", use.told, frame, use.path)

    def _may(self, path: str, *, writes: bool) -> bool:
        if self._is_named(path) or any(below(path, folder) for folder in self._lent):
            return True
        return not writes and (below(path, self._real.rstrip(os.sep)) or path.startswith(_READABLE))

    def _is_named(self, path: str) -> bool:
        return any(below(path, named) for named in self.named)

    def name_paths(self, value: Any) -> None:
        """Take note of all that may be a path in a configuration or a payload."""
        self.named += named_paths(value)

    @contextmanager
    def during(self, phase: str, payload: Any = None) -> Iterator[None]:
        """What is seen now belongs to a phase."""
        before, named = self.phase, len(self.named)
        self.phase = phase
        self.name_paths(payload)
        try:
            yield
        finally:
            self.phase = before
            del self.named[named:]


_READABLE: Final = tuple(
    f"{path.rstrip(os.sep)}{os.sep}"
    for path in {
        *sysconfig.get_paths().values(),
        *zoneinfo.TZPATH,
        *([sys.prefix] if sys.prefix not in ("/usr", "/usr/local") else []),
        *([sys.base_prefix] if sys.base_prefix not in ("/usr", "/usr/local") else []),
    }
)

# --- built-in functions -----------------------------------------------------------------------------------------------

Seen = tuple[str, str] | None
Looked = Callable[[Any, FrameType], Seen]


def _by(frame: FrameType, files: tuple[str, ...]) -> bool:
    return frame.f_code.co_filename.startswith(files)


def _of_module(module: str, what: str, *, unless: tuple[str, ...] = ()) -> Callable[[str], Looked]:
    def of(name: str) -> Looked:
        def look(holder: Any, frame: FrameType) -> Seen:
            if getattr(holder, "__name__", None) != module or (unless and _by(frame, unless)):
                return None
            return what, f"{module.replace('posix', 'os').lstrip('_')}.{name}()"

        return look

    return of


def _interval(name: str) -> Looked:
    """How long something takes is the business of libraries; what the plugin measures itself goes into its results."""

    def look(holder: Any, frame: FrameType) -> Seen:
        if getattr(holder, "__name__", None) != "time" or _by(frame, (_LIBRARY,)):
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
            if getattr(holder, "__name__", None) != module or _by(frame, (_LIBRARY,)):
                return None
            return what, f"{shown}{name}()"

        return look

    return of


_BUILT_IN: Final[dict[str | None, Looked]] = {
    **{name: _of_module("time", "clock", unless=_WAITS)(name) for name in ("time", "time_ns", "clock_gettime")},
    **{name: _interval(name) for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")},
    **{name: _interval(name) for name in ("process_time", "process_time_ns", "thread_time", "thread_time_ns")},
    "sleep": _of_module("time", "sleep")("sleep"),
    **{name: _now(name) for name in ("now", "utcnow", "today")},
    **{name: _shared_random(name) for name in ("random", "getrandbits", "seed", "setstate")},
    "urandom": _of_module("posix", "randomness", unless=_WAITS)("urandom"),
    "getrandom": _of_module("posix", "randomness")("getrandom"),
    "generate_time_safe": lambda *_: ("randomness", "uuid.uuid1()"),
    **{name: _of_module("posix", "directory")(name) for name in ("getcwd", "getcwdb", "chdir", "fchdir")},
    **{name: _of_module("posix", "environment", unless=_WAITS)(name) for name in ("putenv", "unsetenv")},
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
            self._watch._saw("clock", f"time.{self.__name__}()", sys._getframe(1))
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
        quiet = (_LIBRARY,) if self._what == "interval" else _WAITS
        if not _by(frame, quiet):
            self._watch._saw(self._what, self._told, frame)
        return self._function(*arguments, **named)


def _stand_in(watch: Watch) -> None:
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
    _go_round(lent, "_undeclared", lambda frame, arguments: watch.undeclared(arguments[0], frame))
    registry = vars(PluginRegistry)["resource_registry"].fget

    def read(self: PluginRegistry) -> Any:
        watch.ambient("registry", "ctx.registry.resource_registry", sys._getframe(1))
        return registry(self)

    setattr(PluginRegistry, "resource_registry", property(read))  # noqa: B010 - a class that is read only for mypy


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
        if not _by(frame, _WAITS):
            watch._saw("clock", f"{holder.__name__}.{name}()", frame)
        if holder is cls:
            return bound(*arguments, **named)
        return function.__get__(None, holder)(*arguments, **named)

    return read


# --- audit events -----------------------------------------------------------------------------------------------------

_SOCKETS: Final = frozenset(
    f"socket.{name}" for name in ("bind", "connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto")
)
_PROCESSES: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "pty.spawn"}
)
