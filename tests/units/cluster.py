"""A Redis server of the tests' own, and workers of Celery."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

redis = pytest.importorskip("redis", reason="needs: pip install 'celery[redis]'")
pytest.importorskip("celery", reason="needs: pip install 'celery[redis]'")


class RedisServer:
    """A server that keeps what it is told, over its own death too."""

    def __init__(self, folder: Path, *settings: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("needs redis-server, as Debian's package of that name has it")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", "--databases", "1000", *settings]
        self.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def url(self, number: int = 0) -> str:
        """The address of one of its databases."""
        return f"redis://127.0.0.1:{self.port}/{number}"

    def start(self) -> None:
        with (self._folder / "redis.log").open("ab") as log:
            # A full disk is told by an error, as Python has it, and no signal.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, restore_signals=False)
        client = redis.Redis(port=self.port)
        end = time.monotonic() + 30
        while True:
            with suppress(redis.ConnectionError):
                if client.ping():
                    break
            assert self._process.poll() is None, (self._folder / "redis.log").read_text()
            assert time.monotonic() < end, "Redis does not answer"
            time.sleep(0.02)
        client.close()

    def stop(self, how: int = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        self._process.wait(30)


class Worker:
    """``celery -A dagstack_plugins.units.celery worker``, with plugins from a folder, in a session of its own."""

    def __init__(
        self,
        folder: Path,
        broker: str,
        *options: str,
        config: str = "",
        environment: Mapping[str, str] | None = None,
        app: str = "dagstack_plugins.units.celery",
    ) -> None:
        self.folder = folder
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        settings = {"DAGSTACK_UNITS": broker, "DAGSTACK_PLUGINS": str(folder / "plugins"), **(environment or {})}
        if config:
            (folder / "worker.toml").write_text(config, encoding="utf-8")
            settings["DAGSTACK_CONFIG"] = str(folder / "worker.toml")
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO", "--without-mingle"]
        command += ["--without-gossip", *(options or ("-c", "2")), "-n", f"{self.log.stem}@tests"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True
            )

    def told(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ready(self) -> Worker:
        end = time.monotonic() + 60
        while " ready." not in self.told():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < end, self.told()
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """As power failures do: all of its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def stop(self, seconds: float = 30) -> None:
        """As systemd does."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker does not end:\n{self.told()}") from None


@contextmanager
def worker(*args: Any, gently: bool = True, **options: Any) -> Iterator[Worker]:
    """One that is ready, and ends with the block."""
    process = Worker(*args, **options)
    try:
        yield process.ready()
        if gently and process.process.poll() is None:
            process.stop()
    finally:
        process.kill()
