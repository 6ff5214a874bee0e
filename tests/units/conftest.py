"""A host with an orchestrator, and plugins whose units do all that units may do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    CheckpointConflict,
    LocalOrchestrator,
    PluginContext,
    PluginRegistry,
    PluginUnavailable,
    UnitCancelled,
)

Host = Callable[..., Any]


class Doer:
    """A plugin of kind ``tool``, whose arguments say what it does."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def execute(self, args: Mapping[str, Any], ctx: Any) -> Any:
        with self._lock:
            self.calls.append(dict(args))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return getattr(self, args.get("do", "echo"))(args, ctx)
        finally:
            with self._lock:
                self.at_once -= 1

    def echo(self, args: Mapping[str, Any], ctx: Any) -> Any:
        return {"said": args.get("say")}

    def sleep(self, args: Mapping[str, Any], ctx: Any) -> Any:
        time.sleep(args["seconds"])
        return None

    def wait(self, args: Mapping[str, Any], ctx: Any) -> Any:
        assert self.go_on.wait(20)
        return None

    def fail(self, args: Mapping[str, Any], ctx: Any) -> Any:
        if len([one for one in self.calls if one == args]) <= args.get("times", 1000):
            raise LookupError("it is not there")
        return "in the end"

    def exit(self, args: Mapping[str, Any], ctx: Any) -> Any:
        raise SystemExit(3)

    def odd(self, args: Mapping[str, Any], ctx: Any) -> Any:
        return {"set": {1, 2}}

    def steps(self, args: Mapping[str, Any], ctx: Any) -> Any:
        """Count, and remember how far it came."""
        done, _ = ctx.checkpoint.load("done")
        done = done or []
        for step in range(len(done), args["count"]):
            done.append(step)
            ctx.checkpoint.save("done", done)
            ctx.progress.update(100 * (step + 1) / args["count"], f"step {step}")
            if args.get("pause"):
                time.sleep(args["pause"])
        return done

    def surrogate(self, args: Mapping[str, Any], ctx: Any) -> Any:
        ctx.progress.update(50, "the file \ud800")
        ctx.checkpoint.save("k\ud800", 1)
        time.sleep(0.4)  # while that is written
        return [ascii(key) for key in ctx.checkpoint.list()]

    def miss(self, args: Mapping[str, Any], ctx: Any) -> Any:
        raise PluginUnavailable("nobody is there")

    def leave(self, args: Mapping[str, Any], ctx: Any) -> Any:
        raise GeneratorExit

    def until_cancelled(self, args: Mapping[str, Any], ctx: Any) -> Any:
        while not ctx.cancelled:
            time.sleep(0.005)
        return "as far as it came"

    def conflict(self, args: Mapping[str, Any], ctx: Any) -> Any:
        ctx.checkpoint.save("key", "first")
        try:
            ctx.checkpoint.save("key", "second", expected=7)
        except CheckpointConflict as error:
            return [error.expected, error.found, str(error)]

    def stop(self, args: Mapping[str, Any], ctx: Any) -> Any:
        try:
            while True:
                ctx.checkpoint.save("key", "again")
        except UnitCancelled as error:
            ctx.logger.warning("closed %s", error.unit_id)
            raise


MANIFEST = {"name": "doer", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1", "version": "1.0"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """``with host(**configuration of the orchestrator) as registry``; ``doer`` is its plugin."""

    @contextmanager
    def running(
        doer: Any = None,
        unit: Mapping[str, Any] | None = None,
        resources: Mapping[str, Any] | None = None,
        model: str = "sync",
        **config: Any,
    ) -> Iterator[PluginRegistry]:
        registry = PluginRegistry()
        registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
        declared = {"declared": True, "partition_key": "part", **(unit or {})}
        manifest = {**MANIFEST, "execution_model": model, "unit_of_work": declared}
        if resources:
            manifest["resources"] = resources
        registry.register(Doer() if doer is None else doer, manifest)
        config = {"path": str(tmp_path / "units.db"), "backoff_sec": 0.01, **config}
        with registry.running(PluginContext({"orchestrator": {"local": config}})):
            yield registry

    return running


def submit(registry: PluginRegistry, *, under: Mapping[str, Any] | None = None, **args: Any) -> str:
    """Hand in a unit of the doer; its id."""
    return registry.units.submit("tool", "doer", "execute", args, **(under or {})).unit_id
