"""Decorators: metering, rate limits, and what they stand on."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagstack_plugins import (
    BlobStore,
    Clock,
    FrozenClock,
    InMemoryBlobStore,
    Metering,
    PluginRegistry,
    RateLimit,
    RateLimited,
    ResourceRegistry,
    ScopedTempDir,
    StubHttpClient,
)
from dagstack_plugins.resources.around import around


@attrs.frozen
class Wanted:
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@attrs.frozen
class Manifest:
    name: str = "text"
    resources: Wanted = Wanted()
    kind: str = "chunker"
    file: Path | None = None


class Table:
    """What a resource may have: an object that can be called, and can do more."""

    def __call__(self) -> str:
        return "called"

    def find(self) -> str:
        return "found"


class Pool:
    """All that a resource may be."""

    table = Table()

    size = 3

    def __init__(self) -> None:
        self.log: list[str] = []

    def take(self, number: int = 1) -> int:
        if number < 0:
            raise ValueError("negative")
        return number

    async def fetch(self, number: int = 1) -> int:
        await asyncio.sleep(0)
        return self.take(number)

    def later(self, number: int = 1) -> Any:
        return self.fetch(number)

    def __call__(self, number: int) -> int:
        return -number

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: str) -> str:
        return item * 2

    def __enter__(self) -> str:
        self.log.append("enter")
        return "inside"

    def __exit__(self, *error: object) -> None:
        self.log.append("exit")


def noting(log: list[str]) -> Any:
    def noted(name: str, method: Any) -> Any:
        log.append(name)
        return method

    return noted


# --- around


def test_the_decorated_is_the_resource_in_all_else() -> None:
    pool, log = Pool(), list[str]()
    decorated = around(pool, noting(log))
    assert (decorated.size, len(decorated), decorated["ab"], decorated(4)) == (3, 3, "abab", -4)
    with decorated as inside:
        assert inside == "inside"
    decorated.size = 5
    assert pool.size == len(decorated) == 5
    del decorated.size
    assert pool.size == 3
    assert (decorated.table.find(), decorated.table()) == ("found", "called")
    assert pool.log == ["enter", "exit"]
    assert isinstance(decorated, Pool)
    assert isinstance(around(decorated, noting(log)), Pool)
    assert set(dir(pool)) <= set(dir(decorated))
    assert "Pool" in repr(decorated)
    assert log == ["__call__"]
    with pytest.raises(AttributeError, match="'Pool' object has no attribute 'missing'"):
        _ = decorated.missing


def test_a_method_is_wrapped_once() -> None:
    log: list[str] = []
    decorated = around(Pool(), noting(log))
    assert [decorated.take(n) for n in range(3)] == [0, 1, 2]
    assert log == ["take"]
    assert inspect.iscoroutinefunction(decorated.fetch)


def test_decorated_resources_keep_their_protocols() -> None:
    assert isinstance(around(FrozenClock(), noting([])), Clock)
    assert isinstance(around(InMemoryBlobStore(), noting([])), BlobStore)


def test_decorations_lie_around_each_other() -> None:
    inner, outer = list[str](), list[str]()
    decorated = around(around(Pool(), noting(inner)), noting(outer))
    assert decorated.take() == 1
    assert len(decorated) == 3
    assert (inner, outer) == (["take"], ["take"])


def test_what_is_round_a_resource_stays_in_its_process() -> None:
    with pytest.raises(TypeError, match="can't be copied"):
        pickle.dumps(around(FrozenClock(), noting([])))


# --- metering


def counted(metering: Metering, method: str, resource: str = "pool", plugin: str = "text") -> dict[str, float]:
    return metering.as_dict()["chunker"][plugin][resource][method]


async def test_metering_counts_calls_and_failures_of_both_colours() -> None:
    metering = Metering()
    pool = metering.of("pool")(Pool(), Manifest())
    other = metering.of("pool")(Pool(), Manifest("pdf"))
    assert [pool.take(), await pool.fetch(2), pool(3), other.take()] == [1, 2, -3, 1]
    for number in (-1, -2):
        with pytest.raises(ValueError, match="negative"):
            pool.take(number)
    with pytest.raises(ValueError, match="negative"):
        await pool.fetch(-1)
    hanging = asyncio.ensure_future(pool.fetch())
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.wait([hanging])
    assert {
        method: (counted(metering, method)["calls"], counted(metering, method)["failures"])
        for method in ("take", "fetch", "__call__")
    } == {
        "take": (3, 2),
        "fetch": (3, 2),
        "__call__": (1, 0),
    }
    assert counted(metering, "take", plugin="pdf")["calls"] == 1
    assert counted(metering, "fetch")["seconds"] >= counted(metering, "fetch")["slowest"] > 0


async def test_metering_waits_for_what_gives_a_coroutine() -> None:
    class Asks:
        async def __call__(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    metering = Metering()
    pool, asks = metering.of("pool")(Pool(), Manifest()), metering.of("asks")(Asks(), Manifest())
    with pytest.raises(ValueError, match="negative"):
        await pool.later(-1)
    assert await pool.later(2) == 2
    await asks(0.05)
    assert (counted(metering, "later")["calls"], counted(metering, "later")["failures"]) == (2, 1)
    assert counted(metering, "__call__", "asks")["seconds"] >= 0.05


def test_metering_tells_prometheus() -> None:
    metering = Metering()
    metering.of('a "name"')(Pool(), Manifest()).take()
    lines = metering.prometheus().splitlines()
    labels = r'kind="chunker",plugin="text",resource="a \"name\"",method="take"'
    assert f"dagstack_resource_failures_total{{{labels}}} 0" in lines
    assert f"dagstack_resource_call_duration_seconds_count{{{labels}}} 1" in lines
    assert f'dagstack_resource_call_duration_seconds_bucket{{{labels},le="+Inf"}} 1' in lines


def test_no_call_is_lost_between_threads() -> None:
    metering = Metering()
    pool = metering.of("pool")(Pool(), Manifest())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: [pool.take() for _ in range(200)], range(8)))
    assert counted(metering, "take")["calls"] == 1600


# --- rate limits


def test_a_burst_passes_and_the_rest_waits() -> None:
    strict = RateLimit(4, per=600, max_wait=0)(Pool(), Manifest())
    assert [strict.take() for _ in range(4)] == [1] * 4
    pool = RateLimit(4, per=0.2)(Pool(), Manifest())
    started = time.monotonic()
    assert [pool.take() for _ in range(8)] == [1] * 8
    assert time.monotonic() - started >= 0.2


def test_what_would_wait_too_long_is_refused() -> None:
    pool = RateLimit(2, per=600, max_wait=1)(Pool(), Manifest())
    pool.take()
    pool.take()
    message = (
        r"take\(\) is refused: the host allows the plugin chunker/text 2 calls in 600 s; .* 300 s, and at most 1 s"
    )
    with pytest.raises(RateLimited, match=message) as caught:
        pool.take()
    assert 299 < caught.value.retry_after <= 300
    with pytest.raises(RateLimited):  # a refusal takes no place
        pool.take()


async def test_coroutine_functions_wait_without_holding_up_the_loop() -> None:
    pool = RateLimit(1, per=0.1)(Pool(), Manifest())
    started = time.monotonic()
    assert await asyncio.gather(*(pool.fetch(n) for n in range(3))) == [0, 1, 2]
    assert time.monotonic() - started >= 0.2


async def test_callers_that_stop_waiting_hold_up_nobody() -> None:
    pool = RateLimit(1, per=0.2, max_wait=1)(Pool(), Manifest())
    pool.take()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.fetch(), 0.001)
    assert await pool.fetch(7) == 7


async def test_a_place_that_was_given_back_goes_to_one_caller() -> None:
    """Cancelled waiters in the middle of the row bring no two others together."""
    ran: list[float] = []

    class Notes:
        async def fetch(self) -> None:
            ran.append(time.monotonic())

    notes = RateLimit(20, per=1, burst=1, max_wait=5)(Notes(), Manifest())
    await notes.fetch()
    waiting = [asyncio.ensure_future(notes.fetch()) for _ in range(8)]
    await asyncio.sleep(0)
    for one in waiting[:4]:
        one.cancel()
    await asyncio.wait(waiting[:4])
    await asyncio.gather(*(notes.fetch() for _ in range(4)), *waiting[4:])
    assert len(ran) == 9
    assert ran[-1] - ran[0] >= 8 / 20  # as long as if nobody had given up


async def test_a_refusal_takes_no_place_that_was_given_back() -> None:
    pool = RateLimit(1, per=1, max_wait=1.6)(Pool(), Manifest())
    pool.take()
    waiting = asyncio.ensure_future(pool.fetch())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    with pytest.raises(RateLimited):
        pool.take()
    assert await pool.fetch(7) == 7  # in 1 s; the place after that would be too late


async def test_on_a_loop_other_methods_are_refused_rather_than_hold_it_up() -> None:
    pool = RateLimit(1, per=600)(Pool(), Manifest())
    pool.take()
    with pytest.raises(RateLimited, match="at most 0 s are waited here"):
        pool.take()


@pytest.mark.parametrize("shared", [False, True])
def test_each_plugin_has_a_limit_of_its_own_unless_they_share_one(shared: bool) -> None:
    limit = RateLimit(1, per=600, max_wait=0, shared=shared)
    limit(Pool(), Manifest("a")).take()
    other = limit(Pool(), Manifest("b"))
    if shared:
        with pytest.raises(RateLimited, match="all plugins together 1 calls"):
            other.take()
    else:
        assert other.take() == 1


def test_a_plugin_that_starts_again_has_no_fresh_limit() -> None:
    limit = RateLimit(1, per=600, max_wait=0)
    limit(Pool(), Manifest()).take()
    with pytest.raises(RateLimited):
        limit(Pool(), Manifest()).take()


def test_no_more_than_allowed_pass_between_threads() -> None:
    pool = RateLimit(50, per=600, max_wait=0)(Pool(), Manifest())
    passed: list[int] = []

    def work(_: int) -> None:
        for _ in range(20):
            with contextlib.suppress(RateLimited):
                passed.append(pool.take())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(passed) == 50


def test_the_pace_may_be_even_from_the_start() -> None:
    pool = RateLimit(100, per=600, burst=1, max_wait=0)(Pool(), Manifest())
    pool.take()
    with pytest.raises(RateLimited):
        pool.take()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"calls": 0}, "calls=0: give a whole number from 1"),
        ({"calls": 1.5}, "calls=1.5"),
        ({"per": 0}, "per=0: give seconds, more than 0"),
        ({"per": float("inf")}, "per=inf: give seconds"),
        ({"burst": 0}, "burst=0: give a whole number from 1"),
        ({"max_wait": -1}, "max_wait=-1: give seconds"),
    ],
)
def test_limits_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RateLimit(**{"calls": 1, **given})


# --- in a registry

MANIFEST = {
    "name": "stamp",
    "kind": "tool",
    "runtime": "in_process",
    "core_version": ">=0.1",
    "resources": {"required": ["clock", "http_client"], "optional": ["tmpdir"]},
}


class Stamp:
    def setup(self, ctx: Any) -> None:
        self.resources = ctx.resources

    def execute(self, args: Any) -> dict[str, str]:
        return {"at": self.resources.clock.now().isoformat()}


def test_plugins_get_the_decorated_and_the_host_the_bare_one() -> None:
    resources, metering = ResourceRegistry(), Metering()
    resources.register("clock", FrozenClock())
    resources.register("http_client", StubHttpClient())
    resources.decorate("clock", metering.of("clock"))
    resources.decorate("clock", RateLimit(2, per=600, max_wait=0))
    registry = PluginRegistry(resource_registry=resources)
    registry.register(Stamp, MANIFEST)
    with registry.running():
        stamp = registry.get_plugin("tool", "stamp")
        assert stamp.execute() == stamp.execute() == {"at": "2000-01-01T00:00:00+00:00"}
        with pytest.raises(RateLimited):
            stamp.execute()
        assert resources.get("clock").now() == FrozenClock().now()
    assert metering.as_dict()["tool"]["stamp"]["clock"]["now"]["calls"] == 2
    resources.close()


class HalfAClock:
    def __init__(self, bare: Clock, manifest: Any) -> None:
        self.now = bare.now


@pytest.mark.parametrize(
    ("name", "wrap", "message"),
    [
        (
            "clock",
            HalfAClock,
            r"decorates the resource 'clock' returned <.*HalfAClock.*, without monotonic_ns: hand",
        ),
        ("http_client", lambda bare, manifest: object(), "without get and post and put and delete"),
        ("tmpdir", lambda bare, manifest: bare.path, "without path and create_file and create_subdir"),
        ("clock", lambda bare, manifest: None, "what decorates the resource 'clock' returned None"),
    ],
)
def test_a_decorator_that_breaks_the_protocol_is_told(name: str, wrap: Any, message: str) -> None:
    resources = ResourceRegistry()
    resources.register("http_client", StubHttpClient())
    resources.decorate(name, wrap)
    lent = resources.lend(Manifest(resources=Wanted((name,))))
    with pytest.raises(TypeError, match=message) as caught:
        lent.get(name)
    assert f"while making the resource {name!r} for the plugin chunker/text" in caught.value.__notes__
    resources.close()


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (5, "what decorates the resource 'clock' is not callable: 5"),
        (Metering(), r"is not callable: <Metering; metering\.of\(name\) decorates a resource>"),
        (RateLimit, r"must take the resource and the plugin's manifest, its signature is \(calls"),
        (lambda bare: bare, r"its signature is \(bare\)"),
    ],
)
def test_what_cannot_decorate_is_refused_at_once(wrap: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ResourceRegistry().decorate("clock", wrap)


def test_a_class_is_no_standard_resource() -> None:
    resources = ResourceRegistry()
    with pytest.raises(TypeError, match=r"is the class InMemoryBlobStore: register one of its objects.*factory="):
        resources.register("blob_store", InMemoryBlobStore)
    resources.register("blob_store", factory=InMemoryBlobStore)
    resources.register("kinds_of_pages", Pool)  # of the host's own, a class may be what is meant


def test_startup_tells_which_resource_failed() -> None:
    resources = ResourceRegistry()
    resources.register("pool", factory=lambda: 1 / 0)
    registry = PluginRegistry(resource_registry=resources)

    class Reads(Stamp):
        def setup(self, ctx: Any) -> None:
            self.pool = ctx.resources.pool

    registry.register(Reads, {**MANIFEST, "resources": {"required": ["pool"]}})
    with registry.running():
        (status,) = registry.status()
        told = "ZeroDivisionError: division by zero, while making the resource 'pool' for the plugin tool/stamp"
        assert str(status.reason).endswith(told)


def test_a_misspelt_resource_is_told_with_what_there_is() -> None:
    registry = PluginRegistry()
    registry.register(Stamp, {**MANIFEST, "resources": {"required": ["clok", "http_client"]}})
    with registry.running():
        (status,) = registry.status()
        assert status.reason == (
            "requires the resources 'clok' (did you mean 'clock'?), 'http_client', which the host does not lend; "
            "it has clock, rng, tmpdir; resource_registry.register('clok', …) gives it"
        )


def test_what_the_host_lacked_is_not_the_decorators_fault() -> None:
    """The client of the documents has two of four methods, and may be decorated all the same."""

    class Partial:
        async def get(self, url: str) -> str:
            return url

    resources = ResourceRegistry()
    resources.register("http_client", Partial())
    resources.decorate("http_client", Metering().of("http_client"))
    lent = resources.lend(Manifest(resources=Wanted(("http_client",))))
    assert asyncio.run(lent.http_client.get("x")) == "x"  # type: ignore[comparison-overlap]


def test_a_decorated_folder_is_one() -> None:
    resources = ResourceRegistry()
    resources.decorate("tmpdir", Metering().of("tmpdir"))
    lent = resources.lend(Manifest(resources=Wanted(("tmpdir",))))
    assert isinstance(lent.tmpdir, ScopedTempDir)
    assert lent.tmpdir.create_file("a").parent == lent.tmpdir.path
    resources.close()
