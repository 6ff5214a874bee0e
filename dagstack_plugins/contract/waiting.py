"""Who waits, and who computes: what holds up an event loop or a calling thread, and where."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

import attrs
from blockbuster import blockbuster

from dagstack_plugins.contract.watch import Place, Watch

_LOOK: Final = 0.005
"""Seconds between looks at a thread."""
WAITS: Final = 0.04
"""Seconds in a row that a thread is found waiting, before that counts."""


@attrs.frozen
class Held:
    """One thing that holds up others.

    Attributes:
        told: what it is: ``time.sleep``.
        place: the plugin's line that leads there.
    """

    told: str
    place: Place


class BlockingCalls:
    """Sees blocking calls on event loops, by the list that blockbuster keeps of them; nothing is refused.

    Args:
        watch: tells whose code it is.

    Attributes:
        seen: what was seen.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.seen: dict[Held, None] = {}

    def begin(self) -> None:
        """Look from now on, in this process for ever."""
        blockbuster._wrap_blocking = self._wrapped  # type: ignore[assignment]
        for function in blockbuster.BlockBuster().functions.values():
            function.activate()

    def _wrapped(
        self,
        _modules: Any,
        _excluded: Any,
        function: Callable[..., Any],
        name: str,
        can_block: Any,
        may_block: Callable[..., bool],
    ) -> Callable[..., Any]:
        inside = threading.local()

        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(inside, "now", False) or asyncio._get_running_loop() is None:
                return function(*args, **kwargs)
            inside.now = True
            try:
                if not may_block(*args, **kwargs):
                    self._see(name, sys._getframe(1), can_block)
            finally:
                inside.now = False
            return function(*args, **kwargs)

        return call

    def _see(self, name: str, frame: FrameType | None, can_block: Any) -> None:
        place = self._watch.blame(frame)
        at = frame
        while place is not None and at is not None:
            code = at.f_code
            if any(code.co_filename.endswith(file) and code.co_name in names for file, names in can_block):
                return
            at = at.f_back
        if place is not None:
            self.seen[Held(name, place)] = None


class Monitor:
    """Looks at one thread again and again, and notes where in the plugin it waits, or computes for long.

    A context manager: it looks as long as that is open.

    Args:
        watch: tells whose code it is.
        thread: the thread; the one that makes the monitor, if left out.

    Attributes:
        waits: the plugin's lines that waited.
        busy: the plugin's lines that were seen computing, by how often.
    """

    def __init__(self, watch: Watch, thread: threading.Thread | None = None) -> None:
        self._watch = watch
        self._ident = threading.get_ident() if thread is None else thread.ident
        # Asked of the system: after a fork, the main thread's own number is its parent's.
        self._number = threading.get_native_id() if thread is None else thread.native_id
        self._ends = threading.Event()
        self._since: float | None = None
        self.waits: dict[Place, None] = {}
        self.busy: dict[Place, int] = {}
        self._looking = threading.Thread(target=self._look, name="contract-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._looking.join()

    def _look(self) -> None:
        sys.setprofile(None)
        waited: tuple[Place, float] | None = None
        state = Path(f"/proc/self/task/{self._number}/stat")
        while not self._ends.wait(_LOOK):
            place = self._place()
            if place is None:
                waited = None
                continue
            if not _sleeps(state):
                waited = None
                self.busy[place] = self.busy.get(place, 0) + 1
                continue
            now = time.monotonic()
            if waited is None or waited[0] != place:
                waited = place, now
            elif now - waited[1] >= WAITS:
                self.waits[place] = None

    def _place(self) -> Place | None:
        frame = sys._current_frames().get(self._ident or 0)
        return self._watch.blame_only(frame)

    @property
    def busiest(self) -> Place | None:
        """Where it was seen computing most."""
        return max(self.busy, key=lambda place: self.busy[place], default=None)


def _sleeps(state: Path) -> bool:
    """Whether the system says that a thread waits; one that only had no turn yet is ready to run."""
    try:
        return state.read_bytes().rpartition(b") ")[2][:1] == b"S"
    except OSError:  # no Linux
        return os.name != "posix"


@contextmanager
def stalls(limit: float, report: Callable[[float], None]) -> Iterator[None]:
    """Measure how much processor time each step on an event loop takes.

    Args:
        limit: seconds.
        report: hears of each step that took longer.
    """
    run = asyncio.Handle._run

    def measured(handle: Any) -> None:
        begun = time.thread_time()
        run(handle)
        took = time.thread_time() - begun
        if took > limit:
            report(took)

    asyncio.Handle._run = measured  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
