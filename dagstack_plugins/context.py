"""``PluginContext``: what one plugin sees of its host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from dagstack_plugins.calls import current_metadata
from dagstack_plugins.checkpoints import Checkpoint, CheckpointStore, MemoryCheckpoints
from dagstack_plugins.progress import NoProgress, Progress, ProgressSink
from dagstack_plugins.work import current_work


class PluginContext:
    """What a host lends to its plugins, and what each plugin is given in ``setup``.

    A host makes one for all of its plugins and hands it to ``setup_all``; from it each plugin gets one of its own.
    A test of a plugin's class can make one and hand it to ``setup`` directly.

    Args:
        config: the host's configuration: for each kind, for each plugin's name, that plugin's section.
        logger: where the host wants to read about its plugins; a plugin's own is named ``plugin.<kind>.<name>``.
        registry: the registry that the plugins belong to.
        resources: a ``ResourceRegistry`` that replaces the registry's own.
        progress_sink: where progress goes; by default nowhere.
        checkpoint_store: where checkpoints are kept; by default in memory.
        is_cancelled: tells whether plugins are to stop; asked whenever one looks at ``cancelled``.

    Attributes:
        config: in a plugin's context: its own section, checked against its schema.
        logger: see above.
        registry: the registry.
        resources: in a plugin's context: the resources that its manifest declares, ``ctx.resources.clock``.
        progress: reports how far a long operation is.
        checkpoint: saves and loads the state of a long operation.
        in_flight: in a plugin's context: how many calls run now that may still reach the plugin; its teardown comes
            when there is none left, or when ``teardown_timeout_sec`` is over.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        registry: Any = None,
        resources: Any = None,
        *,
        progress_sink: ProgressSink | None = None,
        checkpoint_store: CheckpointStore | None = None,
        is_cancelled: Callable[[], bool] = bool,
    ) -> None:
        self.config: Mapping[str, Any] = {} if config is None else config
        self.logger = logging.getLogger("dagstack_plugins") if logger is None else logger
        self.registry = registry
        self.resources = resources
        self._sink = NoProgress() if progress_sink is None else progress_sink
        self._store = MemoryCheckpoints() if checkpoint_store is None else checkpoint_store
        self.progress = Progress(self._sink, "", "")
        self.checkpoint = Checkpoint(self._store, "")
        self._cancelled = False
        self._is_cancelled = is_cancelled
        self._count: Callable[[], int] = int

    def for_plugin(
        self,
        kind: str,
        name: str,
        *,
        config: Mapping[str, Any],
        registry: Any,
        resources: Any,
        in_flight: Callable[[], int] = int,
    ) -> PluginContext:
        """The context of one plugin.

        Args:
            kind: the plugin's kind.
            name: its name.
            config: its section of the configuration.
            registry: the registry that it belongs to.
            resources: the resources lent to it.
            in_flight: counts the calls that may still reach it.
        """
        context = PluginContext(
            config,
            logging.getLogger(f"plugin.{kind}.{name}"),
            registry,
            resources,
            progress_sink=self._sink,
            checkpoint_store=self._store,
            is_cancelled=self._is_cancelled,
        )
        context.progress = Progress(self._sink, kind, name)
        context.checkpoint = Checkpoint(self._store, f"{kind}/{name}")
        context._count = in_flight
        return context

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the caller of the hook that runs now bound with ``registry.metadata``; read-only."""
        return current_metadata()

    @property
    def in_flight(self) -> int:
        """How many calls run now that may still reach the plugin."""
        return self._count()

    @property
    def cancelled(self) -> bool:
        """Whether the host wants the plugin to stop; long loops look at it now and then."""
        work = current_work()
        return self._cancelled or (work is not None and work.cancelled) or self._is_cancelled()

    def cancel(self) -> None:
        """Ask the plugin to stop."""
        self._cancelled = True
