"""A PostgreSQL server of the tests' own, and a wire to it that can be cut."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

psycopg = pytest.importorskip("psycopg", reason="needs: pip install 'psycopg[binary]'")

PASSWORD = "t0p secret'\\"
"""Of every role; with what has to be escaped."""
_READY = b"Z\x00\x00\x00\x05I"
"""The end of each answer: the server is ready for the next query."""

_UNTIL_TOLD = """
"$@" &
read -r how
kill -"${how:-QUIT}" $!
wait $!
"""
"""A server that is ended by the name of a signal, or with whoever has started it."""


def _programs() -> Path | None:
    """The folder of the server's programs; Debian's is in no PATH, one for each version."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Server:
    """A server that listens on a socket in a folder of its own, and nowhere else."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self.folder = programs, folder
        self._process: subprocess.Popen[str] | None = None
        # PostgreSQL refuses to be run by root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres", "postgres")
        self._set_up()
        self.start()

    def _set_up(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)  # in a folder that only its owner may enter
        command = [self._programs / "initdb", "-D", self.folder / "data", "-U", "postgres", "-E", "UTF8"]
        command += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **self._as)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        command = ["/bin/sh", "-c", _UNTIL_TOLD, "sh", self._programs / "postgres", "-D", self.folder / "data"]
        command += ["-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, **self._as
            )
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.conninfo()).close()
                return
            except psycopg.OperationalError:
                told = (self.folder / "log").read_text()
                assert self._process.poll() is None, told
                assert time.monotonic() < end, told
                time.sleep(0.02)

    def stop(self, how: Literal["INT", "QUIT"] = "INT") -> None:
        """End the server: by INT all are shown out, by QUIT it falls over."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.communicate(f"{how}\n", timeout=30)

    def restart(self, how: Literal["INT", "QUIT"] = "INT") -> None:
        self.stop(how)
        self.start()

    def conninfo(self, **other: str | int) -> Any:
        known = {"host": str(self.folder), "user": "postgres", "password": PASSWORD, "dbname": "postgres"}
        return psycopg.conninfo.make_conninfo(**{**known, **other})

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Do something as the server's owner; the rows, if there are some."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            done = connection.execute(statement)
            return list(done) if done.description else []


@contextmanager
def running() -> Iterator[Server]:
    """A server, until the end of the block; where PostgreSQL is not installed, the test skips."""
    programs = _programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path, as that of a socket must be
    try:
        server = Server(programs, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


class Wire:
    """A port on loopback that leads to a server, and can be cut in the middle of a query, once.

    Args:
        server: where it leads.
    """

    def __init__(self, server: Server) -> None:
        self._target = str(server.folder / ".s.PGSQL.5432")
        self._listens = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listens]
        self.port: int = self._listens.getsockname()[1]
        self.loses: Literal["", "query", "answer", "end"] = ""
        """What is lost of the next query, before the wire breaks: it, its answer, or only the answer's last part."""
        self.meanwhile: Callable[[], Any] = lambda: None
        """What happens while the wire breaks."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listens.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._open += [client, server]
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError), client, server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is client and self.loses:
                        self._cut(client, server, data)
                        return
                    (server if ready is client else client).sendall(data)

    def _cut(self, client: socket.socket, server: socket.socket, query: bytes) -> None:
        loses, self.loses = self.loses, ""
        if loses != "query":
            server.sendall(query)
            answer = b""
            while not answer.endswith(_READY):
                answer += server.recv(1 << 16)
            if loses == "end":
                client.sendall(answer.removesuffix(_READY))
        self.meanwhile()

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
