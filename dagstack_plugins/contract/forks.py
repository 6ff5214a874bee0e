"""Processes that plugins are tested in: forked from a server that has loaded what tests need, watched from here.

They need POSIX: ``fork``, process groups.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.runtimes.channel import Channel

_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dagstack_plugins.contract.server import main; main(int(sys.argv[2]), sys.argv[3])"
)
_LOOK: Final = 0.1
"""Seconds between looks at what a process uses."""
_LAST_WORDS: Final = 0.2
"""Seconds that a process has to say where it hangs."""
_MOST_BYTES: Final = 256 * 2**20
_MOST_FILES: Final = 100_000
_MOST_MEMORY: Final = 4 * 2**30
_PRINTED: Final = 2000
"""Characters of what a process printed that are kept."""
_FRAME: Final = re.compile(r'File "(.+)", line (\d+) in (.+)')


@attrs.frozen
class Ended:
    """How a process ended.

    Attributes:
        report: what it reported; ``None`` if it did not come to that.
        how: how it ended, where it did not report: ``was killed by SIGSEGV``.
        frames: where it was then, as (file, line), innermost first.
        printed: the end of what it printed.
        phase: what the plugin did then: ``load``, ``setup``, ``teardown`` or the name of a hook.
        payload: what the hook was called with.
    """

    report: Any
    how: str = ""
    frames: tuple[tuple[str, int], ...] = ()
    printed: str = ""
    phase: str = ""
    payload: Any = None


class ForkServer:
    """A process that forks one process for each run.

    Args:
        hash_seed: its ``PYTHONHASHSEED``.
        overrides: environment variables that its processes get, in place of this one's.
    """

    def __init__(self, hash_seed: int, overrides: Mapping[str, str]) -> None:
        self._overrides = {**overrides, "PYTHONHASHSEED": str(hash_seed), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._owner = os.getpid()
        self._lock = threading.RLock()

    def start(self) -> None:
        """Begin to load, without waiting for it."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None and self._owner == os.getpid():
            return
        import socket

        mine, theirs = socket.socketpair()
        with theirs:
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(_search_path()), str(theirs.fileno()), _root()],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **self._overrides},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        process = self._process
        self._channel = Channel(mine, lambda: process.poll() is None)

    def run(self, probe: str, arguments: Any, scratch: Path, seconds: float) -> Ended:
        """Run a probe in a process of its own.

        Args:
            probe: ``module:function``; it gets its scratch folder and ``arguments``, and returns its report, JSON.
            arguments: a picklable value.
            scratch: an empty folder for it.
            seconds: when it is ended.
        """
        with self._lock:  # it answers one at a time
            return self._run(probe, arguments, scratch, seconds)

    def _run(self, probe: str, arguments: Any, scratch: Path, seconds: float) -> Ended:
        self._start()
        assert self._channel is not None
        begun = time.monotonic()
        environment = {**os.environ, **self._overrides}
        request = pickle.dumps((probe, arguments, _search_path(), environment))
        head = json.dumps({"scratch": str(scratch), "seconds": seconds}).encode()
        try:
            self._channel.send(head + b"\n" + request)
            pid = json.loads(self._channel.receive(begun + 60))["pid"]
        except (EOFError, TimeoutError):
            self.stop()
            raise PluginRegistryError(
                f"the server that plugins are tested by can't be started: {sys.executable} with this program's sys.path"
            ) from None
        try:
            told = self._watched(pid, scratch, begun + seconds, seconds)
            status = json.loads(self._channel.receive(time.monotonic() + 30))["status"]
        except (EOFError, TimeoutError):
            _end(pid)
            self.stop()
            told, status = "killed the process that it was forked from", 0
        except BaseException:  # who asked is interrupted: the answer would be taken for that of the next question
            _end(pid)
            self.stop()
            raise
        return _ended(scratch, told or _how(status))

    def _watched(self, pid: int, scratch: Path, until: float, seconds: float) -> str:
        """Wait for a process to end; why it was ended, if it had to be."""
        assert self._channel is not None
        while True:
            if self._channel.arrives(_LOOK):
                return ""
            if told := _too_much(pid, scratch):
                _end(pid)
                return told
            if time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR1)  # it tells where it is
                time.sleep(_LAST_WORDS)
                _end(pid)
                return f"did not end within {seconds:.3g} s"

    def stop(self) -> None:
        """End it, and what it forked."""
        if self._channel is not None and self._owner == os.getpid():
            with suppress(EOFError, TimeoutError):
                self._channel.send(b"", time.monotonic() + 1)  # it ends by itself
            self._channel.close()
        if self._process is not None and self._owner == os.getpid():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
            self._process.kill()
            self._process.wait()
        self._process = self._channel = None


def _search_path() -> list[str]:
    return [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is the working directory


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"exited with status {code}"


def _ended(scratch: Path, how: str) -> Ended:
    try:
        return Ended(json.loads((scratch / "report.json").read_bytes()), printed=_printed(scratch))
    except (OSError, ValueError):  # it never came to its report, or to the end of it
        return Ended(None, how, _frames(scratch), _printed(scratch), **_phase(scratch))


def _printed(scratch: Path) -> str:
    with suppress(OSError), (scratch / "printed").open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _PRINTED))
        return file.read().decode("utf-8", "backslashreplace")
    return ""


def _phase(scratch: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((scratch / "phase").read_bytes().partition(b"\n")[0])
        return found
    return {}


def _frames(scratch: Path) -> tuple[tuple[str, int], ...]:
    with suppress(OSError):
        text = (scratch / "stack").read_text("utf-8", "replace")
        return tuple((file, int(line)) for file, line, _ in _FRAME.findall(text))
    return ()


def _too_much(pid: int, scratch: Path) -> str:
    size = 0
    for count, file in enumerate(_files(scratch)):
        with suppress(OSError):
            size += file.lstat().st_blocks * 512
        if count > _MOST_FILES:
            return f"made more than {_MOST_FILES:,} files"
        if size > _MOST_BYTES:
            return f"wrote more than {_MOST_BYTES // 2**20} MiB"
    return f"took more than {_MOST_MEMORY // 2**30} GiB of memory" if _memory(pid) > _MOST_MEMORY else ""


def _memory(pid: int) -> int:
    import psutil

    with suppress(psutil.Error):
        found: int = psutil.Process(pid).memory_info().rss
        return found
    return 0


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            yield Path(root) / name


_roots: dict[int, str] = {}


def _root() -> str:
    """The folder of all scratch folders of this process; removed at its end, by its servers if it is killed."""
    pid = os.getpid()
    if not os.path.isdir(_roots.get(pid, "")):  # noqa: PTH112
        _roots[pid] = os.path.realpath(tempfile.mkdtemp(prefix="dagstack-contract-"))
        atexit.register(_remove_root, pid)
    return _roots[pid]


def _remove_root(pid: int) -> None:
    if pid == os.getpid():  # and not a fork of it
        shutil.rmtree(_roots[pid], ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one run, removed after it, whatever the run made of it."""
    folder = Path(tempfile.mkdtemp(prefix="", dir=_root()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, onerror=_make_removable)


def _make_removable(function: Callable[..., Any], path: str, _: Any) -> None:
    with suppress(OSError):
        for one in (Path(path).parent, Path(path)):
            one.chmod(0o700)
        function(path)
