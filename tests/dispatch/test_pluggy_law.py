"""The law that keeps shortcuts honest: pluggy's own loop, over those that a dispatcher chose, says the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import STOP_CHAIN, Call, hookimpl

HOOKS = {
    "greet": {"required": False},
    "ask": {"dispatch": "broadcast_collect", "required": False},
    "tell": {"dispatch": "broadcast_notify", "required": False},
    "pass_on": {"dispatch": "chain", "required": False},
    "index": {"dispatch": "capability", "required": False},
}
results = st.sampled_from([None, 0, "", [], False, {"x": 1}, "text", 7])
plugins = st.lists(
    st.fixed_dictionaries(
        {
            "band": st.sampled_from(["tryfirst", "", "trylast"]),
            "priority": st.integers(0, 100),
            "result": results,
            "hooks": st.sets(st.sampled_from(list(HOOKS)), min_size=1),
            "is_async": st.booleans(),
            "languages": st.lists(st.sampled_from(["go", "python"]), max_size=2, unique=True),
            "stop": st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda one: (one["band"], one["priority"]),
)


def returns(value: Any) -> Any:
    return lambda self, payload: value


class Recorder:
    """Makes methods that note who was asked, with what, and what it answered."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Any]] = []

    def method(self, plugin: str, result: Any, *, is_async: bool) -> Any:
        def answer(self_: Any, payload: Any) -> Any:
            self.asked.append((plugin, payload, result))
            return result

        async def answer_async(self_: Any, payload: Any) -> Any:
            return answer(self_, payload)

        return answer_async if is_async else answer


def build(new_host: Any, plan: list[dict[str, Any]], recorder: Recorder) -> Any:
    host = new_host(HOOKS, validate="off")
    for place, one in enumerate(plan):
        methods = {}
        for hook in one["hooks"]:
            result = one["result"]
            if hook == "pass_on" and one["stop"]:
                result = STOP_CHAIN if one["result"] is None else STOP_CHAIN.with_value(one["result"])
            methods[hook] = recorder.method(f"p{place}", result, is_async=one["is_async"])
        fields = {one["band"]: True} if one["band"] else {}
        host.add(
            f"p{place}",
            **methods,
            **fields,
            priority=one["priority"],
            supports_languages=one["languages"],
            fallback=place == 0,
        )
    return host


async def pluggy_says(host: Any, hook: str, payload: Any, chosen: list[str]) -> list[tuple[Any, ...]]:
    """What pluggy's own loop over exactly ``chosen`` answers, in boxes."""
    manager = host.registry.plugin_manager(host.kind)
    others = [plugin for name, plugin in manager.list_name_plugin() if name not in chosen]
    caller = manager.subset_hook_caller(hook, others)
    answered = caller(payload=payload, call=Call(host.kind, hook))
    boxes = [answered] if isinstance(answered, tuple) else answered or []
    opened = []
    for box in boxes:
        (value,) = box
        opened.append((await value,) if asyncio.iscoroutine(value) else (value,))
    return opened


async def check(host: Any, recorder: Recorder, hook: str) -> None:
    payload = {"language": "go"}
    recorder.asked.clear()
    try:
        got = await getattr(host.registry.kind(host.kind).aio, hook)(payload)
    except Exception:
        assert recorder.asked == []  # nobody fits, nobody was asked
        return
    dispatched = list(recorder.asked)
    if hook == "pass_on":
        for plugin, given_payload, result in dispatched:
            boxes = await pluggy_says(host, hook, given_payload, [plugin])
            assert [repr(box) for box in boxes] == [repr((result,))]  # a stop is told by what it says
        return
    boxes = await pluggy_says(host, hook, payload, [plugin for plugin, _, _ in dispatched])
    assert boxes == [(result,) for _, _, result in dispatched]
    if hook == "ask":
        assert [(value,) for value in got] == boxes
    elif hook == "tell":
        assert got is None
    else:
        assert (got,) == boxes[0]


@settings(max_examples=120)
@given(plan=plugins)
def test_over_the_chosen_ones_pluggys_loop_gives_the_same_boxes_in_the_same_order(
    new_host: Any, plan: list[dict[str, Any]]
) -> None:
    recorder = Recorder()
    host = build(new_host, plan, recorder)

    async def run() -> None:
        await host.registry.setup_all()
        for hook in HOOKS:
            await check(host, recorder, hook)

    asyncio.run(run())


async def test_the_whole_loop_of_pluggy_asks_in_our_order_and_keeps_none(new_host: Any) -> None:
    host = new_host({"ask": {"dispatch": "broadcast_collect"}})
    for priority, value in enumerate(["last", None, "first"]):
        host.add(f"p{priority}", ask=returns(value), priority=priority)
    async with host.registry.running() as registry:
        hook = registry.plugin_manager("greeter").hook.ask
        assert hook(payload={}, call=Call("greeter", "ask")) == [("first",), (None,), ("last",)]


async def test_pluggys_first_result_is_a_boxed_none_where_the_first_answers_none(new_host: Any) -> None:
    host = new_host({"greet": {}})
    host.add("a", greet=returns(None), priority=1)
    host.add("b", greet=returns("b"))
    async with host.registry.running() as registry:
        hook = registry.plugin_manager("greeter").hook.greet
        assert hook(payload={}, call=Call("greeter", "greet")) == (None,)


