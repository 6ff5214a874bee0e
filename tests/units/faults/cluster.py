"""A deployment on Celery: Redis, and workers that load their plugins from a folder."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from dagstack_plugins import PluginContext, PluginRegistry
from dagstack_plugins.units.celery import CeleryOrchestrator
from tests.units.cluster import RedisServer
from tests.units.faults.counts import Counts
from tests.units.faults.plan import PLUGINS, Plan
from tests.units.faults.scenarios import ordeal
from tests.units.faults.setups import Setup, limit
from tests.units.faults.stage import Stage

_ENDS = (signal.SIGKILL, signal.SIGTERM)


class CelerySetup(Setup):
    """Units in Redis, and processes of Celery that work on them."""

    @property
    def environment(self) -> Mapping[str, str]:  # type: ignore[override]
        """Of all its processes, beside what they inherit."""
        return {
            "DAGSTACK_UNITS": self._broker,
            "DAGSTACK_PLUGINS": str(self.folder / PLUGINS),
            "DAGSTACK_CONFIG": str(self.folder / "celery.toml"),
        }

    @property
    def _broker(self) -> str:
        return (self.folder / "broker").read_text()

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """Inside, Redis is there."""
        data = self.folder / "redis"
        data.mkdir()
        self.redis = RedisServer(data, "--appendfsync", "everysec")
        (self.folder / "broker").write_text(self.redis.url())
        (self.folder / "celery.toml").write_text(
            f"[orchestrator.celery]\nlease_sec = {plan.lease}\nmax_losses = 1000\nbackoff_sec = 0.05\n"
        )
        try:
            yield
        finally:
            self.redis.stop(signal.SIGKILL)

    @contextmanager
    def host(self) -> Iterator[PluginRegistry]:
        """A host with the same Redis."""
        registry = PluginRegistry()
        registry.register(CeleryOrchestrator(self._broker), CeleryOrchestrator.manifest)
        registry.discover(self.folder / PLUGINS)
        plan = Plan.read(self.folder)
        with registry.running(
            PluginContext({"orchestrator": {"celery": {"lease_sec": plan.lease, "max_losses": 1000}}})
        ):
            yield registry

    def worker(self, plan: Plan) -> list[str]:
        """A worker of Celery."""
        command = ["-m", "celery", "-A", "dagstack_plugins.units.celery", "worker", "-c", str(plan.threads)]
        return [*command, "-l", "WARNING", "--without-mingle", "--without-gossip", "--without-heartbeat"]

    def fill(self, processes: Collection[int]) -> None:
        """The disk is full, on which Redis writes as well."""
        super().fill(processes)
        limit([self.redis.pid], full=True)

    def free(self, processes: Collection[int]) -> None:
        """There is room again."""
        super().free(processes)
        limit([self.redis.pid], full=False)


def redis_restarted(setup: Setup, plan: Plan) -> Counts:
    """Redis is killed, or ended, again and again, and started anew after a moment."""
    return ordeal(setup, plan, _restart_redis)


def _restart_redis(stage: Stage) -> None:
    setup = stage.setup
    assert isinstance(setup, CelerySetup)
    while stage.lasts(stage.chance.uniform(1.0, 4.0)):
        setup.redis.stop(stage.chance.choice(_ENDS))
        stage.lasts(stage.chance.uniform(0.0, 2.0))
        setup.redis.start()
