"""Units of work on Celery: the same as on one machine, and what only many machines do to them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    PluginContext,
    PluginError,
    PluginRegistry,
    PluginUnavailable,
    UnitFailed,
    UnitRefused,
    orchestrator,
)
from dagstack_plugins.conformance import OrchestratorConformance
from dagstack_plugins.dag import DAG, DAGExecutor, unit_task
from dagstack_plugins.units.celery import CeleryOrchestrator
from dagstack_plugins.units.celery.messages import celery_app
from tests.units.cluster import RedisServer, Worker, redis, worker
from tests.units.faults.setups import limit
from tests.waiting import until

MANIFEST = """\
[plugin]
name = "doer"
kind = "tool"
runtime = "in_process"
core_version = ">=0.1"
version = "1.0"

[plugin.unit_of_work]
declared = true
checkpointable = true
partition_key = "part"
"""
CODE = """\
import os
import sys
import time


class Doer:
    def execute(self, args, ctx):
        note(args, f"{args.get('name', '')} begin {os.getpid()}")
        value = getattr(self, args.get("do", "echo"))(args, ctx)
        note(args, f"{args.get('name', '')} end")
        return value

    def echo(self, args, ctx):
        return args.get("value")

    def steps(self, args, ctx):
        done, _ = ctx.checkpoint.load("done")
        for step in range(done or 0, args["count"]):
            note(args, f"{args.get('name', '')} {step}")
            time.sleep(args["pause"])
            ctx.checkpoint.save("done", step + 1)
            ctx.progress.update(100 * (step + 1) / args["count"], f"step {step}")
        return args["count"]

    def leave(self, args, ctx):
        sys.exit(3)

    def die_once(self, args, ctx):
        _, version = ctx.checkpoint.load("died")
        if not version:
            ctx.checkpoint.save("died", True)
            os._exit(3)
        return "alive"

    def odd(self, args, ctx):
        return {1, 2}

    def big(self, args, ctx):
        return "x" * args["size"]

    def big_checkpoint(self, args, ctx):
        ctx.checkpoint.save("k", "x" * args["size"])

    def submit(self, args, ctx):
        return ctx.registry.units.submit("tool", "doer", "execute", {"value": "of a unit"}).unit_id

    def until_cancelled(self, args, ctx):
        while not ctx.cancelled:
            time.sleep(0.01)