async def test_only_usable_plugins_stand_in_the_manager(new_host: Any) -> None:
    def fails(self: Any) -> None:
        raise RuntimeError("no licence")

    host = new_host({"ask": {"dispatch": "broadcast_collect"}})
    host.add("a", ask=returns("a"))
    host.add("b", ask=returns("b"), setup=fails)

    def names() -> list[str]:
        return [name for name, _ in host.registry.plugin_manager("greeter").list_name_plugin()]

    assert names() == []
    async with host.registry.running():
        assert names() == ["a"]
    assert names() == []


async def test_errors_pass_through_pluggys_loop(new_host: Any) -> None:
    class Torn(Exception):
        pass

    def tears(self: Any, payload: Any) -> None:
        raise Torn

    host = new_host({"ask": {"dispatch": "broadcast_collect"}})
    host.add("a", ask=tears)
    async with host.registry.running() as registry:
        with pytest.raises(Torn) as caught:
            registry.plugin_manager("greeter").hook.ask(payload={}, call=Call("greeter", "ask"))
    assert any("'a'" in note for note in caught.value.__notes__)


async def test_a_native_pluggy_plugin_is_dispatched_like_any_other(new_host: Any) -> None:
    class Native:
        @hookimpl
        def ask(self, payload: Any, call: Any) -> Any:
            return [payload, call.kind, call.hook, dict(call.metadata)]

    host = new_host({"ask": {"dispatch": "broadcast_collect"}})
    manifest = {"name": "native", "kind": "greeter", "core_version": ">=0.1", "runtime": "in_process", "priority": 1}
    host.registry.register(Native(), manifest)
    host.add("b", ask=returns("b"))
    async with host.registry.running() as registry:
        with registry.metadata(tenant="acme"):
            assert host.call("ask", x=1) == [[{"x": 1}, "greeter", "ask", {"tenant": "acme"}], "b"]


# Monitoring


CALLS = [
    ("singleton", ["a"]),
    ("broadcast_collect", ["a", "b"]),
    ("broadcast_notify", ["a", "b"]),
    ("chain", ["a", "b"]),
    ("capability", ["a"]),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("dispatch", "asked"), CALLS)
def test_a_monitor_sees_every_call_while_it_is_on(
    new_host: Any, dispatch: str, asked: list[str], is_async: bool
) -> None:
    host = new_host({"work": {"dispatch": dispatch}})

    async def work_async(self: Any, payload: Any) -> Any:
        return payload

    for name, priority in (("a", 1), ("b", 0)):
        host.add(
            name,
            work=work_async if is_async else lambda self, payload: payload,
            priority=priority,
            supports_languages=["go"],
        )
    seen: list[tuple[str, str, list[str], Any]] = []

    def before(hook: str, impls: Any, kwargs: Any) -> None:
        seen.append(("before", hook, [impl.plugin_name for impl in impls], kwargs["payload"]["language"]))

    def after(outcome: Any, hook: str, impls: Any, kwargs: Any) -> None:
        seen.append(("after", hook, [impl.plugin_name for impl in impls], outcome.exception))

    with host.registry.running() as registry:
        kind = registry.kind("greeter")
        expected = kind.sync.work(language="go")
        undo = registry.plugin_manager("greeter").add_hookcall_monitoring(before, after)
        for call in (lambda: kind.sync.work(language="go"), lambda: asyncio.run(kind.aio.work(language="go"))):
            seen.clear()
            assert call() == expected
            assert sorted(seen, key=str) == sorted(
                [(when, "work", [name], told) for name in asked for when, told in (("before", "go"), ("after", None))],
                key=str,
            )
        seen.clear()
        assert registry.get_plugin("greeter", "b").sync.work(language="go") == {"language": "go"}
        assert [names for _, _, names, _ in seen] == [["b"], ["b"]]
        undo()
        seen.clear()
        assert kind.sync.work(language="go") == expected
        assert seen == []


async def test_a_monitor_goes_on_when_plugins_change_and_sees_failures(new_host: Any) -> None:
    host, seen = new_host({"ask": {"dispatch": "broadcast_collect", "error_policy": "best_effort"}}), []

    def after(outcome: Any, hook: str, impls: Any, kwargs: Any) -> None:
        seen.extend((impl.plugin_name, type(outcome.exception).__name__) for impl in impls)

    def fails(self: Any, payload: Any) -> Any:
        raise LookupError

    host.add("a", ask=lambda self, payload: 1)
    async with host.registry.running() as registry:
        undo = registry.plugin_manager("greeter").add_hookcall_monitoring(lambda *_: None, after)
        host.add("b", ask=fails)
        await registry.setup_all()
        assert host.call("ask") == [1]
        assert seen == [("a", "NoneType"), ("b", "LookupError")]
        undo()
        undo()
        host.call("ask")
        assert len(seen) == 2


async def test_tracing_writes_of_calls_made_by_dispatchers(new_host: Any) -> None:
    host, lines = new_host({"greet": {}}), []
    host.add("a", greet=lambda self, payload: "hello")
    async with host.registry.running() as registry:
        manager = registry.plugin_manager("greeter")
        manager.trace.root.setwriter(lines.append)
        undo = manager.enable_tracing()
        host.call("greet", x=1)
        undo()
        host.call("greet", x=1)
    text = "".join(lines)
    assert text.count("greet [hook]") == 1
    assert "('hello',)" in text
