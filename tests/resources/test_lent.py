from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import tomli

from dagstack_plugins import FrozenClock, LentResources, ResourceRegistry, ScopedTempDir
from dagstack_plugins.errors import PluginRegistryError, ResourceUndeclared

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.frozen
class Wanted:
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@attrs.frozen
class Manifest:
    kind: str = "chunker"
    name: str = "text"
    resources: Wanted = Wanted()
    file: Path | None = None


@pytest.fixture
def registry() -> Iterator[ResourceRegistry]:
    made = ResourceRegistry()
    yield made
    made.close()


def lend(registry: ResourceRegistry, *required: str, optional: tuple[str, ...] = (), file: str = "") -> LentResources:
    return registry.lend(Manifest(resources=Wanted(required, optional), file=Path(file) if file else None))


def test_both_ways_of_reading_give_the_same(registry: ResourceRegistry) -> None:
    clock = FrozenClock()
    registry.register("clock", clock)
    lent = lend(registry, "clock", "rng")
    assert lent.clock is lent.get("clock") is clock
    assert lent.get("rng") is lent.rng is registry.get("rng")


def test_any_name_can_be_read_by_get(registry: ResourceRegistry) -> None:
    registry.register("my-pool", "pool")
    assert lend(registry, "my-pool").get("my-pool") == "pool"


def test_it_tells_its_names(registry: ResourceRegistry) -> None:
    lent = lend(registry, "rng", "clock", optional=("absent", "clock"))
    assert list(lent) == ["rng", "clock", "absent"]
    assert "clock" in lent
    assert "tmpdir" not in lent
    assert {"rng", "clock", "absent", "get"} <= set(dir(lent))
    assert repr(lent) == "<resources of chunker/text: rng, clock, absent>"


def test_an_optional_resource_that_is_absent_reads_none(registry: ResourceRegistry) -> None:
    lent = lend(registry, optional=("cache",))
    assert lent.cache is None
    assert lent.get("cache") is None
    registry.register("cache", "here now")
    assert lent.cache == "here now"


def test_an_undeclared_resource_is_refused_even_if_the_host_has_it(registry: ResourceRegistry) -> None:
    lent = lend(registry, "rng")
    for read in (lambda: lent.clock, lambda: lent.get("clock")):
        with pytest.raises(ResourceUndeclared) as caught:
            read()
        error = caught.value
        assert (error.resource, error.kind, error.plugin) == ("clock", "chunker", "text")
        assert "chunker/text reads the resource 'clock', which its manifest does not declare" in str(error)
    assert not hasattr(lent, "clock")


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("", ["plugin", "resources"]),
        ("text/dagstack.toml", ["plugin", "resources"]),
        ("text/pyproject.toml", ["tool", "dagstack", "plugin", "resources"]),
    ],
)
def test_the_error_says_what_to_write_into_the_manifest(registry: ResourceRegistry, file: str, path: list[str]) -> None:
    with pytest.raises(ResourceUndeclared) as caught:
        _ = lend(registry, "rng", optional=("cache",), file=file).clock
    document: Any = tomli.loads(str(caught.value).partition("\n")[2])
    for key in path:
        document = document[key]
    assert document == {"required": ["rng", "clock"]}
    assert str(Path(file)) in str(caught.value)


def test_the_error_says_what_to_write_into_a_json_manifest(registry: ResourceRegistry) -> None:
    with pytest.raises(ResourceUndeclared, match=r'"resources": \{"required": \["rng", "clock"\]\}$'):
        _ = lend(registry, "rng", file="text/dagstack.json").clock


def test_a_slip_of_the_pen_is_told(registry: ResourceRegistry) -> None:
    with pytest.raises(ResourceUndeclared, match=r"did you mean 'clock'\?"):
        _ = lend(registry, "clock").clokc


def test_a_required_resource_that_is_absent_is_told(registry: ResourceRegistry) -> None:
    with pytest.raises(PluginRegistryError, match="requires the resource 'postgres', which the host has not"):
        _ = lend(registry, "postgres").postgres


def test_pythons_own_lookups_are_no_resources(registry: ResourceRegistry) -> None:
    lent = lend(registry)
    with pytest.raises(AttributeError) as caught:
        _ = lent.__wrapped__
    assert not isinstance(caught.value, ResourceUndeclared)
    assert not hasattr(lent, "_repr_html_")


def test_each_plugin_has_a_tmpdir_of_its_own_that_goes_with_it(registry: ResourceRegistry) -> None:
    one, other = lend(registry, "tmpdir"), lend(registry, "tmpdir")
    one_path, other_path = one.tmpdir.path, other.tmpdir.path
    assert one.tmpdir is one.tmpdir
    assert one_path != other_path
    assert "chunker-text" in one_path.name
    one.tmpdir.create_file("page")
    one.release()
    assert not one_path.exists()
    assert other_path.exists()


