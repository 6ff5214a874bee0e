"""Deployments to make fail: how a host is opened in one, and how its workers are started."""

from __future__ import annotations

import importlib
import resource
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar

import psutil

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry
from tests.units.faults.plan import PLUGINS, Plan

_FREE = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
_FULL = (0, resource.RLIM_INFINITY)


class Setup(ABC):
    """A deployment in a folder, in which a plan and its plugin are; all that it needs to know is in that folder.

    Args:
        folder: the folder.
    """

    environment: ClassVar[Mapping[str, str]] = {}
    """Of all its processes, beside what they inherit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def host(self) -> AbstractContextManager[PluginRegistry]:
        """A host that hands units in, and works on none."""

    @abstractmethod
    def worker(self, plan: Plan) -> list[str]:
        """The command of a process that works until it is killed: ``PROGRAM …``, or ``-m MODULE …``, of Python."""

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """Inside, whatever it needs beside hosts and workers is there."""
        yield

    def fill(self, processes: Collection[int]) -> None:
        """The disk is full: these processes, and those that begin from now on, can write to no file."""
        (self.folder / "full").touch()
        limit(processes, full=True)

    def free(self, processes: Collection[int]) -> None:
        """There is room on the disk again."""
        (self.folder / "full").unlink()
        limit(processes, full=False)


class LocalSetup(Setup):
    """Units in a file, and processes that work on it, as they are started from the command line."""

    @contextmanager
    def host(self) -> Iterator[PluginRegistry]:
        """A host on the same file."""
        registry = PluginRegistry()
        registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
        registry.discover(self.folder / PLUGINS)
        config = {"path": str(self.folder / "units.db"), "workers": 0}
        with registry.running(PluginContext({"orchestrator": {"local": config}})):
            yield registry

    def worker(self, plan: Plan) -> list[str]:
        """``dagstack-plugins units worker``."""
        config = self.folder / "local.toml"
        config.write_text(
            f"[orchestrator.local]\nlease_sec = {plan.lease}\nmax_losses = 1000\nbackoff_sec = 0.05\n"
            f'workers = {plan.threads}\npath = "{self.folder / "units.db"}"\n'
        )
        return ["-m", "dagstack_plugins", "units", "worker", str(self.folder / PLUGINS), "--config", str(config)]


def named(spec: str, folder: Path) -> Setup:
    """The setup that ``module:Class`` names, in a folder.

    Args:
        spec: as ``name_of`` has it.
        folder: the folder.
    """
    module, _, name = spec.partition(":")
    made: Setup = getattr(importlib.import_module(module), name)(folder)
    return made


def name_of(setup: Setup) -> str:
    """How another process finds the class of a setup."""
    return f"{type(setup).__module__}:{type(setup).__qualname__}"


def limit(processes: Collection[int], *, full: bool) -> None:
    """Let processes and their children write to no file, or to any again."""
    if sys.platform == "linux":
        for process in processes:
            try:
                family = [process, *(child.pid for child in psutil.Process(process).children(recursive=True))]
                for one in family:
                    resource.prlimit(one, resource.RLIMIT_FSIZE, _FULL if full else _FREE)
            except (ProcessLookupError, psutil.NoSuchProcess):  # it was killed meanwhile
                pass
