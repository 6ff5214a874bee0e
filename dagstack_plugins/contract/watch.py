"""What a plugin reaches for while it runs: clocks, randomness, the environment, files, sockets, processes.

Three ways of seeing, in the processes of tests only: a profile function sees calls of built-in functions and of the few
Python functions that stand for ambient things; stand-ins for ``time`` functions whose arguments decide; audit hooks
(PEP 578) see files, sockets and processes, whoever opens them. What is seen is blamed on the plugin's line that led
there; what the host's own resources do for it is not seen at all.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import weakref
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs

from dagstack_plugins.contract.ambient import BUILT_IN, LIBRARY, WAITS, by, stand_in
from dagstack_plugins.contract.guard import HARMLESS, Guard, Use, below, guard_of_process, named_alone, named_paths

Place = tuple[str, int]
ProfileFunction = Callable[[FrameType, str, Any], None]

_PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"
_LENDERS: Final = (_PACKAGE, "<frozen importlib", f"{LIBRARY}importlib{os.sep}")
"""What is done on these files' behalf is the host's business: resources, imports."""
_HOSTS: Final = (
    *_LENDERS,
    f"{LIBRARY}logging{os.sep}",
    *(f"{LIBRARY}{name}.py" for name in ("traceback", "tracemalloc", "warnings")),
)
"""The same, as far as clocks and files go: logs, and what shows errors."""


@attrs.frozen
class Sighting:
    """One thing that was seen.

    Attributes:
        what: ``clock``, ``interval``, ``randomness``, ``environment``, ``directory``, ``identity``, ``locale``,
            ``loop``, ``order``, ``sleep``, ``filters``, ``write``, ``read``, ``socket``, ``process``, ``registry``.
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
        named: paths that its configuration and payloads name, with what lies below.
        alone: those of them that count without what lies below.
    """

    def __init__(self, own: str, scratch: Path, guard: Guard | None = None) -> None:
        self._guard = guard or guard_of_process()
        self._own = own if os.path.isfile(own) else f"{own.rstrip(os.sep)}{os.sep}"  # noqa: PTH113
        self._real = os.path.realpath(own) + ("" if os.path.isfile(own) else os.sep)  # noqa: PTH113
        self._scratch = f"{scratch}{os.sep}"
        self.sightings: dict[Sighting, None] = {}
        self.phase = "load"
        self.named: list[str] = []
        self.alone: list[str] = []
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

    def saw(
        self, what: str, told: str, frame: FrameType | None, path: str = "", hosts: tuple[str, ...] = _HOSTS
    ) -> bool:
        """Note something that happens in a frame, if the plugin led there; whether it did.

        Args:
            what: what sort of thing it is.
            told: what was called.
            frame: where.
            path: the path concerned, if one is.
            hosts: beginnings of the files that hosts do things in.
        """
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
        stand_in(self)
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
        built_in, saw = BUILT_IN.get, self.saw

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
        if not by(frame, WAITS):
            self.saw(what, told, frame)

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
            self.saw(what, f"{event}({told})", frame, hosts=_LENDERS)

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
            self.saw("directory", f"{use.told} with the relative path {use.name!r}", frame, use.path)
        elif not self._may(use.path, writes=use.writes):
            self.saw("write" if use.writes else "read", use.told, frame, use.path)

    def _may(self, path: str, *, writes: bool) -> bool:
        if self._is_named(path) or any(below(path, folder) for folder in self._lent):
            return True
        return not writes and (below(path, self._real.rstrip(os.sep)) or path.startswith(_READABLE))

    def _is_named(self, path: str) -> bool:
        return path in self.alone or any(below(path, named) for named in self.named)

    def name_paths(self, value: Any) -> None:
        """Take note of all that may be a path in a configuration or a payload."""
        self.named += named_paths(value)
        self.alone += named_alone(value)

    @contextmanager
    def during(self, phase: str, payload: Any = None) -> Iterator[None]:
        """What is seen now belongs to a phase."""
        before, named, alone = self.phase, len(self.named), len(self.alone)
        self.phase = phase
        self.name_paths(payload)
        try:
            yield
        finally:
            self.phase = before
            del self.named[named:]
            del self.alone[alone:]


_READABLE: Final = tuple(
    f"{path.rstrip(os.sep)}{os.sep}"
    for path in {
        *sysconfig.get_paths().values(),
        *zoneinfo.TZPATH,
        *([sys.prefix] if sys.prefix not in ("/usr", "/usr/local") else []),
        *([sys.base_prefix] if sys.base_prefix not in ("/usr", "/usr/local") else []),
    }
)

# --- audit events -----------------------------------------------------------------------------------------------------

_SOCKETS: Final = frozenset(
    f"socket.{name}" for name in ("bind", "connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto")
)
_PROCESSES: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "pty.spawn"}
)