def test_nothing_is_made_for_a_plugin_that_reads_nothing(registry: ResourceRegistry) -> None:
    made: list[int] = []
    registry.register("own", factory=lambda: made.append(1), scope="plugin")
    lent = lend(registry, "own", "tmpdir")
    assert "own" in lent
    lent.release()
    assert made == []


def test_release_closes_the_plugins_own_backwards_and_leaves_the_hosts(registry: ResourceRegistry) -> None:
    log: list[str] = []

    class Closable:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            log.append(self.name)
            if self.name == "b":
                raise OSError("stuck")

    for name in "abc":
        registry.register(name, factory=lambda name=name: Closable(name), scope="plugin")
    registry.register("shared", factory=lambda: Closable("shared"))
    lent = lend(registry, "a", "b", "c", "shared")
    assert [lent.get(name).name for name in ("b", "shared", "c", "a")] == ["b", "shared", "c", "a"]
    with pytest.raises(ExceptionGroup, match="resources of the plugin chunker/text failed to close") as caught:
        lent.release()
    assert log == ["a", "c", "b"]
    assert caught.value.exceptions[0].__notes__ == ["while closing the resource 'b'"]
    lent.release()
    assert log == ["a", "c", "b"]


@pytest.mark.parametrize("name", ["clock", "tmpdir", "cache", "rng"])
def test_nothing_can_be_read_after_release(registry: ResourceRegistry, name: str) -> None:
    lent = lend(registry, "clock", "tmpdir", "rng", optional=("cache",))
    assert lent.clock
    lent.release()
    with pytest.raises(PluginRegistryError, match=f"reads the resource '{name}' after its teardown") as caught:
        lent.get(name)
    assert caught.value.plugin == "text"


class AsyncSession:
    def __init__(self) -> None:
        self.open = True

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.open = False


async def test_arelease_awaits_what_must_be_awaited(registry: ResourceRegistry) -> None:
    registry.register("session", factory=AsyncSession, scope="plugin")
    lent = lend(registry, "session", "tmpdir")
    session, path = lent.session, lent.tmpdir.path
    with pytest.raises(PluginRegistryError, match=r"close session, .*`await resources\.arelease\(\)`"):
        lent.release()
    assert lent.session.open
    assert path.exists()
    await lent.arelease()
    assert not session.open
    assert not path.exists()


def test_release_outside_a_loop_runs_what_must_be_awaited(registry: ResourceRegistry) -> None:
    registry.register("session", factory=AsyncSession, scope="plugin")
    lent = lend(registry, "session")
    session = lent.session
    lent.release()
    assert not session.open


def test_sixteen_threads_of_one_plugin_make_one(registry: ResourceRegistry) -> None:
    def wrap(bare: ScopedTempDir, manifest: Any) -> list[Path]:
        time.sleep(0.02)
        return [bare.path]

    registry.register("folder", factory=ScopedTempDir, scope="plugin")
    registry.decorate("folder", wrap)
    lent = lend(registry, "folder")
    barrier = threading.Barrier(16)

    def read(_: int) -> list[Path]:
        barrier.wait()
        return lent.get("folder")  # type: ignore[no-any-return]

    with ThreadPoolExecutor(16) as pool:
        first, *others = pool.map(read, range(16))
    assert all(other is first for other in others)


def test_plugins_do_not_wait_for_each_others_own_resources(registry: ResourceRegistry) -> None:
    meeting = threading.Barrier(2)
    registry.register("own", factory=lambda: meeting.wait(timeout=10) + 1, scope="plugin")
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda lent: lent.own, [lend(registry, "own"), lend(registry, "own")])) == [1, 2]


def test_what_was_dropped_unreleased_goes_with_the_registry() -> None:
    registry = ResourceRegistry()
    registry.register("session", factory=AsyncSession, scope="plugin")
    session, path = lend(registry, "session").session, lend(registry, "tmpdir").tmpdir.path
    gc.collect()
    assert session.open
    assert path.exists()
    registry.close()
    assert not session.open
    assert not path.exists()


def test_what_was_released_is_forgotten(registry: ResourceRegistry) -> None:
    registry.register("session", factory=AsyncSession, scope="plugin")
    lent = lend(registry, "session")
    gone = weakref.ref(lent), weakref.ref(lent.session)
    lent.release()
    del lent
    gc.collect()
    assert [one() for one in gone] == [None, None]
