"""``LocalOrchestrator``, as hosts and plugins see it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    LocalOrchestrator,
    PayloadInvalid,
    PluginContext,
    PluginRegistry,
    PluginUnavailable,
    UnitEvent,
    UnitFailed,
    UnitRefused,
    UnitUnknown,
)
from dagstack_plugins.units import places
from tests.units import conftest
from tests.units.conftest import Doer, Host, submit
from tests.waiting import until


def test_a_unit_is_done_and_has_a_result(host: Host) -> None:
    with host() as registry:
        unit = submit(registry, say="hello")
        assert registry.units.wait(unit, 20) == {"said": "hello"}
        status = registry.units.status(unit)
        assert (status.state, status.attempts, status.plugin_name) == ("succeeded", 1, "doer")
        assert status.queued_at <= status.started_at <= status.finished_at


def test_it_is_awaited_and_its_events_are_heard(host: Host) -> None:
    async def heard() -> list[UnitEvent]:
        return [event async for event in registry.units.events(unit)]

    with host() as registry:
        unit = submit(registry, do="steps", count=4, pause=0.3)
        events = asyncio.run(heard())
        assert [event.state for event in events][-1] == "succeeded"
        told = [event.percent for event in events if event.percent is not None]
        assert told == sorted(told)
        assert len(set(told)) >= 2
        assert asyncio.run(registry.units.finished(unit, 5)) == [0, 1, 2, 3]


def test_units_survive_the_process_and_begin_when_there_is_a_worker(host: Host) -> None:
    with host(workers=0) as registry:
        units = [submit(registry, say=number) for number in range(3)]
        with pytest.raises(TimeoutError, match="is still queued after"):
            registry.units.wait(units[0], 0.1)
        with pytest.raises(UnitRefused, match="it is queued; wait"):
            registry.units.result(units[0])
    with host() as registry:
        assert [registry.units.wait(unit, 20) for unit in units] == [{"said": number} for number in range(3)]


# What is refused


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ({"plugin_name": "dour"}, UnitRefused, r"no plugin 'dour' of kind 'tool' \(did you mean 'doer'\?\)"),
        ({"kind": "tol"}, UnitRefused, "no plugin 'doer' of kind 'tol'"),
        ({"hook": "exekute"}, UnitRefused, r"has no hook 'exekute' \(did you mean 'execute'\?\)"),
        (
            {"plugin_name": "local", "kind": "orchestrator"},
            UnitRefused,
            r"declares no unit of work.*\n.*unit_of_work\]",
        ),
        ({"args": {"x": {1}}}, PayloadInvalid, "set"),
        ({"args": {"x": float("nan")}}, PayloadInvalid, "nan"),
        ({"priority": "high"}, PayloadInvalid, "priority"),
        ({"priority": 2**70}, UnitRefused, "a priority lies between"),
        ({"not_before": "tomorrow"}, PayloadInvalid, "not_before"),
        ({"idempotency_key": ""}, PayloadInvalid, "idempotency_key"),
    ],
)
def test_what_nobody_could_run_is_not_queued(
    host: Host, wrong: dict[str, Any], error: type[Exception], told: str
) -> None:
    given = {"kind": "tool", "plugin_name": "doer", "hook": "execute", "args": {}, **wrong}
    with host(workers=0) as registry:
        with pytest.raises(error, match=told):
            registry.units.submit(**given)
        assert registry.units.list() == []


def test_args_are_checked_by_what_the_plugin_says_of_them(host: Host) -> None:
    class Strict(Doer):
        def get_schema(self) -> Any:
            return {"type": "object", "required": ["say"]}

    with host(Strict()) as registry, pytest.raises(PayloadInvalid, match="say"):
        submit(registry, sei="hello")


def test_without_an_orchestrator_it_says_how_to_get_one() -> None:
    registry = PluginRegistry()
    with registry.running(), pytest.raises(PluginUnavailable, match=r"LocalOrchestrator"):
        registry.units.submit("tool", "doer", "execute", {})


def test_unknown_units_are_told(host: Host) -> None:
    with host() as registry:
        for ask in (registry.units.status, registry.units.cancel, registry.units.wait, registry.units.result):
            with pytest.raises(UnitUnknown, match="there is no unit of work 'nothing'"):
                ask("nothing")


# Failures


def test_what_fails_is_tried_again_and_then_given_up(host: Host) -> None:
    doer = Doer()
    with host(doer, max_attempts=3) as registry:
        assert registry.units.wait(submit(registry, do="fail", times=2), 20) == "in the end"
        unit = submit(registry, do="fail")
        with pytest.raises(UnitFailed, match="LookupError: it is not there") as caught:
            registry.units.wait(unit, 20)
        assert (caught.value.state, caught.value.error_type) == ("failed", "LookupError")
        assert registry.units.status(unit).attempts == 3


def test_one_that_ends_its_host_fails_alone(host: Host) -> None:
    with host(max_attempts=1) as registry:
        unit = submit(registry, do="exit")
        with pytest.raises(UnitFailed, match="SystemExit"):
            registry.units.wait(unit, 20)
        assert registry.units.wait(submit(registry, say=1), 20) == {"said": 1}


def test_one_that_raises_what_nobody_catches_fails_and_its_worker_goes_on(host: Host) -> None:
    with host(workers=1, max_attempts=1) as registry:
        for _ in range(2):
            with pytest.raises(UnitFailed, match="GeneratorExit"):
                registry.units.wait(submit(registry, do="leave"), 20)
        assert registry.units.wait(submit(registry, say=1), 20) == {"said": 1}


def test_one_that_finds_others_unavailable_has_failed(host: Host) -> None:
    with host(max_attempts=2) as registry:
        unit = submit(registry, do="miss")
        with pytest.raises(UnitFailed, match="PluginUnavailable: nobody is there"):
            registry.units.wait(unit, 10)
        assert registry.units.status(unit).attempts == 2


def test_texts_without_a_form_on_the_disk_hurt_nobody(host: Host) -> None:
    with host() as registry:
        unit = submit(registry, do="surrogate")
        assert registry.units.wait(unit, 20) == [r"'k\ud800'"]
        assert registry.units.status(unit).message == r"the file \ud800"
        registry.units.cancel(submit(registry, do="until_cancelled"))
        until(lambda: not registry.units.list(states=["queued", "running"]))  # whoever looks still looks


def test_a_result_that_is_no_json_fails_once(host: Host) -> None:
    with host() as registry:
        unit = submit(registry, do="odd")
        with pytest.raises(UnitFailed, match=r"\$\.set"):
            registry.units.wait(unit, 20)
        assert registry.units.status(unit).attempts == 1


def test_a_plugin_that_is_not_ready_is_waited_for(host: Host) -> None:
    class Late(Doer):
        def setup(self) -> None:
            raise OSError("not yet")

    with host(Late()) as registry:
        unit = submit(registry, say="hello")
        until(lambda: registry.units.status(unit).error is not None)
        assert registry.units.status(unit).state == "queued"
    with host() as registry:
        assert registry.units.wait(unit, 20) == {"said": "hello"}


# Identity


@pytest.mark.parametrize("fields", [[], ["say"]])
def test_input_that_was_done_is_not_done_again(host: Host, fields: list[str]) -> None:
    doer = Doer()
    unit = {"idempotency_mode": "input_hash", "content_hash": fields}
    with host(doer, unit) as registry:
        first = registry.units.submit("tool", "doer", "execute", {"say": 1, "part": "a"})
        assert registry.units.wait(first.unit_id, 20) == {"said": 1}
        again = registry.units.submit("tool", "doer", "execute", {"part": "a", "say": 1})
        assert (again.unit_id, again.deduplicated) == (first.unit_id, True)
        other = registry.units.submit("tool", "doer", "execute", {"say": 1, "part": "b"})
        assert other.deduplicated == bool(fields)


def test_a_key_is_taken_until_its_unit_fails(host: Host) -> None:
    with host(max_attempts=1) as registry:
        first = submit(registry, do="fail", under={"idempotency_key": "k"})
        with pytest.raises(UnitFailed):
            registry.units.wait(first, 20)
        second = submit(registry, say=2, under={"idempotency_key": "k"})
        assert second != first
        assert submit(registry, say=3, under={"idempotency_key": "k"}) == second


def test_two_submissions_at_once_with_one_key_are_one_unit(host: Host) -> None:
    found: list[str] = []
    with host() as registry:
        together = threading.Barrier(8)

        def hand_in() -> None:
            together.wait()
            found.append(submit(registry, say=1, under={"idempotency_key": "k"}))

        threads = [threading.Thread(target=hand_in) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1
        assert len(registry.units.list()) == 1


def test_equal_outputs_are_kept_once(host: Host, tmp_path: Path) -> None:
    unit = {"idempotency_mode": "output_hash"}
    with host(None, unit, resources={"required": ["clock", "rng"]}) as registry:
        units = [submit(registry, say="same", n=number) for number in range(3)]
        assert [registry.units.wait(unit, 20) for unit in units] == [{"said": "same"}] * 3
    with sqlite3.connect(tmp_path / "units.db") as file:
        assert file.execute("SELECT count(*) FROM results").fetchone() == (1,)
    file.close()


# Order


def test_a_partition_is_done_one_by_one_in_order_and_others_meanwhile(host: Host) -> None:
    doer = Doer()
    with host(doer, workers=8) as registry:
        units = [
            submit(registry, part=part, say=number, do="sleep", seconds=0.01) for number in range(5) for part in "abc"
        ]
        for unit in units:
            registry.units.wait(unit, 20)
    for part in "abc":
        assert [call["say"] for call in doer.calls if call["part"] == part] == list(range(5))
    assert 1 < doer.most_at_once <= 3


def test_priority_and_time_decide_between_partitions(host: Host) -> None:
    doer = Doer()
    soon = datetime.now(UTC) + timedelta(seconds=0.6)
    with host(doer, workers=0) as registry:
        late = submit(registry, say="late", under={"not_before": soon, "priority": 9})
        submit(registry, say="low")
        submit(registry, say="high", under={"priority": 5})
    with host(doer, workers=1) as registry:
        registry.units.wait(late, 20)
    assert [call["say"] for call in doer.calls] == ["high", "low", "late"]


def test_a_short_partition_does_not_wait_for_a_long_one(host: Host) -> None:
    doer = Doer()
    with host(doer, workers=0) as registry:
        for number in range(20):
            submit(registry, say=number, part="long")
        for number in range(20):
            submit(registry, say=number)
        for number in range(3):
            submit(registry, say=number, part="short")
    with host(doer, workers=1) as registry:
        until(lambda: not registry.units.list(states=["queued", "running"]))
    order = [call.get("part", "none") for call in doer.calls]
    assert max(place for place, part in enumerate(order) if part == "short") < 12


# Stopping


def test_one_that_waits_is_cancelled_at_once(host: Host) -> None:
    with host(workers=0) as registry:
        unit = submit(registry, say=1)
        assert registry.units.cancel(unit) == "cancelled"
        with pytest.raises(UnitFailed, match="cancelled"):
            registry.units.wait(unit, 5)
        assert registry.units.cancel(unit) == "cancelled"


@pytest.mark.parametrize("model", ["sync", "process_cpu_bound"])
@pytest.mark.parametrize("work", [{"do": "steps", "count": 1000, "pause": 0.01}, {"do": "until_cancelled"}])
def test_one_at_work_is_cancelled_at_its_next_checkpoint_or_when_it_looks(
    host: Host, work: dict[str, Any], model: str
) -> None:
    with host(Doer, model=model) as registry:
        unit = submit(registry, **work)
        until(lambda: registry.units.status(unit).state == "running")
        assert registry.units.cancel(unit) == "running"
        with pytest.raises(UnitFailed, match="cancelled"):
            registry.units.wait(unit, 20)


@pytest.mark.parametrize("model", ["sync", "process_cpu_bound"])
def test_what_checkpoints_raise_is_caught_by_name_wherever_the_plugin_runs(
    host: Host, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    with host(Doer, model=model) as registry:
        expected, found, told = registry.units.wait(submit(registry, do="conflict"), 20)
        assert (expected, found) == (7, 1)
        assert told.startswith("checkpoint 'key' is at version 1, and 7 was expected")
        unit = submit(registry, do="stop")
        until(lambda: registry.units.status(unit).state == "running")
        registry.units.cancel(unit)
        until(lambda: registry.units.status(unit).state == "cancelled")
        until(lambda: f"closed {unit}" in caplog.messages)


def test_one_that_fails_is_not_tried_again_once_it_is_cancelled(host: Host) -> None:
    doer = Doer()
    with host(doer, max_attempts=100, backoff_sec=0.2) as registry:
        unit = submit(registry, do="fail")
        until(lambda: len(doer.calls) > 0)
        registry.units.cancel(unit)
        until(lambda: registry.units.status(unit).state == "cancelled")
        assert len(doer.calls) <= 2


def test_a_host_that_ends_stops_units_at_a_checkpoint_and_the_next_goes_on(host: Host) -> None:
    first, second = Doer(), Doer()
    with host(first) as registry:
        unit = submit(registry, do="steps", count=30, pause=0.02)
        until(lambda: (registry.units.status(unit).progress or 0) > 10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    with host(second) as registry:
        assert registry.units.wait(unit, 20) == list(range(30))
        assert registry.units.status(unit).attempts == 1  # the first was no failure


def test_checkpoints_of_another_version_are_not_gone_on_from(host: Host) -> None:
    with host() as registry:
        unit = submit(registry, do="steps", count=30, pause=0.02)
        until(lambda: (registry.units.status(unit).progress or 0) > 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(conftest.MANIFEST, "version", "2.0")
        with host() as registry:
            with pytest.raises(UnitFailed, match=r"another version of the plugin \(1\.0; 2\.0 is here\)"):
                registry.units.wait(unit, 20)
            assert registry.units.backfill(states=["failed"]).enqueued_count == 1
            (new,) = registry.units.list(states=["queued", "running"])
            assert registry.units.wait(new.unit_id, 20) == list(range(30))


def test_units_that_wait_are_done_by_whatever_version_comes(host: Host) -> None:
    with host(workers=0) as registry:
        unit = submit(registry, do="steps", count=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(conftest.MANIFEST, "version", "2.0")
        with host() as registry:
            assert registry.units.wait(unit, 20) == [0, 1]


def test_units_of_plugins_that_others_have_are_left_alone(host: Host, tmp_path: Path) -> None:
    with host(workers=0) as registry:
        unit = submit(registry, say=1)
    stranger = PluginRegistry()
    stranger.register(LocalOrchestrator, LocalOrchestrator.manifest)
    config = {"path": str(tmp_path / "units.db"), "workers": 2}
    with stranger.running(PluginContext({"orchestrator": {"local": config}})):
        time.sleep(0.5)
        status = stranger.units.status(unit)
        assert (status.state, status.attempts, status.error) == ("queued", 0, None)


def test_units_expire_that_nobody_took(host: Host) -> None:
    with host(workers=0, expire_after_sec=0.05) as registry:
        unit = submit(registry, say=1)
        time.sleep(0.1)
    with host() as registry, pytest.raises(UnitFailed, match="expired"):
        registry.units.wait(unit, 20)


# Looking back


def test_units_are_listed_and_done_again(host: Host) -> None:
    doer = Doer()
    with host(doer) as registry:
        units = [submit(registry, say=number, part="ab"[number % 2]) for number in range(6)]
        for unit in units:
            registry.units.wait(unit, 20)
        assert [one.unit_id for one in registry.units.list()] == units[::-1]
        assert [one.unit_id for one in registry.units.list(partition_key="b", limit=2)] == [units[5], units[3]]
        assert [one.unit_id for one in registry.units.list(after=units[2])] == [units[1], units[0]]
        told = registry.units.backfill(partition_key="a")
        assert (told.enqueued_count, told.skipped_count) == (3, 0)
        until(lambda: not registry.units.list(states=["queued", "running"]))
        assert sorted(call["say"] for call in doer.calls) == [0, 0, 1, 2, 2, 3, 4, 4, 5]


# Its file


@pytest.mark.parametrize("content", [b"this is no database, " * 200, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_set_aside_and_never_overwritten(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "units.db").write_bytes(content)
    with host() as registry:
        assert registry.units.wait(submit(registry, say=1), 20) == {"said": 1}
    (aside,) = tmp_path.glob("units.db.damaged-*")
    assert aside.read_bytes() == content
    assert f"set aside as {aside}" in caplog.text


def test_a_file_of_a_later_version_is_left_alone(host: Host, tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "units.db")
    file.execute("PRAGMA user_version = 99")
    file.close()
    with host() as registry:
        (status,) = [one for one in registry.status() if one.name == "local"]
        assert "has tables of version 99" in status.reason


def test_a_file_that_cannot_be_made_is_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with host(path=str(tmp_path / "file" / "units.db")) as registry:
        (status,) = [one for one in registry.status() if one.name == "local"]
        assert f"units of work can't be kept in {tmp_path}/file/units.db" in status.reason


def test_its_configuration_is_checked(host: Host) -> None:
    with host(werkers=2) as registry:
        (status,) = [one for one in registry.status() if one.name == "local"]
        assert "werkers" in status.reason


def test_units_wait_for_plugins_that_start(host: Host) -> None:
    """And are not put off for as long as those of a plugin that is away."""

    class Slow(Doer):
        def setup(self, ctx: Any) -> None:
            time.sleep(0.3)

    with host(workers=0) as registry:
        unit = submit(registry, say=1)
    with host(Slow()) as registry:
        assert registry.units.wait(unit, 20) == {"said": 1}
        assert registry.units.status(unit).error is None


def test_a_process_that_is_hidden_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of other users are where /proc is mounted with ``hidepid``."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    machine = places.here().rsplit(":", 2)[0]
    monkeypatch.setattr(places, "_begun", lambda _: None)
    assert not places.is_gone(f"{machine}:{child.pid}:1")
    child.communicate()
    assert places.is_gone(f"{machine}:{child.pid}:1")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_process_that_ended_is_gone_and_its_number_may_be_anothers() -> None:
    machine, number, begun = places.here().rsplit(":", 2)
    assert not places.is_gone(places.here())
    assert places.is_gone(f"{machine}:{number}:{int(begun) - 1}")
    assert not places.is_gone(f"another{machine}:{number}:{int(begun) - 1}")
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: places.is_gone(f"{machine}:{child.pid}:{begun}"))  # it is not waited for yet
    child.wait()
