"""What every orchestrator does, whatever engine is behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.conformance.expected import raised_by
from dagstack_plugins.errors import PayloadInvalid, UnitFailed, UnitRefused, UnitUnknown
from dagstack_plugins.registry import PluginRegistry

_MANIFEST: Final = """\
[plugin]
name = "probe"
kind = "tool"
runtime = "in_process"
core_version = ">=0.1"
version = "1.0"

[plugin.unit_of_work]
declared = true
checkpointable = true
partition_key = "part"
"""
_CODE: Final = '''\
"""Does what its arguments say, and notes each step in a file."""

import time


class Probe:
    def execute(self, args, ctx):
        self.note(args, "begin")
        value = getattr(self, args["do"])(args, ctx)
        self.note(args, "end")
        return value

    def note(self, args, word):
        with open(args["log"], "a", encoding="utf-8") as log:
            log.write(f"{args.get('name', '')} {word}\\n")

    def echo(self, args, ctx):
        return args.get("value")

    def fail(self, args, ctx):
        raise LookupError("it is not there")

    def sleep(self, args, ctx):
        time.sleep(args["seconds"])

    def steps(self, args, ctx):
        done, _ = ctx.checkpoint.load("done")
        for step in range(done or 0, args["count"]):
            self.note(args, str(step))
            time.sleep(args["seconds"])
            ctx.checkpoint.save("done", step + 1)
            ctx.progress.update(100 * (step + 1) / args["count"])
        return args["count"]
'''
_VALUES: Final[tuple[Any, ...]] = (None, 0, "", [], {}, [1, {"a": None}], "naïve 世界", {"result": 1})


class OrchestratorConformance:
    """Subclass it in a test module, named ``Test…``, and say how a host with the orchestrator runs.

    Each test has a folder of its own, with a folder ``plugins`` in it: the host, and whoever works for it, loads the
    plugin that it finds there.

    .. versionadded:: 0.1
    """

    seconds: float = 30.0
    """How long a test waits for a unit."""

    def running(self, folder: Path) -> AbstractContextManager[PluginRegistry]:
        """A host that runs inside, with workers; entered again with the same folder, it has the same units.

        A unit that fails may be tried again at most three times, with pauses of a second at most.

        Args:
            folder: the test's folder; ``folder / "plugins"`` is where the plugin is.
        """
        raise NotImplementedError("say how a host runs: def running(self, folder), a context manager")

    # What tests have in common

    def _prepared(self, folder: Path) -> Path:
        plugin = folder / "plugins" / "probe"
        plugin.mkdir(parents=True, exist_ok=True)
        (plugin / "dagstack.toml").write_text(_MANIFEST, encoding="utf-8")
        (plugin / "plugin.py").write_text(_CODE, encoding="utf-8")
        return folder

    def _submit(self, registry: PluginRegistry, folder: Path, args: dict[str, Any], **how: Any) -> str:
        given = {"log": str(folder / "log"), **args}
        return registry.units.submit("tool", "probe", "execute", given, **how).unit_id

    def _noted(self, folder: Path) -> list[str]:
        log = folder / "log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def _until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + self.seconds
        while not holds():
            assert time.monotonic() < end, "it never came to that"
            time.sleep(0.02)

    # Tests

    def test_what_hooks_return_comes_back(self, tmp_path: Path) -> None:
        """Any JSON, also what is no object."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            units = [self._submit(registry, folder, {"do": "echo", "value": value}) for value in _VALUES]
            assert [registry.units.wait(unit, self.seconds) for unit in units] == list(_VALUES)
            status = registry.units.status(units[0])
            assert status["state"] == "succeeded"
            assert status["attempts"] >= 1
            assert status["queued_at"] <= status["started_at"] <= status["finished_at"]

    def test_what_fails_says_why(self, tmp_path: Path) -> None:
        """Type and message of the error, once it was given up."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            unit = self._submit(registry, folder, {"do": "fail"})
            error = raised_by("it failed, and has a result", UnitFailed, registry.units.wait, unit, self.seconds)
            assert (error.state, error.error_type) == ("failed", "LookupError")
            assert "it is not there" in str(error)
            assert registry.units.status(unit)["state"] == "failed"

    def test_what_nobody_could_run_is_refused(self, tmp_path: Path) -> None:
        """Unknown plugins and hooks, and arguments that are no JSON; nothing is queued."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            for wrong in (
                {"plugin_name": "nobody"},
                {"hook": "nothing"},
                {"kind": "nothing"},
                {"args": {"value": {1, 2}}},
                {"not_before": "tomorrow"},
            ):
                given: dict[str, Any] = {"kind": "tool", "plugin_name": "probe", "hook": "execute", "args": {}, **wrong}
                submit = partial(registry.units.submit, **given)
                raised_by(f"it was queued: {wrong}", (UnitRefused, PayloadInvalid), submit)
            assert registry.units.list() == []

    def test_unknown_units_are_told(self, tmp_path: Path) -> None:
        """``UnitUnknown``, from whatever asks."""
        with self.running(self._prepared(tmp_path)) as registry:
            for ask in (registry.units.status, registry.units.cancel, registry.units.result):
                told = f"{ask.__name__} knows of a unit that there is not"
                raised_by(told, UnitUnknown, ask, "no-such-unit")

    def test_units_of_one_key_are_one(self, tmp_path: Path) -> None:
        """Also if they are submitted at once, by threads."""
        folder = self._prepared(tmp_path)
        found: list[str] = []
        together = threading.Barrier(4)
        with self.running(folder) as registry:

            def hand_in() -> None:
                together.wait(self.seconds)
                found.append(self._submit(registry, folder, {"do": "echo"}, idempotency_key="one"))

            threads = [threading.Thread(target=hand_in) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(self.seconds)
            assert len(found) == 4
            assert len(set(found)) == 1
            registry.units.wait(found[0], self.seconds)
        assert self._noted(folder).count(" begin") == 1

    def test_a_partition_is_done_in_order_one_by_one(self, tmp_path: Path) -> None:
        """Whatever runs beside it."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            units = [
                self._submit(
                    registry, folder, {"do": "sleep", "seconds": 0.02, "name": f"{part}{number}", "part": part}
                )
                for number in range(4)
                for part in "ab"
            ]
            for unit in units:
                registry.units.wait(unit, self.seconds)
        for part in "ab":
            noted = [line for line in self._noted(folder) if line.startswith(part)]
            assert noted == [f"{part}{number} {word}" for number in range(4) for word in ("begin", "end")]

    def test_a_unit_does_not_begin_before_its_time(self, tmp_path: Path) -> None:
        """``not_before``."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            later = datetime.now(UTC) + timedelta(seconds=1.5)
            unit = self._submit(registry, folder, {"do": "echo"}, not_before=later)
            registry.units.wait(unit, self.seconds)
            assert datetime.now(UTC) >= later

    def test_one_that_waits_is_cancelled_and_never_begun(self, tmp_path: Path) -> None:
        """Cancelling it twice changes nothing."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            later = datetime.now(UTC) + timedelta(hours=1)
            unit = self._submit(registry, folder, {"do": "echo"}, not_before=later)
            assert registry.units.cancel(unit) == "cancelled"
            assert registry.units.cancel(unit) == "cancelled"
            assert registry.units.status(unit)["state"] == "cancelled"
        assert self._noted(folder) == []

    def test_one_at_work_is_cancelled_at_its_next_checkpoint(self, tmp_path: Path) -> None:
        """And its partition goes on."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            args = {"do": "steps", "count": 1000, "seconds": 0.05, "part": "a"}
            unit = self._submit(registry, folder, args)
            behind = self._submit(registry, folder, {"do": "echo", "value": 1, "part": "a"})
            self._until(lambda: registry.units.status(unit)["state"] == "running")
            registry.units.cancel(unit)
            assert registry.units.wait(behind, self.seconds) == 1
            assert registry.units.status(unit)["state"] == "cancelled"

    def test_units_outlive_their_host_and_go_on_from_their_checkpoints(self, tmp_path: Path) -> None:
        """No step that was checkpointed is done again."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            unit = self._submit(registry, folder, {"do": "steps", "count": 20, "seconds": 0.1})
            self._until(lambda: " 3" in self._noted(folder))
        with self.running(folder) as registry:
            assert registry.units.wait(unit, self.seconds) == 20
        noted = self._noted(folder)
        assert [noted.count(f" {step}") for step in range(20)].count(1) >= 19
        assert noted.count(" end") == 1

    def test_units_are_listed_and_done_once_more(self, tmp_path: Path) -> None:
        """``list`` and ``backfill``, by what they are asked for."""
        folder = self._prepared(tmp_path)
        with self.running(folder) as registry:
            units = [self._submit(registry, folder, {"do": "echo", "part": part}) for part in "aab"]
            for unit in units:
                registry.units.wait(unit, self.seconds)
            assert [one["unit_id"] for one in registry.units.list()] == units[::-1]
            assert {one["unit_id"] for one in registry.units.list(partition_key="a")} == set(units[:2])
            assert registry.units.list(states=["failed"]) == []
            told = registry.units.backfill(partition_key="a")
            assert (told["enqueued_count"], told["skipped_count"]) == (2, 0)
            self._until(lambda: not registry.units.list(states=["queued", "running"]))
            assert len(registry.units.list(states=["succeeded"])) == 5
