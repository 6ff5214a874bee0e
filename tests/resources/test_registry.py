from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, precondition, rule

from dagstack_plugins import (
    FrozenClock,
    LentResources,
    RandomRng,
    ResourceRegistry,
    ScopedTempDir,
    SystemClock,
)
from dagstack_plugins.errors import PluginRegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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


def wanting(*names: str, plugin: str = "text") -> Manifest:
    return Manifest(name=plugin, resources=Wanted(names))


class Closable:
    """Writes its name into a list when it is closed."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def close(self) -> None:
        self.log.append(self.name)


class AsyncClosable(Closable):
    async def close(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.log.append(self.name)


class Failing:
    def __init__(self, text: str = "cannot close") -> None:
        self.text = text

    def close(self) -> None:
        raise OSError(self.text)


@pytest.fixture
def registry() -> Iterator[ResourceRegistry]:
    made = ResourceRegistry()
    yield made
    made.close()


# --- names and values


def test_a_registry_starts_with_the_standard_resources(registry: ResourceRegistry) -> None:
    assert registry.names() == ["clock", "rng", "tmpdir"]
    assert isinstance(registry.get("clock"), SystemClock)
    assert isinstance(registry.get("rng"), RandomRng)
    assert isinstance(registry.lend(wanting("tmpdir")).tmpdir, ScopedTempDir)


def test_a_registered_value_is_handed_out_as_it_is(registry: ResourceRegistry) -> None:
    pool = object()
    registry.register("postgres", pool)
    assert registry.get("postgres") is pool
    assert "postgres" in registry.names()


@pytest.mark.parametrize("value", [0, "", False, [], {}])
def test_values_that_count_as_false_are_values(registry: ResourceRegistry, value: object) -> None:
    registry.register("odd", value)
    assert registry.get("odd") is value
    assert registry.lend(wanting("odd")).odd is value


def test_none_is_no_resource(registry: ResourceRegistry) -> None:
    with pytest.raises(TypeError, match="'postgres' is None, which stands for an absent one: give it, or a factory="):
        registry.register("postgres", None)
    with pytest.raises(TypeError, match="is None"):
        registry.register("postgres")  # type: ignore[call-overload]
    registry.register("later", factory=lambda: None)
    with pytest.raises(TypeError, match="'later' is None"):
        registry.get("later")


def test_a_forgotten_await_is_told(registry: ResourceRegistry) -> None:
    async def make_pool() -> object:
        return object()

    with pytest.raises(TypeError, match=r"await it first, as in register\('pool', await make\(\)\)"):
        registry.register("pool", make_pool())
    with pytest.raises(TypeError, match="coroutine function"):
        registry.register("pool", factory=make_pool)
    registry.register("pool", factory=lambda: make_pool())
    with pytest.raises(TypeError, match="coroutine"):
        registry.get("pool")


@pytest.mark.parametrize("name", ["", "_private", "__dict__", "get", "release", "arelease", 5])
def test_names_that_plugins_could_not_read_are_refused(registry: ResourceRegistry, name: Any) -> None:
    with pytest.raises(ValueError, match="a resource"):
        registry.register(name, object())


def test_a_second_registration_is_refused(registry: ResourceRegistry) -> None:
    registry.register("postgres", "first")
    with pytest.raises(PluginRegistryError, match="'postgres' is registered already: choose another name"):
        registry.register("postgres", "second")
    assert registry.get("postgres") == "first"


def test_an_unknown_name_is_told_with_those_there_are(registry: ResourceRegistry) -> None:
    with pytest.raises(PluginRegistryError, match=r"'clok' \(did you mean 'clock'\?\); there are clock, rng, tmpdir"):
        registry.get("clok")


def test_value_and_factory_exclude_each_other(registry: ResourceRegistry) -> None:
    with pytest.raises(TypeError, match="both as a value and as a factory"):
        registry.register("x", 1, factory=lambda: 2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="with scope='plugin' give a factory"):
        registry.register("x", 1, scope="plugin")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="'global', it can be 'host' or 'plugin'"):
        registry.register("x", factory=object, scope="global")  # type: ignore[call-overload]


# --- replacing the standard ones


@pytest.mark.parametrize("name", ["clock", "rng", "tmpdir"])
def test_a_standard_resource_can_be_replaced_once(registry: ResourceRegistry, name: str) -> None:
    mine = object()
    registry.register(name, mine)
    assert registry.get(name) is mine
    with pytest.raises(PluginRegistryError, match="registered already"):
        registry.register(name, object())


@pytest.mark.parametrize("name", ["clock", "rng", "tmpdir"])
def test_a_standard_resource_in_use_cannot_be_replaced(registry: ResourceRegistry, name: str) -> None:
    used = registry.lend(wanting(name)).get(name)
    assert used is not None
    with pytest.raises(PluginRegistryError, match=f"{name!r} is in use already"):
        registry.register(name, object())


def test_lending_alone_is_no_use(registry: ResourceRegistry) -> None:
    lent = registry.lend(wanting("clock"))
    clock = FrozenClock()
    registry.register("clock", clock)
    assert lent.clock is clock


# --- factories


def test_a_factory_runs_once_and_only_when_needed(registry: ResourceRegistry) -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    registry.register("pool", factory=make)
    assert made == []
    one, other = registry.lend(wanting("pool")), registry.lend(wanting("pool", plugin="other"))
    assert one.pool is other.pool is registry.get("pool") is made[0]
    assert len(made) == 1


def test_sixteen_threads_make_one(registry: ResourceRegistry) -> None:
    calls: list[int] = []
    barrier = threading.Barrier(16)

    def make() -> object:
        time.sleep(0.05)
        calls.append(1)
        return object()

    registry.register("slow", factory=make)

    def read(number: int) -> object:
        barrier.wait()
        return registry.lend(wanting("slow")).slow if number % 2 else registry.get("slow")

    with ThreadPoolExecutor(16) as pool:
        read_ones = set(map(id, pool.map(read, range(16))))
    assert len(calls) == len(read_ones) == 1


def plain() -> tuple[str, object]:
    return "nothing", None


def positional(whoever: Any) -> tuple[str, object]:
    return "positional", whoever


def named(size: int = 3, *, manifest: Any) -> tuple[str, object]:
    return f"named {size}", manifest


def defaulted(size: object = 3) -> tuple[str, object]:
    return f"defaulted {size}", None


class Made:
    def __init__(self, manifest: Any = None) -> None:
        self.manifest = manifest

    def __eq__(self, other: object) -> bool:
        return other == ("class", self.manifest)

    __hash__ = None  # type: ignore[assignment]


MANIFEST = wanting("thing")


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (plain, ("nothing", None)),
        (positional, ("positional", MANIFEST)),
        (named, ("named 3", MANIFEST)),
        (defaulted, ("defaulted 3", None)),
        (Made, ("class", MANIFEST)),
        (dict, {}),
        (lambda *args, **kwargs: (args, kwargs), ((), {})),
    ],
)
def test_a_plugins_factory_gets_the_manifest_if_it_asks(
    registry: ResourceRegistry, factory: Callable[..., object], expected: object
) -> None:
    registry.register("thing", factory=factory, scope="plugin")
    assert registry.lend(MANIFEST).thing == expected


def test_a_hosts_factory_is_made_for_nobody_in_particular(registry: ResourceRegistry) -> None:
    registry.register("thing", factory=Made)
    assert registry.lend(MANIFEST).thing == ("class", None)
    with pytest.raises(TypeError, match=r'must take no argument, its signature is \(whoever.*add scope="plugin"'):
        registry.register("other", factory=positional)


@pytest.mark.parametrize("factory", [lambda one, two: one, lambda *, other: other])
def test_a_factory_that_cannot_be_called_is_refused_at_once(
    registry: ResourceRegistry, factory: Callable[..., object]
) -> None:
    for scope in ("host", "plugin"):
        with pytest.raises(TypeError, match="the factory of the resource 'x' must take"):
            registry.register("x", factory=factory, scope=scope)
    with pytest.raises(TypeError, match="not callable: 5"):
        registry.register("x", factory=5)  # type: ignore[call-overload]
    assert "x" not in registry.names()


def test_a_failing_factory_is_asked_again(registry: ResourceRegistry) -> None:
    attempts = iter([ConnectionError("refused"), "pool"])

    def make() -> object:
        if isinstance(got := next(attempts), Exception):
            raise got
        return got

    registry.register("pool", factory=make)
    lent = registry.lend(wanting("pool"))
    with pytest.raises(ConnectionError, match="refused") as caught:
        _ = lent.pool
    assert caught.value.__notes__ == ["while making the resource 'pool' for the plugin chunker/text"]
    assert lent.pool == "pool"


def test_get_names_the_resource_that_failed(registry: ResourceRegistry) -> None:
    registry.register("inner", factory=lambda: 1 / 0)
    registry.register("outer", factory=lambda: registry.get("inner"))
    with pytest.raises(ZeroDivisionError) as caught:
        registry.get("outer")
    assert caught.value.__notes__ == ["while making the resource 'inner'", "while making the resource 'outer'"]


def test_a_factory_may_use_other_resources(registry: ResourceRegistry) -> None:
    registry.register("outer", factory=lambda: ["outer", registry.get("inner")])
    registry.register("inner", factory=lambda: "inner")
    assert registry.get("outer") == ["outer", "inner"]


def test_resources_that_need_each_other_are_found_out(registry: ResourceRegistry) -> None:
    registry.register("a", factory=lambda: registry.get("b"))
    registry.register("b", factory=lambda: registry.get("c"))
    registry.register("c", factory=lambda: registry.get("b"))
    with pytest.raises(PluginRegistryError, match="'b' needs itself to be made: b -> c -> b"):
        registry.get("a")


def test_the_host_has_none_of_what_each_plugin_has(registry: ResourceRegistry) -> None:
    with pytest.raises(PluginRegistryError, match=r"'tmpdir' is made for each plugin.*ctx\.resources\.tmpdir"):
        registry.get("tmpdir")


# --- decorating


def test_plugins_get_the_decorated_resource_and_get_the_bare_one(registry: ResourceRegistry) -> None:
    registry.register("greeting", "hello")
    registry.decorate("greeting", lambda bare, manifest: f"{bare} {manifest.name}")
    registry.decorate("greeting", lambda bare, manifest: f"<{bare}>")
    assert registry.lend(wanting("greeting")).greeting == "<hello text>"
    assert registry.lend(wanting("greeting", plugin="pdf")).greeting == "<hello pdf>"
    assert registry.get("greeting") == "hello"


def test_decoration_happens_once_for_each_plugin(registry: ResourceRegistry) -> None:
    registry.register("greeting", "hello")
    registry.decorate("greeting", lambda bare, manifest: [bare])
    lent = registry.lend(wanting("greeting"))
    assert lent.greeting is lent.greeting is lent.get("greeting")
    assert registry.lend(wanting("greeting")).greeting is not lent.greeting


def test_a_decoration_outlives_the_replacing_of_a_standard_resource(registry: ResourceRegistry) -> None:
    class Told:
        def __init__(self, bare: Any, manifest: Any) -> None:
            self.now, self.monotonic_ns = bare.now, bare.monotonic_ns
            self.about = bare, manifest.name

    registry.decorate("clock", Told)
    clock = FrozenClock()
    registry.register("clock", clock)
    assert registry.lend(wanting("clock")).get("clock").about == (clock, "text")


def test_a_failing_decoration_makes_no_second_resource(registry: ResourceRegistry) -> None:
    log: list[str] = []
    made = iter("abc")
    attempts = iter([True, False])

    def wrap(bare: Closable, manifest: Any) -> Closable:
        if next(attempts):
            raise RuntimeError("not yet")
        return bare

    registry.register("own", factory=lambda: Closable(next(made), log), scope="plugin")
    registry.decorate("own", wrap)
    lent = registry.lend(wanting("own"))
    with pytest.raises(RuntimeError) as caught:
        _ = lent.own
    assert caught.value.__notes__ == ["while making the resource 'own' for the plugin chunker/text"]
    assert lent.own.name == "a"
    lent.release()
    assert log == ["a"]


def test_decorating_an_unknown_name_or_with_nothing_is_an_error(registry: ResourceRegistry) -> None:
    with pytest.raises(PluginRegistryError, match="no resource is called 'clok'"):
        registry.decorate("clok", lambda bare, manifest: bare)
    registry.decorate("clock", lambda bare, manifest: None)
    with pytest.raises(TypeError, match="decorates the resource 'clock' returned None"):
        _ = registry.lend(wanting("clock")).clock


# --- lending


def test_missing_tells_what_is_required_and_absent(registry: ResourceRegistry) -> None:
    manifest = Manifest(resources=Wanted(required=("zeta", "clock", "alpha"), optional=("other",)))
    assert registry.missing(manifest) == ["zeta", "alpha"]
    registry.register("zeta", factory=object)
    assert registry.missing(manifest) == ["alpha"]


# --- closing


def test_closing_goes_backwards_through_what_was_made() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("lazy", factory=lambda: Closable("lazy", log))
    registry.register("early", Closable("early", log))
    registry.register("unused", factory=lambda: Closable("unused", log))
    registry.register("late", Closable("late", log))
    registry.get("lazy")
    registry.close()
    assert log == ["lazy", "late", "early"]
    registry.close()
    assert log == ["lazy", "late", "early"]


def test_closing_releases_what_plugins_still_hold_first() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("own", factory=lambda manifest: Closable(manifest.name, log), scope="plugin")
    registry.register("shared", factory=lambda: Closable("shared", log))
    lent = [registry.lend(wanting("own", "shared", plugin=name)) for name in ("one", "two", "three")]
    for each in lent:
        assert each.own
        assert each.shared
    lent[1].release()
    assert log == ["two"]
    registry.close()
    assert log == ["two", "three", "one", "shared"]
    with pytest.raises(PluginRegistryError, match="after its teardown"):
        _ = lent[0].own


def test_all_failures_are_told_at_the_end_and_all_others_closed() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("first", Closable("first", log))
    registry.register("bad", Failing("one"))
    registry.register("worse", Failing("two"))
    registry.register("own", factory=lambda: Failing("three"), scope="plugin")
    lent = registry.lend(wanting("own"))
    assert lent.own
    with pytest.raises(ExceptionGroup, match="resources failed to close") as caught:
        registry.close()
    assert log == ["first"]
    of_plugin, *of_host = caught.value.exceptions
    assert isinstance(of_plugin, ExceptionGroup)
    assert "chunker/text" in str(of_plugin)
    assert [str(error) for error in (*of_plugin.exceptions, *of_host)] == ["three", "two", "one"]
    assert of_host[0].__notes__ == ["while closing the resource 'worse'"]
    registry.close()


async def test_aclose_closes_both_sorts() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("sync", Closable("sync", log))
    registry.register("async", AsyncClosable("async", log))
    registry.register("own", factory=lambda: AsyncClosable("own", log), scope="plugin")
    lent = registry.lend(wanting("own"))
    assert lent.own
    await registry.aclose()
    assert log == ["own", "async", "sync"]
    await registry.aclose()
    registry.close()
    assert len(log) == 3


async def test_close_in_a_loop_refuses_what_must_be_awaited_and_closes_nothing() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("pool", AsyncClosable("pool", log))
    registry.register("plain", Closable("plain", log))
    registry.register("own", factory=lambda: AsyncClosable("own", log), scope="plugin")
    lent = registry.lend(wanting("own"))
    assert lent.own
    with pytest.raises(PluginRegistryError, match=r"close pool, own, .*write `await registry\.aclose\(\)`"):
        registry.close()
    assert log == []
    assert registry.get("plain")
    await registry.aclose()
    assert log == ["own", "plain", "pool"]


def test_close_outside_a_loop_runs_what_must_be_awaited() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("pool", AsyncClosable("pool", log))
    registry.register("plain", Closable("plain", log))
    registry.close()
    assert log == ["plain", "pool"]


async def test_close_in_a_loop_is_fine_where_nothing_must_be_awaited() -> None:
    log: list[str] = []
    registry = ResourceRegistry()
    registry.register("plain", Closable("plain", log))
    registry.close()
    assert log == ["plain"]


class Both:
    def __init__(self) -> None:
        self.log: list[str] = []

    def close(self) -> None:
        self.log.append("close")

    async def aclose(self) -> None:
        self.log.append("aclose")


class AsyncBoth(Both):
    async def close(self) -> None:  # type: ignore[override]
        self.log.append("old")


@pytest.mark.parametrize(("resource", "blocking"), [(Both, "close"), (AsyncBoth, "aclose")])
def test_each_form_picks_the_closer_that_suits_it(resource: type[Both], blocking: str) -> None:
    one, other = resource(), resource()
    registry = ResourceRegistry()
    registry.register("x", one)
    registry.close()
    registry = ResourceRegistry()
    registry.register("x", other)
    asyncio.run(registry.aclose())
    assert (one.log, other.log) == ([blocking], ["aclose"])


def test_a_closer_that_hides_its_coroutine_is_told() -> None:
    class Hiding:
        def close(self) -> object:
            return asyncio.sleep(0)

    registry = ResourceRegistry()
    registry.register("hiding", Hiding())
    with pytest.raises(ExceptionGroup) as caught:
        registry.close()
    assert "await aclose()" in str(caught.value.exceptions[0])
    registry = ResourceRegistry()
    registry.register("hiding", Hiding())
    asyncio.run(registry.aclose())


def test_modules_and_classes_are_not_closed() -> None:
    registry = ResourceRegistry()
    registry.register("system", os)
    registry.register("type", Closable)
    registry.close()


def test_an_interrupted_close_can_be_taken_up_again() -> None:
    log: list[str] = []
    registry = ResourceRegistry()

    class Interrupting:
        def close(self) -> None:
            raise KeyboardInterrupt

    registry.register("plain", Closable("plain", log))
    registry.register("interrupting", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        registry.close()
    registry.close()
    assert log == ["plain"]


def test_a_closed_registry_lends_nothing() -> None:
    registry = ResourceRegistry()
    registry.close()
    uses: list[Callable[[], object]] = [
        lambda: registry.get("clock"),
        lambda: registry.register("x", 1),
        lambda: registry.lend(wanting("clock")),
        lambda: registry.decorate("clock", lambda bare, manifest: bare),
    ]
    for use in uses:
        with pytest.raises(PluginRegistryError, match="closed: make a new one"):
            use()


def test_a_registry_dropped_unclosed_warns_if_there_was_something_to_close() -> None:
    registry = ResourceRegistry()
    registry.register("pool", Closable("pool", []))
    with pytest.warns(ResourceWarning, match=r"dropped unclosed with pool: call close\(\)"):
        del registry


def test_a_registry_dropped_unclosed_warns_of_what_plugins_hold() -> None:
    registry = ResourceRegistry()
    registry.register("own", factory=lambda: Closable("own", []), scope="plugin")
    assert registry.lend(wanting("own")).own
    with pytest.warns(ResourceWarning, match="dropped unclosed with own"):
        del registry


def test_a_registry_with_nothing_to_close_may_be_dropped() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry = ResourceRegistry()
        registry.register("plain", object())
        registry.register("lazy", factory=lambda: Closable("lazy", []))
        assert registry.get("clock")
        assert registry.lend(wanting("rng")).rng
        del registry
        gc.collect()
    assert caught == []


# --- all of it against a model

NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])


class RegistryAgainstAModel(RuleBasedStateMachine):
    """What is read is what was registered; what was made is closed once, backwards, plugins before the host."""

    lendings = Bundle("lendings")

    def __init__(self) -> None:
        super().__init__()
        self.registry = ResourceRegistry()
        self.scopes: dict[str, str] = {}
        self.host: dict[str, str] = {}  # the labels of what should be there, in the order in which it came
        self.own: dict[int, dict[str, str]] = {}
        self.released: set[int] = set()
        self.lent: list[LentResources] = []
        self.closed: list[str] = []

    @rule(name=NAMES, how=st.sampled_from(["value", "host", "plugin"]))
    def register(self, name: str, how: Any) -> None:
        def make(manifest: Any = None) -> Closable:
            return Closable(f"{manifest.name}:{name}" if manifest else name, self.closed)

        def enter() -> None:
            if how == "value":
                self.registry.register(name, make())
            else:
                self.registry.register(name, factory=make, scope=how)

        if name in self.scopes:
            with pytest.raises(PluginRegistryError):
                enter()
            return
        enter()
        self.scopes[name] = "plugin" if how == "plugin" else "host"
        if how == "value":
            self.host[name] = name

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        if self.scopes.get(name) != "host":
            with pytest.raises(PluginRegistryError):
                self.registry.get(name)
            return
        assert self.registry.get(name).name == self.host.setdefault(name, name)

    @rule(target=lendings, names=st.sets(NAMES))
    def lend(self, names: set[str]) -> int:
        number = len(self.lent)
        manifest = Manifest(name=f"p{number}", resources=Wanted(optional=tuple(sorted(names))))
        self.lent.append(self.registry.lend(manifest))
        self.own[number] = {}
        return number

    @rule(number=lendings, name=NAMES)
    def read(self, number: int, name: str) -> None:
        lent = self.lent[number]
        if name not in lent or number in self.released:
            with pytest.raises(PluginRegistryError):
                lent.get(name)
        elif name not in self.scopes:
            assert lent.get(name) is None
        elif self.scopes[name] == "host":
            assert lent.get(name).name == self.host.setdefault(name, name)
        else:
            assert lent.get(name).name == self.own[number].setdefault(name, f"p{number}:{name}")

    @rule(number=lendings)
    def release(self, number: int) -> None:
        before = list(self.closed)
        self.lent[number].release()
        assert self.closed == before + list(self.own[number].values())[::-1]
        self.own[number] = {}
        self.released.add(number)

    @precondition(lambda self: self.host)
    @rule()
    def nothing_of_the_hosts_is_closed_early(self) -> None:
        assert not set(self.host) & set(self.closed)

    def teardown(self) -> None:
        before = list(self.closed)
        self.registry.close()
        of_plugins = [label for own in reversed(self.own.values()) for label in reversed(own.values())]
        assert self.closed == before + of_plugins + list(self.host.values())[::-1]


TestRegistryAgainstAModel = RegistryAgainstAModel.TestCase


def test_a_slow_factory_holds_up_only_those_who_want_it(registry: ResourceRegistry) -> None:
    go_on = threading.Event()
    registry.register("slow", factory=lambda: go_on.wait(20) and "made")
    registry.register("quick", factory=dict)
    made: list[Any] = []
    threads = [threading.Thread(target=lambda: made.append(registry.get("slow")), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert registry.get("quick") == {}
    registry.register("later", 5)
    assert made == []
    go_on.set()
    for thread in threads:
        thread.join(timeout=20)
    assert made == ["made"] * 3


def test_a_circle_that_two_threads_close_is_found_out(registry: ResourceRegistry) -> None:
    both = threading.Barrier(2)
    asked: set[str] = set()

    def needs(other: str) -> Any:
        if other not in asked:  # who is asked again is alone
            asked.add(other)
            both.wait(10)
        return registry.get(other)

    registry.register("a", factory=lambda: needs("b"))
    registry.register("b", factory=lambda: needs("a"))
    failures: list[Exception] = []

    def ask(name: str) -> None:
        try:
            registry.get(name)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert any("needs itself to be made" in str(error) for error in failures)


async def test_an_event_loop_does_not_wait_for_ever(
    registry: ResourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagstack_plugins.resources.offers._PATIENCE", 0.02)
    begun, go_on = threading.Event(), threading.Event()

    def make() -> str:
        begun.set()
        go_on.wait(20)
        return "made"

    registry.register("slow", factory=make)
    thread = threading.Thread(target=registry.get, args=("slow",), daemon=True)
    thread.start()
    begun.wait(10)
    with pytest.raises(PluginRegistryError, match="plain `def setup`"):
        registry.get("slow")
    go_on.set()
    thread.join(10)
    assert registry.get("slow") == "made"
