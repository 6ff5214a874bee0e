"""Workers: an application of Celery whose one task does a unit, with the plugins of a host."""

from __future__ import annotations

import logging
import mmap
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from billiard import current_process
from celery import Celery, signals
from celery.concurrency.prefork import TaskPool as Prefork
from redis import RedisError

from dagstack_plugins.context import PluginContext
from dagstack_plugins.discovery.kind_folders import nearest_kinds
from dagstack_plugins.errors import AmbiguousPlugin, PluginRegistryError
from dagstack_plugins.manifest_text import Unreadable, read_tables
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.units.celery.ledger import RedisLedger
from dagstack_plugins.units.celery.messages import TASK, Messages, celery_app
from dagstack_plugins.units.celery.orchestrator import BROKER, QUEUE, CeleryOrchestrator, place_of
from dagstack_plugins.units.chosen import VARIABLE
from dagstack_plugins.wording import place_of as line_of
from dagstack_plugins.wording import raised

PLUGINS: Final = "DAGSTACK_PLUGINS"
"""Folders of plugins, separated as in PATH."""
HOOKSPECS: Final = "DAGSTACK_HOOKSPECS"
"""Folders of hookspecs, where they are not beside the plugins."""
CONFIG: Final = "DAGSTACK_CONFIG"
"""The configuration, TOML or JSON."""
_log: Final = logging.getLogger("dagstack_plugins.units")

Host = Callable[[], tuple[PluginRegistry, PluginContext]]


def worker_app(host: Host, broker: str | None = None, queue: str = QUEUE) -> Celery:
    """An application of Celery for workers whose plugins need more than folders: resources, middleware, other kinds.

    With ``app = worker_app(host)`` in a module ``jobs.py``, ``celery -A jobs worker`` is a worker.

    Args:
        host: makes a registry, not started, with its plugins and ``registry.register(*orchestrator())``, and the
            context to start it with; the application may use the same. Each process of a worker calls it for itself.
        broker: the address of the orchestrator's Redis database; by default what ``DAGSTACK_UNITS`` says.
        queue: the queue that is read unless ``-Q`` says another.
    """
    broker = broker or os.environ.get(VARIABLE) or BROKER
    app = celery_app(broker)
    app.conf.task_default_queue = queue
    process = _Process(host, broker, queue)

    def unit(identity: str) -> None:
        process.work(identity)

    app.task(unit, name=TASK)
    for moment, receiver in (
        (signals.worker_init, process.look),
        (signals.worker_process_init, process.start),
        (signals.worker_ready, process.start_unless_forked),
        (signals.worker_shutting_down, process.leave),
        (signals.worker_process_shutdown, process.stop),
        (signals.worker_shutdown, process.stop),
        (signals.task_revoked, process.revoke),
    ):
        moment.connect(receiver, weak=False)
    return app


def app_of_environment() -> Celery:
    """The application of ``celery -A dagstack_plugins.units.celery``, which environment variables describe.

    ========================  ==============================================================
    ``DAGSTACK_UNITS``        the address of the orchestrator's Redis database
    ``DAGSTACK_PLUGINS``      folders of plugins, separated as in ``PATH``; by default ``plugins``
    ``DAGSTACK_HOOKSPECS``    folders of hookspecs, where they are not beside the plugins
    ``DAGSTACK_CONFIG``       the plugins' configuration, TOML or JSON: ``{kind: {name: {…}}}``
    ========================  ==============================================================
    """
    config = _configuration()
    section = config.get("orchestrator", {}).get("celery", {})
    broker = os.environ.get(VARIABLE) or section.get("broker") or BROKER
    try:
        for address in (broker, section.get("broker", broker)):
            place_of(address)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    return worker_app(lambda: _host(broker, config), broker, section.get("queue", QUEUE))


def _configuration() -> dict[str, Any]:
    if not (name := os.environ.get(CONFIG)):
        return {}
    file = Path(name)
    try:
        return read_tables(file)
    except (OSError, Unreadable) as error:
        raise SystemExit(f"{CONFIG}: {file} {error}") from None


def _host(broker: str, config: dict[str, Any]) -> tuple[PluginRegistry, PluginContext]:
    registry = PluginRegistry()
    folders = _folders(PLUGINS) or [Path("plugins")]
    for path in _folders(HOOKSPECS) or nearest_kinds(folders):
        registry.add_hookspecs(path)
    for folder in folders:
        if not folder.is_dir():
            raise SystemExit(f"there is no folder {folder}: {PLUGINS} names the folders of the plugins")
        with suppress(AmbiguousPlugin):  # the first one is kept, and the other told of as refused
            registry.discover(folder)
    registry.register(CeleryOrchestrator(broker), CeleryOrchestrator.manifest)
    return registry, PluginContext(config)


def _folders(variable: str) -> list[Path]:
    return [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part]


