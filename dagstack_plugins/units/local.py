"""``LocalOrchestrator``: units of work on one machine, in one file, without anything to set up."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginError
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.units.attempt import Attempt
from dagstack_plugins.units.crew import Crew
from dagstack_plugins.units.identity import code_of
from dagstack_plugins.units.journal import Journal
from dagstack_plugins.units.orchestrating import OPTIONS, Ending, Orchestrating
from dagstack_plugins.wording import raised

FILE: Final = ".dagstack/units.db"
"""Where units are, from the working directory, unless the configuration says otherwise."""
_TO_START: Final = (PluginState.REGISTERED, PluginState.STOPPED)
"""What is not started yet will be in a moment: a unit of it waits so long, and no longer."""
_LAST_WORDS: Final = 10.0
"""Seconds that units have at the end to come to a checkpoint."""


class LocalOrchestrator(Orchestrating):
    """Units of work in one SQLite file: they survive the process, and run again from their checkpoints if it dies.

    Registered like any other plugin, with the manifest that it brings; every process that registers it with the same
    file works on the same units.

    Examples:
        >>> import tempfile
        >>> from dagstack_plugins import PluginContext, PluginRegistry
        >>> class Shout:
        ...     def execute(self, args):
        ...         return {"text": args["text"].upper()}
        >>> registry = PluginRegistry()
        >>> _ = registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
        >>> manifest = {"name": "shout", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1",
        ...             "unit_of_work": {"declared": True}}
        >>> _ = registry.register(Shout, manifest)
        >>> config = {"orchestrator": {"local": {"path": tempfile.mkdtemp() + "/units.db"}}}
        >>> with registry.running(PluginContext(config)):
        ...     unit = registry.units.submit("tool", "shout", "execute", {"text": "hello"})
        ...     registry.units.wait(unit.unit_id)
        {'text': 'HELLO'}

    Args:
        path: the file of the units; by default what the configuration says.

    Attributes:
        manifest: what it is registered with.
        config_schema: what its section of the configuration may say.

    .. versionadded:: 0.1
    """

    manifest: ClassVar[Mapping[str, Any]] = {
        "name": "local",
        "kind": "orchestrator",
        "runtime": "in_process",
        "core_version": ">=0.1",
        "description": "Units of work on this machine, in one file.",
        "in_process_only": True,
        "teardown_timeout_sec": 2 * _LAST_WORDS,
    }
    config_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": f"The file of the units; by default {FILE}."},
            "workers": {
                "type": "integer",
                "minimum": 0,
                "description": "How many units this process works on at once; 0: it only queues them.",
            },
            **OPTIONS,
        },
    }

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path

    def setup(self, ctx: PluginContext) -> None:
        """Open the file, and begin to work."""
        config = ctx.config
        path = self.file(config)
        try:
            self._journal = Journal(path)
        except (OSError, sqlite3.Error) as error:
            raise PluginError(f"units of work can't be kept in {path}: {raised(error)}") from error
        self._open(ctx, self._journal, "the file of the units")
        threads: int = config.get("workers", max(4, os.cpu_count() or 1))
        self._crew = Crew(
            self._journal,
            self._attempted,
            self._plugins,
            threads=threads,
            patience=config["lease_sec"],
            most=config["max_losses"],
            keep=config["keep_days"] * 86400,
        )
        self._works = threads > 0
        if self._works:  # who only queues and looks is nobody whose life others watch
            self._crew.start()

    def file(self, config: Mapping[str, Any]) -> Path:
        """Where the units are, with its section of the configuration."""
        return Path(self._path or config.get("path", FILE)).expanduser().absolute()

    def teardown(self) -> None:
        """Take no more units; what runs comes to a checkpoint, or begins again from the one before."""
        if self._works:
            self._crew.stop(_LAST_WORDS)
        self._journal.close()

    def _code(self, plugin: Plugin) -> str:
        return code_of(plugin)

    def _queued(self) -> None:
        self._crew.wake()

    def _misfit(self, attempt: Attempt, code: str) -> Ending | None:
        lease, journal = attempt.lease, self._journal
        if journal.has_checkpoints(lease):
            return lambda: journal.fail(lease, _other_code(lease.code, code))
        journal.set_code(lease, code)
        return None

    def _plugins(self) -> Collection[str]:
        """Whose units this process can work on; those of others are left to who has their plugins."""
        slots = [slot for kind in self._registry.kinds() for slot in self._registry.slots(kind)]
        held = [(slot, one) for slot in slots for one in slot.plugins if one.state not in _TO_START]
        return {f"{kind}/{plugin.name}" for slot, plugin in held for kind in (plugin.kind, slot.address)}


def _other_code(before: str, now: str) -> dict[str, str]:
    return {
        "type": "OtherVersion",
        "message": f"its checkpoints were saved by another version of the plugin ({before}; {now or 'none'} is here): "
        "install that one, or queue the unit anew by backfill, which begins from the start",
    }
