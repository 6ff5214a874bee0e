"""Ends a plugin's process, and all that it started, when its host is gone. Run as a program, by its path.

``python -I -S guardian.py FD COMMAND…`` starts the command in a process group of its own, on its own standard streams.
On the socket FD it says ``pid N``, or ``failed TEXT``, and at the end ``exit STATUS``; it takes ``t`` (SIGTERM to the
group) and ``k`` (SIGKILL). Where the socket breaks, the host is gone: the group is killed, stopped or not.

It imports nothing of ours, so that it starts in some milliseconds, and can't fail with what it guards.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys

_NOT_FOR_IT = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""A service manager sends them to all processes of a service; it goes when its host does."""

_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them, and a program that is started would go on with that."""


def main(descriptor: int, command: list[str]) -> int:
    """Guard one command until it has ended.

    Args:
        descriptor: a connected stream socket to the host.
        command: what to run.

    Returns:
        The exit status.
    """
    host = socket.socket(fileno=descriptor)
    host.set_inheritable(False)
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever the host blocks
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for sign in _NOT_FOR_IT:
        signal.signal(sign, signal.SIG_IGN)
    signal.set_wakeup_fd(wakeup)
    pid = _started(command)
    if isinstance(pid, str):
        host.sendall(f"failed {pid}\n".encode())
        return 127
    for stream in (0, 1, 2):  # their ends are the plugin's alone: who reads them hears when it closes them
        with contextlib.suppress(OSError):
            os.close(stream)
    _say(host, f"pid {pid}\n")
    _obey(host, ended, pid)
    # Before it is reaped: until then nobody else can have its number.
    _kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    _say(host, f"exit {os.waitstatus_to_exitcode(status)}\n")
    return 0


def _started(command: list[str]) -> int | str:
    """The process, or why there is none."""
    failure, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for sign in (signal.SIGCHLD, *_NOT_FOR_IT, *_PYTHONS):
                signal.signal(sign, signal.SIG_DFL)
            os.execvp(command[0], command)
        except OSError as error:
            os.write(tell, (error.strerror or str(error)).encode())
        finally:
            os._exit(127)
    with contextlib.suppress(OSError):  # it has done so itself already
        os.setpgid(pid, pid)
    os.close(tell)
    told = os.read(failure, 4096)
    os.close(failure)
    if told:
        os.waitpid(pid, 0)
        return told.decode()
    return pid


def _obey(host: socket.socket, ended: int, pid: int) -> None:
    """Until the process has ended, or the host is gone."""
    poll = select.poll()  # unlike `select.select`, it takes any number of a descriptor
    for descriptor in (host.fileno(), ended):
        poll.register(descriptor, select.POLLIN)
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if ended in ready:
            os.read(ended, 512)
        if host.fileno() in ready:
            try:
                orders = host.recv(64)
            except OSError:
                orders = b""
            if not orders:
                return
            for order in orders:
                _kill(pid, signal.SIGTERM if order == ord("t") else signal.SIGKILL)


def _kill(group: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sign)


def _say(host: socket.socket, told: str) -> None:
    with contextlib.suppress(OSError):  # it is gone
        host.sendall(told.encode())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