def note(args, text):
    if "log" in args:
        log = os.open(args["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{text}\\n".encode())
        os.close(log)
"""
CONFIG = {"backoff_sec": 0.01, "lease_sec": 2}
TOML = "[orchestrator.celery]\nbackoff_sec = 0.01\nlease_sec = 2\n"
databases = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


class TestCeleryOrchestrator(OrchestratorConformance):
    @pytest.fixture(autouse=True)
    def of_its_own(self, server: RedisServer) -> None:
        self.broker = server.url(next(databases))

    @contextmanager
    def running(self, folder: Path) -> Iterator[PluginRegistry]:
        with host(folder, self.broker) as registry, worker(folder, self.broker, config=TOML, gently=False):
            yield registry


@contextmanager
def host(folder: Path, broker: str, **config: Any) -> Iterator[PluginRegistry]:
    registry = PluginRegistry()
    registry.register(CeleryOrchestrator(broker), CeleryOrchestrator.manifest)
    registry.discover(folder / "plugins")
    with registry.running(PluginContext({"orchestrator": {"celery": {**CONFIG, **config}}})):
        yield registry


def prepared(folder: Path, manifest: str = MANIFEST, code: str = CODE) -> Path:
    plugin = folder / "plugins" / "doer"
    plugin.mkdir(parents=True, exist_ok=True)
    (plugin / "dagstack.toml").write_text(manifest, encoding="utf-8")
    (plugin / "plugin.py").write_text(code, encoding="utf-8")
    return folder


def submit(registry: PluginRegistry, under: dict[str, Any] | None = None, **args: Any) -> str:
    return registry.units.submit("tool", "doer", "execute", args, **(under or {})).unit_id


def noted(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


Cluster = tuple[PluginRegistry, Worker, Path]


@pytest.fixture(scope="module")
def cluster(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A host, a worker, and the folder that they share."""
    folder = prepared(tmp_path_factory.mktemp("cluster"))
    broker = server.url(next(databases))
    with host(folder, broker) as registry, worker(folder, broker, config=TOML) as process:
        yield registry, process, folder


# What plugins do


def test_progress_reaches_the_host(cluster: Cluster) -> None:
    registry, _, _ = cluster
    unit = submit(registry, do="steps", count=10, pause=0.2)
    seen = set()
    until(lambda: seen.add(registry.units.status(unit).progress) or len(seen) >= 3)  # type: ignore[func-returns-value]
    assert registry.units.wait(unit, 20) == 10
    assert registry.units.status(unit).message == "step 9"


def test_one_that_ends_its_process_is_gone_on_with(cluster: Cluster) -> None:
    registry, _, _ = cluster
    unit = submit(registry, do="die_once")
    assert registry.units.wait(unit, 20) == "alive"
    assert registry.units.status(unit).attempts == 2


def test_one_that_ends_its_interpreter_fails(cluster: Cluster) -> None:
    registry, _, _ = cluster
    with pytest.raises(UnitFailed, match="SystemExit"):
        registry.units.wait(submit(registry, do="leave"), 20)


def test_a_result_that_is_no_json_fails_and_says_where(cluster: Cluster) -> None:
    registry, _, _ = cluster
    with pytest.raises(UnitFailed, match="set"):
        registry.units.wait(submit(registry, do="odd"), 20)


def test_a_plugin_submits_units_itself(cluster: Cluster) -> None:
    registry, _, _ = cluster
    assert registry.units.wait(registry.units.wait(submit(registry, do="submit"), 20), 20) == "of a unit"


def test_nodes_of_a_graph_are_done_by_workers(cluster: Cluster) -> None:
    registry, _, _ = cluster
    graph = DAG()
    graph.add_nodes(["first", "second"])
    graph.add_edge("first", "second")
    tasks = {
        "first": unit_task(registry, "tool", "doer", "execute", payload={"value": 1}),
        "second": unit_task(registry, "tool", "doer", "execute", payload=lambda first: {"value": first + 1}),
    }
    assert DAGExecutor(graph).execute(tasks)["second"] == 2


def test_a_task_that_is_revoked_is_a_unit_that_is_cancelled(cluster: Cluster) -> None:
    registry, _, _ = cluster
    app = celery_app(f"redis://{place_of(registry)}")
    first = submit(registry, do="steps", count=20, pause=0.05, part="revoked")
    second, third = submit(registry, value=2, part="revoked"), submit(registry, value=3, part="revoked")
    app.control.revoke(second)
    assert registry.units.wait(first, 20) == 20
    assert registry.units.wait(third, 20) == 3
    assert registry.units.status(second).state == "cancelled"
    app.close()


def test_one_that_looks_hears_that_it_was_cancelled(cluster: Cluster) -> None:
    registry, _, _ = cluster
    unit = submit(registry, do="until_cancelled")
    until(lambda: registry.units.status(unit).state == "running")
    registry.units.cancel(unit)
    until(lambda: registry.units.status(unit).state == "cancelled")


def test_messages_that_are_lost_are_sent_again(cluster: Cluster, server: RedisServer) -> None:
    """Whatever empties Celery's queue, units are not lost with it."""
    registry, process, _ = cluster
    process.process.send_signal(signal.SIGSTOP)
    broker = redis.Redis(port=server.port, db=int(place_of(registry).rpartition("/")[2]))
    try:
        units = [submit(registry, value=number) for number in range(5)]
        broker.delete(*broker.keys("dagstack-units*"))
    finally:
        process.process.send_signal(signal.SIGCONT)
    assert [registry.units.wait(unit, 20) for unit in units] == list(range(5))


def place_of(registry: PluginRegistry) -> str:
    """Its Redis, as ``host:port/number``."""
    plugin = registry.slots("orchestrator")[0].accepted("celery")
    assert plugin is not None
    place: str = plugin.instance._place
    return place.removeprefix("Redis at ")


def test_the_command_shows_and_changes_what_is_in_redis(cluster: Cluster) -> None:
    registry, _, folder = cluster
    unit = submit(registry, value="shown", part="of the command")
    registry.units.wait(unit, 20)
    broker = f"redis://{place_of(registry)}"

    def units(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dagstack_plugins", "units", *args]
        environment = {**os.environ, "DAGSTACK_UNITS": broker}
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)

    done = units("list", "--json", "--partition", "of the command")
    assert [row["unit_id"] for row in json.loads(done.stdout)] == [unit], done.stderr
    assert json.loads(units("show", unit, "--json").stdout)["value"] == "shown"
    assert "it is succeeded" in units("cancel", unit).stderr
    assert "1 unit queued again" in units("backfill", "--partition", "of the command").stderr
    until(lambda: [one.state for one in registry.units.list(partition_key="of the command")] == ["succeeded"] * 2)
    refused = units("worker")
    assert refused.returncode == 2
    assert "celery -A dagstack_plugins.units.celery worker" in refused.stderr


def test_who_watches_bears_with_a_redis_that_is_restarted(tmp_path: Path) -> None:
    server, told = RedisServer(tmp_path), tmp_path / "told"
    folder, broker = prepared(tmp_path), server.url()
    command = [sys.executable, "-m", "dagstack_plugins", "units", "list", "--watch"]
    try:
        with (
            host(folder, broker) as registry,
            told.open("wb") as stderr,
            redis.Redis(port=server.port) as client,
            subprocess.Popen(command, stderr=stderr, env={**os.environ, "DAGSTACK_UNITS": broker}) as watch,
            ExitStack() as at_last,
        ):
            at_last.callback(watch.kill)
            first, second = submit(registry, value=1), submit(registry, value=2)
            until(lambda: client.info("commandstats").get("cmdstat_zrevrangebyscore", {}).get("calls", 0) > 20)
            registry.units.cancel(first)
            until(lambda: f"{first}: doer cancelled" in told.read_text())
            server.stop()
            until(lambda: "it is asked again" in told.read_text())
            server.start()
            registry.units.cancel(second)
            assert watch.wait(30) == 0
        assert f"{second}: doer cancelled" in told.read_text()
        assert told.read_text().count("it is asked again") == 1
    finally:
        server.stop()


# Workers that end


def test_a_worker_that_is_killed_loses_no_more_than_a_checkpoint(server: RedisServer, tmp_path: Path) -> None:
    folder, broker = prepared(tmp_path), server.url(next(databases))
    with host(folder, broker) as registry:
        first = Worker(folder, broker, config=TOML)
        unit = submit(registry, do="steps", count=20, pause=0.05, part="p", log=str(folder / "log"))
        behind = submit(registry, value="behind", part="p")
        until(lambda: " 5" in noted(folder))
        first.kill()
        with worker(folder, broker, config=TOML):
            assert registry.units.wait(unit, 30) == 20
            assert registry.units.wait(behind, 30) == "behind"
    steps = [line for line in noted(folder) if not line.startswith((" begin", " end"))]
    assert len(steps) - len(set(steps)) <= 1
    assert noted(folder).count(" end") == 1


def test_a_worker_that_is_asked_to_end_hands_over_what_it_has(server: RedisServer, tmp_path: Path) -> None:
    folder, broker = prepared(tmp_path), server.url(next(databases))
    with host(folder, broker) as registry:
        with worker(folder, broker, config=TOML):
            unit = submit(registry, do="steps", count=100, pause=0.05, log=str(folder / "log"))
            until(lambda: " 3" in noted(folder))
        assert registry.units.status(unit).state == "queued"
        registry.units.cancel(unit)
    assert len([line for line in noted(folder) if line.startswith(" begin")]) == 1


def test_a_signal_to_all_processes_of_a_worker_is_no_failure_of_its_plugins(
    server: RedisServer, tmp_path: Path
) -> None:
    folder, broker = prepared(tmp_path), server.url(next(databases))
    with host(folder, broker) as registry:
        with worker(folder, broker, config=TOML + "max_attempts = 1\n", gently=False) as process:
            unit = submit(registry, do="steps", count=40, pause=0.05, log=str(folder / "log"))
            until(lambda: " 3" in noted(folder))
            os.killpg(process.process.pid, signal.SIGTERM)
            process.process.wait(30)
        with worker(folder, broker, config=TOML, gently=False):
            assert registry.units.wait(unit, 30) == 40


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_work(server: RedisServer, tmp_path: Path, pool: str) -> None:
    folder, broker = prepared(tmp_path), server.url(next(databases))
    with host(folder, broker) as registry, worker(folder, broker, "-P", pool, "-c", "2", config=TOML):
        units = [submit(registry, do="steps", count=3, pause=0.01, part=str(number % 3)) for number in range(9)]
        assert [registry.units.wait(unit, 20) for unit in units] == [3] * 9


# Redis that ends


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_redis_restarted_loses_nothing(tmp_path: Path, how: signal.Signals) -> None:
    server = RedisServer(tmp_path)
    folder, broker = prepared(tmp_path), server.url()
    log = str(folder / "log")
    try:
        with host(folder, broker) as registry, worker(folder, broker, config=TOML):
            units = [
                submit(registry, do="steps", count=5, pause=0.05, name=f"u{number}", part=str(number % 4), log=log)
                for number in range(12)
            ]
            until(lambda: any(line.endswith(" end") for line in noted(folder)))
            server.stop(how)
            time.sleep(0.5)
            server.start()
            assert [registry.units.wait(unit, 40) for unit in units] == [5] * 12
    finally:
        server.stop()
    for number in range(12):
        assert noted(folder).count(f"u{number} end") == 1
        assert sum(line in [f"u{number} {step}" for step in range(5)] for line in noted(folder)) <= 6


def test_workers_and_hosts_bear_with_a_redis_that_is_away(tmp_path: Path) -> None:
    """Also those that have a hand free, and wait for messages meanwhile."""
    server = RedisServer(tmp_path)
    folder, broker = prepared(tmp_path), server.url()
    try:
        with host(folder, broker) as registry, worker(folder, broker, config=TOML), ThreadPoolExecutor() as threads:
            unit = submit(registry, do="steps", count=20, pause=0.05, log=str(folder / "log"))
            waiting = threads.submit(registry.units.wait, unit, 60)
            until(lambda: " 3" in noted(folder))
            server.stop()
            time.sleep(5)
            server.start()
            assert waiting.result() == 20
            assert registry.units.wait(submit(registry, value="after"), 30) == "after"
    finally:
        server.stop()


def test_a_redis_that_is_full_refuses_units_and_loses_none(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    folder, broker = prepared(tmp_path), server.url()
    control = redis.Redis(port=server.port)
    try:
        with host(folder, broker) as registry:
            unit = submit(registry, do="steps", count=3, pause=0.01)
            control.config_set("maxmemory", "1mb")
            with pytest.raises(PluginError, match=r"Redis at 127\.0\.0\.1:\d+/0 refuses that: .*maxmemory"):
                submit(registry, value="more")
            control.config_set("maxmemory", "0")
            with worker(folder, broker, config=TOML):
                slow = submit(registry, do="steps", count=10, pause=0.1, log=str(folder / "log"))
                until(lambda: " 3" in noted(folder))
                control.config_set("maxmemory", "1mb")
                time.sleep(1.5)
                assert registry.units.status(slow).state in ("running", "queued")
                control.config_set("maxmemory", "0")
                assert [registry.units.wait(one, 30) for one in (unit, slow)] == [3, 10]
    finally:
        control.close()
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits for another process")
def test_whoever_comes_while_redis_has_no_room_on_its_disk_sees_the_units(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--appendfsync", "everysec")
    folder, broker = prepared(tmp_path), server.url()
    try:
        with host(folder, broker) as first:
            unit = submit(first, value=1)
        limit([server.pid], full=True)
        client = redis.Redis(port=server.port)
        with client, pytest.raises(redis.ResponseError, match="MISCONF"):
            all(client.incr("filler") for _ in itertools.count())  # what is left of its buffer may still go in
        with host(folder, broker) as second:
            assert second.units.status(unit).state == "queued"
    finally:
        server.stop(signal.SIGKILL)


# Bad input


def test_other_code_is_refused_and_said_where(server: RedisServer, tmp_path: Path) -> None:
    here, there, broker = prepared(tmp_path / "host"), tmp_path / "worker", server.url(next(databases))
    prepared(there, code=CODE + "# changed\n")
    with host(here, broker) as registry:
        unit = submit(registry, value=1)
        config = TOML + "max_losses = 1\n"
        with (
            worker(there, broker, config=config),
            pytest.raises(UnitFailed, match=r"the worker \S+ \(\d+\) has other code of plugin 'doer'") as told,
        ):
            registry.units.wait(unit, 30)
        assert str(there / "plugins" / "doer") in str(told.value)
        assert "not 1.0 sha256:" in str(told.value)
    with host(there, broker) as registry:
        assert registry.units.backfill()["enqueued_count"] == 1
        with worker(there, broker, config=config):
            until(lambda: len(registry.units.list(states=["succeeded"])) == 1)


def test_a_worker_without_the_plugin_leaves_it_to_others(server: RedisServer, tmp_path: Path) -> None:
    folder, broker, other = prepared(tmp_path / "host"), server.url(next(databases)), tmp_path / "other"
    prepared(other, manifest=MANIFEST.replace('"doer"', '"other"'))
    with host(folder, broker) as registry, worker(other, broker, config=TOML):
        unit = submit(registry, value=1)
        until(lambda: registry.units.status(unit).error is not None)
        assert "has no plugin 'doer' of kind 'tool'" in registry.units.status(unit).error.message
        with worker(folder, broker, config=TOML):
            assert registry.units.wait(unit, 30) == 1


def test_what_is_bigger_than_redis_takes_is_refused(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--proto-max-bulk-len", "1mb")
    folder, broker = prepared(tmp_path), server.url()
    try:
        with host(folder, broker) as registry, worker(folder, broker, config=TOML + "max_attempts = 1\n"):
            with pytest.raises(UnitRefused, match=r"2,000,\d+ bytes .* more than Redis takes .* 1,048,576"):
                submit(registry, value="x" * 2_000_000)
            with pytest.raises(UnitFailed, match=r"2,000,\d+ bytes"):
                registry.units.wait(submit(registry, do="big", size=2_000_000), 20)
            with pytest.raises(UnitFailed, match=r"2,000,\d+ bytes"):
                registry.units.wait(submit(registry, do="big_checkpoint", size=2_000_000), 20)
            assert registry.units.wait(submit(registry, value="x" * 900_000), 20) == "x" * 900_000
    finally:
        server.stop()


def test_a_broker_that_is_not_there_is_told_in_seconds(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    began = time.monotonic()
    with host(folder, "redis://:secret@127.0.0.1:1/0") as registry:
        with pytest.raises(PluginError, match=r"Redis at 127\.0\.0\.1:1/0 can't be reached: .*refused") as told:
            submit(registry, value=1)
        assert "secret" not in str(told.value)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "broker",
    ["http://localhost", "redis://", "redis://localhost:port/0", "redis://localhost/x", "redis://h/0?password=s"],
)
def test_addresses_that_are_none_are_told(tmp_path: Path, broker: str) -> None:
    with (
        host(prepared(tmp_path), broker) as registry,
        pytest.raises(PluginUnavailable, match="redis://host:port/number"),
    ):
        submit(registry, value=1)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("queue = 3", "queue"),
        ('broker = "amqp://localhost"', "redis://host:port/number"),
        ("lease_sec = 0", "lease_sec"),
        ("speed = 1", "speed"),
    ],
)
def test_a_worker_says_what_is_wrong_with_its_configuration(
    server: RedisServer, tmp_path: Path, setting: str, told: str
) -> None:
    process = Worker(prepared(tmp_path), server.url(), config=f"[orchestrator.celery]\n{setting}\n")
    assert process.process.wait(30) == 1
    assert told in process.told()
    assert "Traceback" not in process.told()


def refused_worker(folder: Path, **environment: str) -> str:
    process = Worker(folder, "redis://localhost:1/0", environment=environment)
    assert process.process.wait(30) == 1
    assert "Traceback" not in process.told()
    return process.told()


def test_a_worker_says_what_it_lacks(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'plugins'}" in refused_worker(tmp_path)
    (tmp_path / "plugins").mkdir()
    assert "no plugin here declares a unit of work" in refused_worker(tmp_path)
    prepared(tmp_path, manifest=MANIFEST.replace("core_version", "core_vision"))
    assert "left out: " in refused_worker(tmp_path)
    assert "DAGSTACK_CONFIG: nowhere.toml" in refused_worker(tmp_path, DAGSTACK_CONFIG="nowhere.toml")
    assert "redis://host:port/number" in refused_worker(tmp_path, DAGSTACK_UNITS="smtp://localhost")


# Deployments of one's own


JOBS = """\
from dagstack_plugins import PluginContext, PluginRegistry, ResourceRegistry, orchestrator
from dagstack_plugins.units.celery import worker_app


class Doer:
    def execute(self, args, ctx):
        return ctx.resources.greeting + args["name"]


def host():
    resources = ResourceRegistry()
    resources.register("greeting", "hello ")
    registry = PluginRegistry(resource_registry=resources)
    manifest = {"name": "doer", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1",
                "unit_of_work": {"declared": True}, "resources": {"required": ["greeting"]}}
    registry.register(Doer, manifest)
    registry.register(*orchestrator())
    return registry, PluginContext({"orchestrator": {"celery": {"queues": {"tool/doer": "polite"}}}})


app = worker_app(host)
"""


def test_a_host_of_ones_own_lends_resources_and_names_queues(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = server.url(next(databases))
    (tmp_path / "jobs.py").write_text(JOBS, encoding="utf-8")
    monkeypatch.setenv("DAGSTACK_UNITS", broker)
    monkeypatch.syspath_prepend(tmp_path)
    import jobs  # type: ignore[import-not-found]

    registry, context = jobs.host()
    try:
        with registry.running(context):
            unit = submit(registry, name="world")
            with worker(tmp_path, broker, app="jobs"):
                time.sleep(1)
                assert registry.units.status(unit).state == "queued", "it waits in another queue"
            with worker(tmp_path, broker, "-c", "1", "-Q", "polite", app="jobs"):
                assert registry.units.wait(unit, 20) == "hello world"
    finally:
        del sys.modules["jobs"]


ALONE = """\
def alone():
    registry = PluginRegistry()
    manifest = {"name": "doer", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
    registry.register(Doer, {**manifest, "unit_of_work": {"declared": True}})
    return registry, PluginContext()
"""


@pytest.mark.parametrize(
    ("app", "told"),
    [
        (
            "worker_app(host, 'redis://localhost:1/7')",
            "the host's broker is Redis at 127.0.0.1:{port}/0, and the worker's ",
        ),
        ("worker_app(host, queue='other')", "the host's queue is dagstack-units, and the worker's other"),
        ("worker_app(lambda: None)", "worker_app(host) takes a function that makes a registry"),
        ("worker_app(host())", "worker_app(host) takes a function that makes a registry"),
        ("worker_app(alone)", "the host has no CeleryOrchestrator"),
    ],
)
def test_a_worker_that_could_never_do_anything_says_so(
    server: RedisServer, tmp_path: Path, app: str, told: str
) -> None:
    code = JOBS.replace("app = worker_app(host)", f"{ALONE}\n\napp = {app}")
    (tmp_path / "jobs.py").write_text(code, encoding="utf-8")
    process = Worker(tmp_path, server.url(), app="jobs")
    assert process.process.wait(30) == 1
    assert told.format(port=server.port) in process.told()


def test_higher_priorities_are_taken_first(server: RedisServer, tmp_path: Path) -> None:
    folder, broker = prepared(tmp_path), server.url(next(databases))
    log = str(folder / "log")
    with host(folder, broker) as registry:
        units = [submit(registry, {"priority": at}, name=f"p{at}", log=log) for at in (-100, -4, 0, 1, 5)]
        with worker(folder, broker, "-c", "1", config=TOML):
            for unit in units:
                registry.units.wait(unit, 20)
    begun = [line.split()[0] for line in noted(folder) if " begin" in line]
    assert begun[:3] == ["p5", "p1", "p0"]
    assert set(begun[3:]) == {"p-4", "p-100"}, "Redis tells ten priorities apart"


@pytest.mark.parametrize(
    ("where", "name"),
    [("", "local"), ("units.db", "local"), ("redis://localhost/0", "celery"), ("rediss://localhost/0", "celery")],
)
def test_one_variable_says_where_units_are(monkeypatch: pytest.MonkeyPatch, where: str, name: str) -> None:
    monkeypatch.setenv("DAGSTACK_UNITS", where)
    assert PluginRegistry().register(*orchestrator()).name == name


def test_other_addresses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for where, told in (
        ("amqp://localhost", "DAGSTACK_UNITS names a amqp:// address"),
        ("localhost:6379", "DAGSTACK_UNITS looks like an address"),
        ("redis:/:secret@localhost/0", "DAGSTACK_UNITS looks like an address, and Redis is given as redis://"),
    ):
        monkeypatch.setenv("DAGSTACK_UNITS", where)
        with pytest.raises(PluginUnavailable, match=told):
            orchestrator()


def test_a_path_says_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTACK_UNITS", str(tmp_path / "here.db"))
    registry = PluginRegistry()
    registry.register(*orchestrator())
    with registry.running(PluginContext({"orchestrator": {"local": {"path": str(tmp_path / "not here.db")}}})):
        assert registry.units.list() == []
    assert [path.name for path in tmp_path.glob("*.db")] == ["here.db"]
