"""Resources on their way to plugins in worker processes."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    DeterministicRng,
    DirectoryResource,
    FileBlobStore,
    FrozenClock,
    HttpxClient,
    InMemoryBlobStore,
    Metering,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
    RateLimit,
    S3BlobStore,
    StubHttpClient,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")

PLUGIN = """
import asyncio, os, time

class There:
    def execute(self, args, ctx):
        thing, scope = ctx.resources.get("thing"), {}
        code = "async def run(thing, args, time):\\n  return " + args["code"]
        exec(code, scope)
        result = asyncio.run(scope["run"](thing, args, time))
        if args.get("slowly"):
            time.sleep(0.3)
        return {"pid": os.getpid(), "result": result}
"""

MANIFEST = {
    "name": "there",
    "kind": "tool",
    "runtime": "in_process",
    "core_version": ">=0.1",
    "execution_model": "process_cpu_bound",
    "resources": {"required": ["thing"]},
}


class Host:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = PluginRegistry(process_workers=2)
        self.resources = self.registry.resource_registry

    def lend(self, thing: Any) -> None:
        plugin = self.folder / "there"
        plugin.mkdir()
        (plugin / "plugin.py").write_text(PLUGIN, encoding="utf-8")
        (plugin / "dagstack.json").write_text(json.dumps({"plugin": MANIFEST}), encoding="utf-8")
        self.registry.discover(self.folder, strict=True)
        self.resources.register("thing", thing)

    def run(self, code: str, **args: Any) -> Any:
        return self.runs(code, **args)["result"]

    def runs(self, code: str, **args: Any) -> Any:
        found = self.registry.get_plugin("tool", "there").execute(code=code, **args)
        assert found["pid"] != os.getpid()
        return found


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "plugins")
    made.folder.mkdir()
    yield made
    made.resources.close()


def at_once(host: Host, code: str) -> list[Any]:
    """The same call twice at the same time, so that there are two processes."""
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(host.runs(code, slowly=True))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({call["pid"] for call in found}) == 2
    return sorted(call["result"] for call in found)


def test_a_frozen_clock_goes_by_value(host: Host) -> None:
    clock = FrozenClock(now=datetime(2024, 1, 1, tzinfo=UTC))
    clock.advance(seconds=1.5)
    host.lend(clock)
    with host.registry.running():
        assert host.run("[thing.now().isoformat(), thing.monotonic_ns()]") == [
            "2024-01-01T00:00:01.500000+00:00",
            1_500_000_000,
        ]
        host.run("thing.advance(seconds=60)")
    assert clock.now() == datetime(2024, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_each_process_has_a_stream_of_its_own_and_the_same_in_the_next_run(tmp_path: Path) -> None:
    runs = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        host = Host(tmp_path / run)
        rng = DeterministicRng(seed=7)
        host.lend(rng)
        with host.registry.running():
            runs.append(at_once(host, "thing.uuid4()"))
        assert rng.uuid4() not in runs[-1]
        host.resources.close()
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 2


def test_a_file_store_is_opened_there(host: Host, tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path / "blobs")
    asyncio.run(store.put("from/here", b"1"))
    host.lend(store)
    with host.registry.running():
        assert host.run("(await thing.get('from/here')).decode()") == "1"
        host.run("await thing.put('from/there', b'2', content_type='text/plain')")
    assert asyncio.run(store.get("from/there")) == b"2"
    assert asyncio.run(store.list()) == ["from/here", "from/there"]
    host.resources.close()
    assert list((tmp_path / "blobs" / "writing").iterdir()) == []


def test_a_client_has_its_settings_there(host: Host) -> None:
    seen: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["x-mine"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *args: Any) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    host.lend(HttpxClient(headers={"x-mine": "1"}))
    with host.registry.running():
        assert (
            host.run("(await thing.get(args['url'])).text()", url=f"http://127.0.0.1:{server.server_port}") == "hello"
        )
    server.shutdown()
    thread.join()
    server.server_close()
    assert seen == ["1"]


def test_a_bucket_is_opened_there(host: Host) -> None:
    store = S3BlobStore(
        "b", endpoint="http://127.0.0.1:9", region="r", access_key_id="a", secret_access_key="b", retries=0
    )
    host.lend(store)
    with host.registry.running():
        assert host.run("repr(thing)") == repr(store)


def test_a_folder_of_the_hosts_is_the_same_there(host: Host, tmp_path: Path) -> None:
    host.lend(DirectoryResource(tmp_path / "data"))
    with host.registry.running():
        host.run("thing.create_file('kept', suffix='.txt').write_text('x') and None")
    assert (tmp_path / "data" / "kept.txt").read_text() == "x"


class SaysSo:
    """Not for pickle, but says by one method what goes in its place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()

    def for_worker(self, worker: str) -> Any:
        return {"name": self.name, "worker": worker}


