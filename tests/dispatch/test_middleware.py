"""Middleware goes round each call of each plugin that its manifest names."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import STOP_CHAIN, DispatchMismatch, PayloadInvalid, PluginError

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CLASSES = ["singleton", "broadcast_collect", "broadcast_notify", "chain", "capability"]


@pytest.fixture
def host(new_host: Any) -> Any:
    return new_host({"work": {"input_schema": NUMBER, "output_schema": NUMBER}})


def wrap(host: Any, name: str, **given: Any) -> None:
    """Register a middleware: what can be called is a method of its class, all else a field of its manifest."""
    methods = {key: value for key, value in given.items() if callable(value)}
    fields = {key: value for key, value in given.items() if not callable(value)}
    manifest = {"name": name, "kind": "horizontal_middleware", "core_version": ">=0.1", "runtime": "in_process"}
    host.registry.register(type(name, (), methods), manifest | fields)


def logging_to(log: list[Any], name: str, colour: str = "plain", **instead: Any) -> dict[str, Callable[..., Any]]:
    """The three methods of a middleware that writes down what it sees; ``instead`` says what each of them does."""

    def made(hook: str, changing: str) -> Callable[..., Any]:
        def plain(self: Any, ctx: Any, **seen: Any) -> Any:
            log.append(f"{name} {hook} {seen['kind']}/{seen['name']}.{seen['hook']}")
            then = instead.get(hook)
            return then(seen[changing]) if then is not None else None

        async def coroutine(self: Any, ctx: Any, **seen: Any) -> Any:
            await asyncio.sleep(0)
            return plain(self, ctx, **seen)

        return coroutine if colour == "coroutine" else plain

    return {"before": made("before", "args"), "after": made("after", "result"), "on_error": made("on_error", "error")}


def fails(value: Any) -> Any:
    raise LookupError(value if value == "plugin" else "from middleware")


# Order


@pytest.mark.parametrize("plugin_colour", ["plain", "coroutine"])
@pytest.mark.parametrize("colour", ["plain", "coroutine"])
@pytest.mark.parametrize("dispatch", CLASSES)
def test_the_highest_priority_is_outermost_in_every_class_and_colour(
    new_host: Any, dispatch: str, colour: str, plugin_colour: str
) -> None:
    host, log = new_host({"work": {"dispatch": dispatch}}), []

    def plain(self: Any, payload: Any) -> Any:
        log.append("work")
        return payload

    async def coroutine(self: Any, payload: Any) -> Any:
        return plain(self, payload)

    host.add("p", work=plain if plugin_colour == "plain" else coroutine, fallback=True)
    wrap(host, "inner", priority=1, **logging_to(log, "inner", colour))
    wrap(host, "outer", priority=1000, **logging_to(log, "outer", colour))
    expected = [
        "outer before greeter/p.work",
        "inner before greeter/p.work",
        "work",
        "inner after greeter/p.work",
        "outer after greeter/p.work",
    ]
    with host.registry.running() as registry:
        registry.kind("greeter").sync.work(n=1)
        assert log == expected
        log.clear()
        asyncio.run(registry.kind("greeter").aio.work(n=1))
        assert log == expected


async def test_it_goes_round_each_plugin_of_a_broadcast_and_each_link_of_a_chain(new_host: Any) -> None:
    host, log = new_host({"hear": {"dispatch": "broadcast_collect"}, "pass_on": {"dispatch": "chain"}}), []
    for name in ("a", "b"):
        host.add(name, hear=lambda self, payload: 1, pass_on=lambda self, payload: payload)
    wrap(host, "mw", **logging_to(log, "mw"))
    async with host.registry.running():
        host.call("hear", n=1)
        host.call("pass_on", n=1)
    names = [(line.split()[1], line.split()[2]) for line in log]
    assert names == [
        (when, f"greeter/{plugin}.{hook}")
        for hook in ("hear", "pass_on")
        for plugin in ("a", "b")
        for when in ("before", "after")
    ]


@pytest.mark.parametrize(
    ("chain_wrap", "wrapped"),
    [
        (None, True),
        ({"kinds": ["greeter"]}, True),
        ({"kinds": ["tool"]}, False),
        ({"hooks": ["work"]}, True),
        ({"hooks": ["play", "rest"]}, False),
        ({"kinds": ["*"], "hooks": ["work"]}, True),
        ({"kinds": ["greeter"], "hooks": ["play"]}, False),
    ],
)
async def test_its_manifest_says_what_it_wraps(host: Any, chain_wrap: Any, wrapped: bool) -> None:
    log: list[Any] = []
    host.add("p", work=lambda self, n: {"n": n})
    wrap(host, "mw", **logging_to(log, "mw"), **({} if chain_wrap is None else {"chain_wrap": chain_wrap}))
    async with host.registry.running():
        host.call("work", n=1)
    assert bool(log) is wrapped


async def test_middleware_is_never_wrapped(host: Any) -> None:
    log: list[Any] = []
    wrap(host, "a", **logging_to(log, "a"))
    wrap(host, "b", **logging_to(log, "b"))
    async with host.registry.running() as registry:
        with pytest.raises(PayloadInvalid):  # None is nothing to pass on
            registry.get_plugin("horizontal_middleware", "a").before(kind="k", name="n", hook="h", args={})
    assert log == ["a before k/n.h"]


async def test_it_comes_and_goes_while_plugins_run(host: Any) -> None:
    log: list[Any] = []
    host.add("p", work=lambda self, n: {"n": n})
    async with host.registry.running() as registry:
        work = registry.kind("greeter").work
        work(1)
        wrap(host, "mw", **logging_to(log, "mw"))
        work(1)
        assert not log  # it was not started yet
        await registry.setup_all()
        work(1)
        assert len(log) == 2
        await registry.unregister("horizontal_middleware", "mw")
        work(1)
        assert len(log) == 2


# What it may change


async def test_other_arguments_and_other_results_are_checked_again(host: Any) -> None:
    host.add("p", work=lambda self, n: {"n": n * 10})
    methods = logging_to([], "mw", before=lambda args: {"n": args.n + 1}, after=lambda result: {"n": result.n + 1})
    wrap(host, "mw", **methods)
    async with host.registry.running() as registry:
        result = host.call("work", n=1)
        assert result == {"n": 21}
        assert type(result) is registry.types("greeter").WorkOutput


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_not_valid_is_the_middlewares_fault(host: Any, when: str) -> None:
    host.add("p", work=lambda self, n: {"n": n})
    wrap(host, "mw", **logging_to([], "mw", **{when: lambda value: {"n": "x"}}))
    async with host.registry.running():
        with pytest.raises(PayloadInvalid, match="'mw'") as caught:
            host.call("work", n=1)
    assert caught.value.plugin == "mw"
    assert caught.value.side == ("input" if when == "before" else "output")


async def test_with_validate_off_it_hands_on_what_it_likes(new_host: Any) -> None:
    host = new_host({"work": {"input_schema": NUMBER, "output_schema": NUMBER}}, validate="off")
    host.add("p", work=lambda self, payload: payload)
    wrap(host, "mw", **logging_to([], "mw", before=lambda args: "x", after=lambda result: result * 2))
    async with host.registry.running():
        assert host.call("work", n=1) == "xx"


@pytest.mark.parametrize(
    ("answer", "after", "expected"),
    [
        (STOP_CHAIN, None, {"n": 2}),
        (STOP_CHAIN, {"n": 7}, {"n": 7}),
        (STOP_CHAIN.with_value({"n": 5}), None, {"n": 5}),
        (STOP_CHAIN.with_value({"n": 5}), {"n": 7}, {"n": 7}),
    ],
)
async def test_a_chain_that_was_stopped_stays_stopped(new_host: Any, answer: Any, after: Any, expected: Any) -> None:
    host = new_host({"step": {"dispatch": "chain", "input_schema": NUMBER, "output_schema": NUMBER}})
    host.add("a", step=lambda self, n: {"n": n + 1}, priority=3)
    host.add("b", step=lambda self, n: answer, priority=2)
    host.add("c", step=lambda self, n: {"n": 1000}, priority=1)

    class Audit:
        def after(self, name: str, **seen: Any) -> Any:
            return after if name == "b" else None

    manifest = {"name": "mw", "kind": "horizontal_middleware", "core_version": ">=0.1", "runtime": "in_process"}
    host.registry.register(Audit, manifest)
    async with host.registry.running():
        assert host.call("step", n=1) == expected


@pytest.mark.parametrize(
    "method",
    [
        lambda self, ctx, kind, name, hook, args: {"n": args.n + len(ctx.config) + len(kind + name + hook)},
        lambda self, args, /: {"n": args.n + 12},
        lambda self, call: {"n": call["args"].n + 12},
        lambda self, **call: {"n": call["args"].n + 12},
        lambda self, hook, kind, /, args, *, name: {"n": args.n + len(kind + name + hook)},
    ],
    ids=["all", "positional", "whole", "rest", "mixed"],
)
async def test_it_takes_what_its_signature_asks_for(host: Any, method: Any) -> None:
    host.add("p", work=lambda self, n: {"n": n})
    wrap(host, "mw", before=method)
    async with host.registry.running():
        assert host.call("work", n=1) == {"n": 13}


async def test_its_context_is_its_own(host: Any) -> None:
    seen: list[Any] = []

    class Mw:
        def setup(self, ctx: Any) -> None:
            self.ctx = ctx

        def before(self, ctx: Any) -> None:
            seen.append((ctx is self.ctx, ctx.logger.name, dict(ctx.metadata)))

    host.add("p", work=lambda self, n: {"n": n})
    manifest = {"name": "mw", "kind": "horizontal_middleware", "core_version": ">=0.1", "runtime": "in_process"}
    host.registry.register(Mw, manifest)
    async with host.registry.running() as registry:
        with registry.metadata(tenant="acme"):
            host.call("work", n=1)
    assert seen == [(True, "plugin.horizontal_middleware.mw", {"tenant": "acme"})]


# Errors


def told(log: list[Any]) -> list[str]:
    return [" ".join(line.split()[:2]) for line in log]


@pytest.mark.parametrize("colour", ["plain", "coroutine"])
async def test_errors_of_the_plugin_are_told_innermost_first_and_can_not_be_swallowed(host: Any, colour: str) -> None:
    log: list[Any] = []
    host.add("p", work=lambda self, n: fails(n))
    wrap(host, "inner", priority=1, **logging_to(log, "inner", colour))
    wrap(host, "outer", priority=2, **logging_to(log, "outer", colour, on_error=lambda error: "swallowed"))
    async with host.registry.running() as registry:
        with pytest.raises(LookupError):
            await registry.kind("greeter").aio.work(n=1)
    assert told(log) == ["outer before", "inner before", "inner on_error", "outer on_error"]


async def test_errors_of_checks_are_told(host: Any) -> None:
    seen: list[BaseException] = []
    host.add("p", work=lambda self, n: {"n": "x"})
    wrap(host, "mw", **logging_to([], "mw", on_error=seen.append))
    async with host.registry.running():
        with pytest.raises(PayloadInvalid) as caught:
            host.call("work", n=1)
        assert seen == [caught.value]
        with pytest.raises(PayloadInvalid):
            host.call("work", n="x")  # before anyone was chosen
        assert seen == [caught.value]


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("before", ["outer before", "middle before", "outer on_error"]),
        ("after", ["outer before", "middle before", "inner before", "inner after", "middle after", "outer on_error"]),
    ],
)
async def test_errors_of_middleware_are_told_to_those_further_out(host: Any, failing: str, expected: list[str]) -> None:
    log: list[Any] = []
    host.add("p", work=lambda self, n: {"n": n})
    for priority, name in enumerate(("inner", "middle", "outer")):
        wrap(host, name, priority=priority, **logging_to(log, name, **({failing: fails} if name == "middle" else {})))
    async with host.registry.running():
        with pytest.raises(LookupError, match="from middleware") as caught:
            host.call("work", n=1)
    assert told(log) == expected
    assert f"raised by plugin 'middle' of kind 'horizontal_middleware', in hook '{failing}'" in caught.value.__notes__


async def test_an_error_may_be_replaced(host: Any) -> None:
    seen: list[BaseException] = []

    def replace(error: BaseException) -> None:
        raise PermissionError("not for you")

    host.add("p", work=lambda self, n: fails(n))
    wrap(host, "inner", priority=1, **logging_to([], "inner", on_error=replace))
    wrap(host, "outer", priority=2, **logging_to([], "outer", on_error=seen.append))
    async with host.registry.running():
        with pytest.raises(PermissionError) as caught:
            host.call("work", n=1)
    assert seen == [caught.value]
    assert isinstance(caught.value.__context__, LookupError)


@pytest.mark.parametrize("hook", ["before", "after", "on_error"])
@pytest.mark.parametrize("colour", ["plain", "coroutine"])
def test_one_that_exits_fails_the_call_and_nothing_else(host: Any, colour: str, hook: str) -> None:
    host.add("p", work=lambda self, n: fails(n) if hook == "on_error" else {"n": n})
    wrap(host, "mw", **logging_to([], "mw", colour, **{hook: lambda value: sys.exit(3)}))
    with host.registry.running() as registry:
        for _ in range(2):
            with pytest.raises(PluginError, match=f"'mw' .* raised SystemExit: 3 .*, in hook '{hook}'"):
                registry.kind("greeter").sync.work(n=1)


async def test_a_cancelled_call_is_told_too(new_host: Any) -> None:
    host = new_host({"work": {"async": True}})
    seen: list[BaseException] = []
    started = asyncio.Event()

    async def work(self: Any, payload: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    host.add("p", work=work)
    wrap(host, "mw", **logging_to([], "mw", on_error=seen.append))
    async with host.registry.running():
        task = asyncio.create_task(host.call("work"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [type(error) for error in seen] == [asyncio.CancelledError]


# Colours


async def test_coroutine_functions_run_at_home_and_plain_ones_where_the_caller_is(new_host: Any) -> None:
    host = new_host({"work": {}})
    seen: dict[str, Any] = {}

    async def before(self: Any) -> None:
        seen["before"] = threading.current_thread(), asyncio.get_running_loop()

    def after(self: Any) -> None:
        seen["after"] = threading.current_thread()

    host.add("p", work=lambda self, payload: threading.current_thread())
    wrap(host, "mw", before=before, after=after)
    home = threading.current_thread(), asyncio.get_running_loop()
    async with host.registry.running() as registry:
        thread = await asyncio.to_thread(registry.kind("greeter").sync.work)
        assert seen == {"before": home, "after": thread}
        with pytest.raises(DispatchMismatch):
            registry.kind("greeter").work()  # would wait for itself
        await registry.kind("greeter").aio.work()


# Against the plainest model there is


def model(layers: list[dict[str, Any]], payload: int) -> tuple[list[str], int | str]:
    """What should happen: each layer adds to the arguments and to the result, or fails."""
    log: list[str] = []

    def inside(depth: int, n: int) -> int:
        if depth == len(layers):
            log.append("work")
            if n % 7 == 0:
                raise LookupError("plugin")
            return n * 2
        layer = layers[depth]
        log.append(f"{depth} before")
        if layer["fails"] == "before":
            raise LookupError(f"{depth}")
        try:
            result = inside(depth + 1, n + layer["adds"])
        except LookupError:
            log.append(f"{depth} on_error")
            if layer["fails"] == "on_error":
                raise LookupError(f"{depth}") from None
            raise
        log.append(f"{depth} after")
        if layer["fails"] == "after":
            raise LookupError(f"{depth}")
        return result + layer["adds"]

    try:
        return log, inside(0, payload)
    except LookupError as error:
        return log, str(error)


def like_the_model(log: list[str], depth: int, adds: int, fails: str | None, colour: str) -> dict[str, Any]:
    def step(hook: str) -> Callable[[Any], Any]:
        def do(value: Any) -> Any:
            log.append(f"{depth} {hook}")
            if fails == hook:
                raise LookupError(f"{depth}")
            return None if hook == "on_error" else {"n": value.n + adds}

        return do

    return logging_to([], "mw", colour, **{hook: step(hook) for hook in ("before", "after", "on_error")})


LAYER = st.fixed_dictionaries(
    {
        "adds": st.integers(0, 3),
        "fails": st.sampled_from([None, None, None, "before", "after", "on_error"]),
        "colour": st.sampled_from(["plain", "coroutine"]),
    }
)


@settings(max_examples=60)
@given(st.lists(LAYER, max_size=4), st.integers(0, 20), st.booleans())
def test_the_model_says_who_is_told_of_what(
    new_host: Any, layers: list[dict[str, Any]], payload: int, is_async: bool
) -> None:
    host, log = new_host({"work": {"input_schema": NUMBER, "output_schema": NUMBER}}), []

    def work(self: Any, n: int) -> Any:
        log.append("work")
        return {"n": n * 2} if n % 7 else fails("plugin")

    async def work_async(self: Any, n: int) -> Any:
        return work(self, n)

    host.add("p", work=work_async if is_async else work)
    for depth, layer in enumerate(layers):
        wrap(host, f"mw{depth}", priority=1000 + len(layers) - depth, **like_the_model(log, depth, **layer))
    expected = model(layers, payload)
    with host.registry.running() as registry:
        for call in (registry.kind("greeter").sync.work, lambda n: asyncio.run(registry.kind("greeter").aio.work(n))):
            log.clear()
            try:
                outcome: Any = call(payload).n
            except LookupError as error:
                outcome = str(error)
            assert (log, outcome) == expected