class _Process:
    """What a process of a worker has: plugins that run.

    Celery's prefork pool makes the process that it forks from (which starts nothing), and one for each unit at work.

    Args:
        host: as ``worker_app`` has it.
        broker: the same.
        queue: the same.
    """

    def __init__(self, host: Host, broker: str, queue: str) -> None:
        self._host = host
        self._broker = broker
        self._queue = queue
        self._lock = threading.Lock()
        self._running: Any = None
        self._orchestrator: CeleryOrchestrator | None = None
        # Shared with the processes that are forked from this one.
        self._leaving = mmap.mmap(-1, 1)

    def look(self, **_: Any) -> None:
        """Say at once what would keep it from working."""
        try:
            registry, context = self._host()
        except PluginRegistryError as error:
            raise SystemExit(str(error)) from error
        except Exception as error:  # Celery would log it, and go on
            raise SystemExit(
                "worker_app(host) takes a function that makes a registry, and the context to start it with: "
                f"{raised(error)}{line_of(error)}"
            ) from error
        refused = [
            f"left out: {one.location}, as {one.reason}"
            for one in registry.unavailable_plugins()
            if one.state is PluginState.UNAVAILABLE
        ]
        found = [f"{one.kind}/{one.name}" for one in registry.list_manifests() if one.unit_of_work.declared]
        if not found:
            raise SystemExit("\n".join(["no plugin here declares a unit of work, so there is nothing to do", *refused]))
        for words in refused:
            _log.warning("%s", words)
        self._check_place(_orchestrator_of(registry), context)
        alone, own = PluginRegistry(), CeleryOrchestrator(self._broker)
        own.keeps = False
        alone.register(own, CeleryOrchestrator.manifest)
        with alone.running(context):
            for status in alone.unavailable_plugins():
                raise SystemExit(status.reason)
            with suppress(RedisError):  # Celery tells of a Redis that is not there
                own.check()
        _log.info("works on units of %s", ", ".join(found))

    def _check_place(self, own: CeleryOrchestrator, context: PluginContext) -> None:
        """Say if the host's units are elsewhere than where this worker looks for them."""
        section = context.config.get("orchestrator", {}).get("celery", {})
        found = own.broker_of(section), section.get("queue", QUEUE)
        for name, here, there in zip(("broker", "queue"), (self._broker, self._queue), found, strict=True):
            if here != there:
                shown = [place_of(each) if name == "broker" else each for each in (there, here)]
                told = f"the host's {name} is {shown[0]}, and the worker's {shown[1]}"
                raise SystemExit(f"{told}: worker_app(host, {name}=…)")

    def start(self, **_: Any) -> None:
        """Start the plugins."""
        self.orchestrator()

    def start_unless_forked(self, sender: Any = None, **_: Any) -> None:
        """The same, in pools that work in this process."""
        if not isinstance(getattr(sender, "pool", None), Prefork):
            self.start()

    def orchestrator(self) -> CeleryOrchestrator:
        """The orchestrator, which is started with its plugins when it is needed first."""
        with self._lock:
            if self._orchestrator is None:
                registry, context = self._host()
                running = registry.running(context)
                running.__enter__()
                self._running = running
                self._orchestrator = _orchestrator_of(registry)
                name = f"the worker {socket.gethostname()} ({os.getpid()})"
                self._orchestrator.begin(name, lambda: self._leaving[0] != 0)
            return self._orchestrator

    def work(self, unit: str) -> None:
        """Do the unit of a message."""
        orchestrator = self.orchestrator()
        if current_process().name != "MainProcess":
            # A process of Celery's pool ends by SystemExit when it is asked to, wherever it is: in the plugin, whose
            # failure that would be. One that just dies has lost its unit, which others go on with.
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
        orchestrator.work(unit)

    def revoke(self, request: Any = None, **_: Any) -> None:
        """Who revokes the task means the unit."""
        messages = Messages(self._broker)
        ledger = RedisLedger(self._broker, lambda _: f"{self._queue} 0", messages.send)
        try:
            ledger.cancel(str(request.id))
        except RedisError as error:
            _log.error("unit %s can't be cancelled: %s", request.id, error)
        finally:
            ledger.close()
            messages.close()

    def leave(self, **_: Any) -> None:
        """The worker is to end: what runs stops at its next checkpoint."""
        self._leaving[0] = 1

    def stop(self, **_: Any) -> None:
        """Tear the plugins down."""
        with self._lock:
            if self._running is not None:
                self._running.__exit__(None, None, None)
                self._running = self._orchestrator = None


def _orchestrator_of(registry: PluginRegistry) -> CeleryOrchestrator:
    """The registry's orchestrator.

    Raises:
        SystemExit: if it has none that works with Celery.
    """
    for slot in registry.slots("orchestrator"):
        plugin = slot.accepted("celery")
        if plugin is not None and isinstance(plugin.instance, CeleryOrchestrator):
            return plugin.instance
    raise SystemExit(
        "the host has no CeleryOrchestrator: registry.register(*orchestrator()) adds it if DAGSTACK_UNITS says "
        f"redis://…, and {'it says otherwise' if os.environ.get(VARIABLE) else 'it is not set'}"
    )
