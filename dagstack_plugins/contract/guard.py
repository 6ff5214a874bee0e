"""What keeps a test from harm: nothing is written outside of its folders, whatever its inputs name.

An audit hook (PEP 578) hears of each file before it is opened, and can refuse it. It is no sandbox: it keeps generated
inputs and slips from harm, not an attacker.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs

_PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"
_LIBRARY: Final = f"{Path(os.__file__).resolve().parent}{os.sep}"
HARMLESS: Final = frozenset({os.devnull, "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty"})
"""What nobody minds."""
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@attrs.frozen
class Use:
    """A path that is about to be used.

    Attributes:
        name: the path, as it was given.
        path: the same, absolute, without links.
        told: the call: ``os.remove('a')``.
        writes: whether it is written, made, moved or removed.
    """

    name: str
    path: str
    told: str
    writes: bool


Listener = Callable[[str, tuple[Any, ...], FrameType, list[Use]], None]
"""Hears of an event, its arguments, the frame that it comes from, and the paths that it uses; it may raise."""


class Guard:
    """Refuses writes outside of some folders, in this process from now on.

    Args:
        folders: where anything may be written.
        own: the plugin's folder or file, which is never written to.
        outside: a folder of temporary files, whose owners may lend what writes there.

    Attributes:
        listener: hears of all events first.
        lenders: the files of resources that are lent.
    """

    def __init__(self, folders: list[str], own: str, outside: str) -> None:
        self._folders = tuple(map(os.path.realpath, folders))
        self._own = os.path.realpath(own)
        self._shown = own
        self.lenders: set[str] = set()
        self._outside = os.path.realpath(outside)
        self._busy = threading.local()
        self.listener: Listener | None = None

    def begin(self) -> None:
        """Guard from now on: an audit hook can't be taken back."""
        _of_process[:] = [self]
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        of_paths = _OF_PATHS.get(event)
        if of_paths is None and not event.startswith(_OTHERS):
            return
        if getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            frame = sys._getframe(1)  # noqa: SLF001 - whoever caused the event
            uses = [] if of_paths is None else of_paths(event, arguments, frame)
            if self.listener is not None:
                self.listener(event, arguments, frame, uses)
            if event in _REACHES_OUT and not self.is_lent(frame):
                raise ConnectionRefusedError(f"the contract suite lets no plugin reach the network: {event}")
            for use in uses:
                if use.writes and not self._may(use.path, frame):
                    raise PermissionError(f"the contract suite lets nothing be written outside its folders: {use.path}")
        finally:
            self._busy.now = False

    def _may(self, path: str, frame: FrameType) -> bool:
        if path in HARMLESS or any(below(path, folder) for folder in self._folders):
            return True
        if below(path, self._own):
            return False
        return below(path, self._outside) or self.is_lent(frame)

    def lend(self, resource: object) -> None:
        """Let the code of a resource, that somebody lends to the plugin, do what plugins may not."""
        file = getattr(sys.modules.get(type(resource).__module__), "__file__", None)
        if file is not None and not file.startswith(_PACKAGE):
            self.lenders.add(file)

    def is_lent(self, frame: FrameType | None) -> bool:
        """Whether a resource works here, or the suite itself, and not the plugin."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(_PACKAGE) or name in self.lenders:
                return True
            if below(name, self._own) or below(name, self._shown):
                return False
            frame = frame.f_back
        return False


_of_process: list[Guard] = []


def guard_of_process() -> Guard:
    """The guard of this process."""
    return _of_process[0]


def named_paths(value: Any) -> list[str]:
    """All that may be a path in a configuration or a payload, absolute; what lies below is named as well.

    That is all of it for the root and the working directory, so that these are left out.
    """
    return [path for path in _mentioned(value) if not _is_broad(path)]


def named_alone(value: Any) -> list[str]:
    """The root and the working directory, if they are named: they may be looked at, but not what lies below."""
    return [path for path in _mentioned(value) if _is_broad(path)]


def _is_broad(path: str) -> bool:
    return path in (os.sep, os.getcwd())  # noqa: PTH109


def _mentioned(value: Any) -> Iterator[str]:
    for text in _texts(value):
        # A text may be no path at all: too long, with a NUL, with letters that the file system doesn't have.
        with suppress(OSError, ValueError):
            if text:
                yield os.path.realpath(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def below(path: str, folder: str) -> bool:
    """Whether a path is a folder, or in it."""
    return path == folder or path.startswith(f"{folder.rstrip(os.sep)}{os.sep}")


# --- the events -------------------------------------------------------------------------------------------------------

_OTHERS: Final = ("socket.", "subprocess.", "os.system", "os.fork", "os.posix_spawn", "os.spawn", "os.exec", "pty.")
"""How events begin that are no paths, and that a listener may want to hear of."""

_REACHES_OUT: Final = frozenset(
    f"socket.{name}" for name in ("connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto", "sendmsg")
)
"""What a test never really does: it would reach the world outside."""

OfPaths = Callable[[str, tuple[Any, ...], FrameType], list[Use]]


def _use(path: Any, told: str, *, writes: bool) -> list[Use]:
    if isinstance(path, int):
        return []
    path = "." if path is None else path  # os.listdir()
    try:
        name = os.fsdecode(path)
        return [Use(name, os.path.realpath(name), told, writes)]
    except (TypeError, ValueError, OSError):
        return []


def _opened(_: str, arguments: tuple[Any, ...], frame: FrameType) -> list[Use]:
    path, mode, flags = arguments
    in_library = frame.f_code.co_filename.startswith(_LIBRARY)
    if mode is None and in_library and not isinstance(path, int) and not os.path.isabs(path):  # noqa: PTH117
        return []  # os.open below a descriptor of a folder, which isn't told, as in shutil.rmtree
    writes = bool((flags or 0) & _WRITES)
    return _use(path, f"opens {path!r}{' for writing' if writes else ''}", writes=writes)


def _paths(*places: tuple[int, int | None], writes: bool = True) -> OfPaths:
    """Paths, told by their positions among the arguments, each with that of the folder it is relative to."""

    def of(event: str, arguments: tuple[Any, ...], _: FrameType) -> list[Use]:
        found = []
        for position, folder in places:
            path = arguments[position]
            told = f"{event}({path!r})"
            if folder is not None and folder < len(arguments):
                path = _below_descriptor(path, arguments[folder])
            found += _use(path, told, writes=writes)
        return found

    return of


def _below_descriptor(path: Any, folder: Any) -> Any:
    if not isinstance(folder, int) or folder < 0 or isinstance(path, int):
        return path
    try:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))  # noqa: PTH115, PTH118
    except OSError:
        return folder  # a number: nobody knows what it stood for


def _database(_: str, arguments: tuple[Any, ...], __: FrameType) -> list[Use]:
    path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path) not in ("", ":memory:"):
        return _use(path, f"sqlite3.connect({path!r})", writes=True)
    return []


_OF_PATHS: Final[Mapping[str, OfPaths]] = {
    "open": _opened,
    "os.mkdir": _paths((0, 2)),
    "os.remove": _paths((0, 1)),
    "os.rmdir": _paths((0, 1)),
    "os.rename": _paths((0, 2), (1, 3)),
    "os.link": _paths((1, 3)),
    "os.symlink": _paths((1, 2)),
    "os.truncate": _paths((0, None)),
    "os.chmod": _paths((0, 2)),
    "os.chown": _paths((0, 3)),
    "os.utime": _paths((0, 3)),
    "os.listdir": _paths((0, None), writes=False),
    "os.scandir": _paths((0, None), writes=False),
    "sqlite3.connect": _database,
}
