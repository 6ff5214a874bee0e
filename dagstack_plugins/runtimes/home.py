"""The one loop that plugins live on, and the pools beside it."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from dagstack_plugins.runtimes.door import Door
from dagstack_plugins.runtimes.pools import WorkerThreads
from dagstack_plugins.runtimes.processes import ProcessPool
from dagstack_plugins.runtimes.wire import Wire

_ABSENT: Final = (
    "the event loop that the plugins were started on does not run any more; keep it running while plugins are called, "
    "or start them with `with registry.running(ctx):`, which brings a loop of its own"
)


class HomeLoop(Door):
    """The loop that coroutine functions of plugins run on, whoever calls them, and what lies beside it.

    Args:
        threads: how many work at once for plugins that say ``thread_cpu_bound``; by default it depends on the machine.
        processes: how many work at once for plugins that say ``process_cpu_bound``; by default as many as the machine
            has processors.

    Attributes:
        threads: those threads.
        processes: what those processes share.
        wire: the loop of connections to plugins that run elsewhere.
    """

    def __init__(self, threads: int | None = None, processes: int | None = None) -> None:
        super().__init__(_ABSENT)
        self.threads = WorkerThreads(threads)
        self.processes = ProcessPool(processes)
        self.wire = Wire()

    def move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make ``loop`` the home of all plugins that start from now on."""
        self._loop, self._process = loop, os.getpid()

    def rest(self) -> None:
        """End the threads that have nothing to do; they start again when there is."""
        self.threads.rest()
        self.processes.threads.rest()
        self.wire.rest()
