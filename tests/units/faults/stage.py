"""The processes of a deployment, and what can be done to them."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.units.faults.notes import lines
from tests.units.faults.plan import Plan
from tests.units.faults.setups import Setup, name_of
from tests.units.faults.watch import Watch

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_CHECK = 0.01
"""Seconds between looks at how far the host is."""


class Stage:
    """Hosts and workers of a setup, each a group of processes with a clock of its own.

    Args:
        setup: the deployment.
        plan: what is to be done in it.
        watch: who looks at the units.
        patience: seconds in which all must be handed in.

    Attributes:
        chance: what happens by chance.
        over: whether nothing fails any more.
        kills: workers that were killed.
        host_kills: hosts that were killed.
        fell: processes that ended without being killed.
        full_ends: units that ended while the disk was full.
        told: what processes wrote last.
    """

    def __init__(self, setup: Setup, plan: Plan, watch: Watch, patience: float) -> None:
        self.setup = setup
        self.plan = plan
        self.watch = watch
        self.chance = random.Random(plan.seed)
        self.over = threading.Event()
        self.kills = self.host_kills = self.fell = self.full_ends = 0
        self.told: deque[str] = deque(maxlen=10_000)
        self._end = time.monotonic() + patience
        self._lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._out, self._in = os.pipe()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        (setup.folder / "clocks").mkdir()

    def __enter__(self) -> Self:
        self._listener.start()
        for number in range(self.plan.workers):
            self._start(f"worker{number}", self.setup.worker(self.plan))
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self._kill(name)
        os.close(self._in)
        self._listener.join()

    # What faults do

    def lasts(self, seconds: float) -> bool:
        """Wait so long; whether things still fail then."""
        return not self.over.wait(seconds)

    def kill_worker(self) -> None:
        """SIGKILL for one by chance; a new one is started in its place."""
        with self._lock:
            self.kills += 1
            self._renew(f"worker{self.chance.randrange(self.plan.workers)}")

    def mend(self) -> None:
        """Start workers anew that ended by themselves."""
        with self._lock:
            for name, process in list(self._processes.items()):
                if name != "host" and process.poll() is not None:
                    self.fell += 1
                    self._renew(name)

    def hand_in(self, kills: int) -> None:
        """A host hands all units in; it is killed so often in the middle of that, and a new one goes on."""
        stops = [self.plan.units * (number + 1) // (kills + 1) for number in range(kills)]
        while self._accepted() < self.plan.units and time.monotonic() < self._end:
            host = self._start("host", [str(_HERE / "submitter.py"), name_of(self.setup), str(self.setup.folder)])
            while host.poll() is None and not (stops and self._accepted() >= stops[0]) and time.monotonic() < self._end:
                time.sleep(_CHECK)
            if host.poll() is None:
                time.sleep(self.chance.uniform(0, 5 * _CHECK))
                stops = stops[1:]
                self.host_kills += 1
            elif host.returncode:
                self.fell += 1
            self._kill("host")

    def fill_disk(self) -> None:
        """Nobody can write any more."""
        with self._lock:
            self.setup.fill([process.pid for process in self._processes.values()])

    def free_disk(self) -> None:
        """All can write again."""
        with self._lock:
            self.setup.free([process.pid for process in self._processes.values()])

    def move_clocks(self, hours: float) -> None:
        """The clocks of some by chance, and of their successors, are wrong from now on, by up to so many hours."""
        for clock in self._clocks():
            if self.chance.random() < 0.5:
                _set_clock(clock, self.chance.uniform(-hours, hours) * 3600)

    def set_clocks_right(self) -> None:
        """All clocks are right from now on."""
        for clock in self._clocks():
            _set_clock(clock, 0.0)

    def _clocks(self) -> list[Path]:
        return sorted((self.setup.folder / "clocks").iterdir())

    # Processes

    def _accepted(self) -> int:
        return len({number for number, _ in lines(self.setup.folder / "accepted")})

    def _renew(self, worker: str) -> None:
        self._kill(worker)
        self._start(worker, self.setup.worker(self.plan))

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        clock = self.setup.folder / "clocks" / name
        if not clock.exists():
            _set_clock(clock, 0.0)
        with self._lock:
            self._processes[name] = subprocess.Popen(
                [sys.executable, str(_HERE / "launcher.py"), str(self.setup.folder), str(clock), *command],
                cwd=self.setup.folder,
                env={**os.environ, "PYTHONPATH": str(_ROOT), **self.setup.environment},
                stdin=subprocess.PIPE,
                stdout=self._in,
                stderr=self._in,
                start_new_session=True,
            )
            return self._processes[name]

    def _kill(self, name: str) -> None:
        with self._lock:
            process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def _listen(self) -> None:
        with os.fdopen(self._out, errors="replace") as told:
            self.told.extend(told)


def _set_clock(clock: Path, seconds: float) -> None:
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("d", seconds))
