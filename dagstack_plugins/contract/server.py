"""The server that test processes are forked from, and what each of them is before it runs a probe."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pickle
import platform
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from dagstack_plugins.contract.guard import Guard, named_paths
from dagstack_plugins.runtimes.channel import Channel
from dagstack_plugins.wording import place_parts, raised

PROBES: Final = (
    "ambient_state",
    "boundaries",
    "calls",
    "determinism",
    "execution_model",
    "fallback",
    "idempotency",
    "lifecycle",
    "manifest",
    "resources",
    "resume",
    "unit_of_work",
)
_LONGEST_FILE: Final = 2**30
"""Bytes of the longest file that a plugin may write."""


def main(descriptor: int, root: str) -> None:
    """Fork a process for each request, until an empty one.

    Args:
        descriptor: the socket to who asks.
        root: the folder of all scratch folders of who asks; removed, if that one is gone without a word.
    """
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(fileno=descriptor))
    _adopt_orphans()
    _preload()
    try:
        _serve(channel, descriptor)
    except EOFError:
        shutil.rmtree(root, ignore_errors=True)


def _serve(channel: Channel, descriptor: int) -> None:
    ends, wake = os.pipe()
    os.set_blocking(ends, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while asked := channel.receive():
        head, _, request = asked.partition(b"\n")
        pid = os.fork()
        if pid == 0:
            _child(json.loads(head), request, (descriptor, ends, wake), channel)
        with suppress(OSError):  # the child does so too; whoever is first
            os.setpgid(pid, pid)
        channel.send(json.dumps({"pid": pid}).encode())
        status = _waited(pid, descriptor, ends)
        _sweep(pid)
        if status is not None:
            channel.send(json.dumps({"status": status}).encode())


def _preload() -> None:
    """All that probes need, so that a fork has it at once."""
    for name in PROBES:
        with suppress(ModuleNotFoundError):
            importlib.import_module(f"dagstack_plugins.contract.probes.{name}")
    from dagstack_plugins.contract import inputs

    inputs.warm_up()
    gc.collect()
    gc.freeze()


def _adopt_orphans() -> None:
    """Have processes that daemonise become children of ours, so that they are found."""
    if sys.platform == "linux":
        import ctypes

        subreaper = 36
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(subreaper, 1, 0, 0, 0)


def _waited(pid: int, descriptor: int, ends: int) -> int | None:
    """The status of a child that ended; ``None`` if who asked for it wants to know no more, or is gone."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(ends, select.POLLIN)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        for ready, _ in poll.poll(1000):
            if ready == ends:
                with suppress(BlockingIOError):
                    os.read(ends, 4096)
            else:
                return None  # nothing is asked before this is answered, so this is the end


def _sweep(pid: int) -> None:
    """End all that a child left behind."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _child(head: dict[str, Any], request: bytes, ours: tuple[int, ...], channel: Channel) -> NoReturn:
    status = 70
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel.forget()
        for descriptor in ours[1:]:
            os.close(descriptor)
        scratch = Path(head["scratch"])
        report = _settle_in(scratch)
        try:
            probe, arguments, path, environment = pickle.loads(request)
            outside = tempfile.gettempdir()
            _take_over(path, environment, scratch)
            subject, options = arguments
            folders = [str(scratch), options.get("kept", str(scratch)), *named_paths(subject.config)]
            Guard(folders, subject.own, outside).begin()
            module, _, name = probe.partition(":")
            told = {"told": getattr(importlib.import_module(module), name)(scratch, arguments)}
        except BaseException as error:
            told = {"failed": _failure(error)}
        _write_all(report, scratch, json.dumps(told).encode())
        status = 0
    finally:
        os._exit(status)  # nothing of the server's, or of the plugin's, is done at this exit


def _failure(error: BaseException) -> dict[str, Any]:
    from dagstack_plugins.contract.stage import NotStarted
    from dagstack_plugins.errors import PluginRegistryError

    reason = ""
    if isinstance(error, NotStarted):
        reason = "loaded" if error.of_manifest else "started"
    elif isinstance(error, PluginRegistryError):
        reason = "loaded"
    cause = error.error if isinstance(error, NotStarted) else error
    message = str(cause) if isinstance(cause, PluginRegistryError) else raised(cause)
    file, line = place_parts(cause.__cause__ or cause)
    return {"reason": reason, "message": message, "traceback": traceback.format_exc(), "file": file, "line": line}


def _settle_in(scratch: Path) -> int:
    """Let nothing that the plugin prints or crashes with reach anybody but who reads the scratch folder."""
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    printed = os.open(scratch / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    stack = open(scratch / "stack", "w")  # noqa: SIM115, PTH123 - open until the process ends
    faulthandler.enable(stack, all_threads=False)
    faulthandler.register(signal.SIGUSR1, stack, all_threads=True)
    _tell_exits(stack)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LONGEST_FILE, _LONGEST_FILE))
    return os.open(scratch / "report", os.O_WRONLY | os.O_CREAT, 0o600)


def _tell_exits(stack: Any) -> None:
    """Have a process that leaves by ``os._exit`` say where."""
    leave = os._exit

    def told(status: int) -> NoReturn:
        faulthandler.dump_traceback(stack, all_threads=False)
        leave(status)

    os._exit = told
    vars(sys.modules["posix"])["_exit"] = told


def _take_over(path: list[str], environment: dict[str, str], scratch: Path) -> None:
    """Be where, and have what, the process has that asks for the run."""
    sys.path[:] = path
    for name in ("tmp", "home", "work"):
        (scratch / name).mkdir()
    os.environ.clear()
    os.environ.update(environment, TMPDIR=str(scratch / "tmp"), HOME=str(scratch / "home"))
    tempfile.tempdir = str(scratch / "tmp")
    os.chdir(scratch / "work")
    time.tzset()
    vars(platform)["_uname_cache"] = None
    gc.callbacks.clear()  # what the server's libraries count there would be done in the plugin's name
    threading.current_thread().name = "MainThread"


def _write_all(report: int, scratch: Path, text: bytes) -> None:
    try:
        while text:
            text = text[os.write(report, text) :]
    except OSError:  # the plugin closed what it did not open
        return
    os.replace(scratch / "report", scratch / "report.json")  # noqa: PTH105 - a Path is the plugin's to break