def test_a_resource_of_the_hosts_own_can_say_how_it_travels(host: Host) -> None:
    host.lend(SaysSo("mine"))
    with host.registry.running():
        assert host.run("thing") == {"name": "mine", "worker": "tool/there#1"}
        assert [told["worker"] for told in map(json.loads, at_once(host, "__import__('json').dumps(thing)"))] == [
            "tool/there#1",
            "tool/there#2",
        ]


class Refuses:
    def for_worker(self, worker: str) -> Any:
        raise RuntimeError("it holds a device")


class Forgets:
    def for_worker(self, worker: str) -> Any:
        return None


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (InMemoryBlobStore, "blobs in memory can't be shared with a worker process; lend it a FileBlobStore"),
        (StubHttpClient, "what a StubHttpClient is asked in a worker process would not be known here"),
        (lambda: HttpxClient(verify=ssl.create_default_context()), "give verify= the CA bundle's path"),
        (threading.Lock, "cannot pickle"),
        (Refuses, "RuntimeError: it holds a device"),
        (Forgets, "for_worker() returned None: return what goes there"),
    ],
)
def test_what_cannot_travel_is_told_at_setup(host: Host, thing: Any, why: str) -> None:
    host.lend(thing())
    with host.registry.running():
        (status,) = host.registry.status()
        assert status.state is PluginState.UNAVAILABLE
        assert why in str(status.reason)
        for part in ("the resource 'thing' can't go to a worker process", "for_worker(worker)", 'scope="plugin"'):
            assert part in str(status.reason)


@pytest.mark.parametrize("wrap", [Metering().of("thing"), RateLimit(100)], ids=["metering", "rate limit"])
def test_what_counts_here_does_not_go_there(host: Host, wrap: Any) -> None:
    """Nor does a resource that could travel slip out of what is round it."""
    host.lend(SaysSo("mine"))
    host.resources.decorate("thing", wrap)
    with host.registry.running():
        (status,) = host.registry.status()
        assert status.state is PluginState.UNAVAILABLE
        assert "can't be copied: what decorates it, such as Metering, counts in this process" in str(status.reason)


class GoesOnce:
    """To the first process, and to no other."""

    def for_worker(self, worker: str) -> Any:
        if not worker.endswith("#1"):
            raise RuntimeError("it was given away")
        return "there"


def test_a_later_process_that_cannot_be_given_its_resources_is_told_of_to_its_caller(host: Host) -> None:
    host.lend(GoesOnce())
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(host.runs("thing", slowly=True)["result"])
        except PluginUnavailable as error:
            found.append(error)

    with host.registry.running():
        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (refused,) = [one for one in found if isinstance(one, PluginUnavailable)]
        assert "there" in found
        assert "RuntimeError: it was given away" in str(refused)
        assert (refused.kind, refused.hook, refused.plugin) == ("tool", "execute", "there")
        assert host.run("thing") == "there", "the first process goes on"
