"""What a call costs, beside bare pluggy and the functions that any checked call needs."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jsonschema_rs
import pluggy
import pytest

from dagstack_plugins import PluginContext, PluginRegistry

INPUT = {
    "type": "object",
    "required": ["amount_cents", "currency", "source"],
    "properties": {"amount_cents": {"type": "integer"}, "currency": {"type": "string"}, "source": {"type": "string"}},
}
OUTPUT = {
    "type": "object",
    "required": ["transaction_id", "status"],
    "properties": {"transaction_id": {"type": "string"}, "status": {"type": "string"}},
}
RESULT = {"transaction_id": "ch_1", "status": "succeeded"}
PAYLOAD = {"amount_cents": 1999, "currency": "USD", "source": "tok_visa"}
STEP = {"type": "object", "required": ["value"], "properties": {"value": {"type": "integer"}}}

hookspec = pluggy.HookspecMarker("bare")
hookimpl = pluggy.HookimplMarker("bare")


class BareSpec:
    @hookspec(firstresult=True)
    def charge(self, amount_cents: int, currency: str, source: str) -> dict[str, str]: ...  # type: ignore[empty-body]

    @hookspec
    def notify(self, amount_cents: int, currency: str, source: str) -> dict[str, str]: ...  # type: ignore[empty-body]


class Bare:
    @hookimpl
    def charge(self, amount_cents: int, currency: str, source: str) -> dict[str, str]:
        return {"transaction_id": "ch_1", "status": "succeeded"}

    @hookimpl
    def notify(self, amount_cents: int, currency: str, source: str) -> dict[str, str]:
        return {"transaction_id": "ch_1", "status": "succeeded"}


class Provider:
    def charge(self, input: Any) -> dict[str, str]:
        return {"transaction_id": "ch_1", "status": "succeeded"}


class AsyncProvider:
    async def charge(self, input: Any) -> dict[str, str]:
        return {"transaction_id": "ch_1", "status": "succeeded"}


class Step:
    def step(self, value: int) -> dict[str, int]:
        return {"value": value + 1}


Started = Callable[..., PluginRegistry]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """A registry with one kind and many plugins of one class, started."""
    stack: list[Any] = []

    def start(
        cls: type, hook: dict[str, Any], manifests: list[dict[str, Any]], validate: str = "all"
    ) -> PluginRegistry:
        (tmp_path / "bench").mkdir(exist_ok=True)
        kind = {"kind": "bench", "kind_api_version": "1.0.0", "hooks": [hook]}
        (tmp_path / "bench" / "v1.yaml").write_text(json.dumps(kind))  # JSON is YAML
        registry = PluginRegistry(validate=validate)
        registry.add_hookspecs(tmp_path)
        for manifest in manifests:
            registry.register(cls, {"kind": "bench", "runtime": "in_process", "core_version": ">=0.1", **manifest})
        running = registry.running(PluginContext())
        stack.append(running)
        return running.__enter__()

    yield start
    for running in reversed(stack):
        running.__exit__(None, None, None)


def bare(count: int = 1) -> Any:
    manager = pluggy.PluginManager("bare")
    manager.add_hookspecs(BareSpec)
    for _ in range(count):
        manager.register(Bare())
    return manager.hook


CHARGE = {"name": "charge", "dispatch": "singleton", "input_schema": INPUT, "output_schema": OUTPUT}
ONE = [{"name": "one"}]


@pytest.mark.parametrize(
    ("how", "validate", "at_most"),
    [("checked", "all", 1.0), ("checked, given a payload object", "all", 1.4), ('validate="off"', "off", 0.5)],
)
def test_singleton(beside: Any, started: Started, how: str, validate: str, at_most: float) -> None:
    registry = started(Provider, CHARGE, ONE, validate)
    pay, theirs = registry.get_plugin("bench"), bare()
    given = registry.types("bench").ChargeInput(**PAYLOAD)
    ours: Callable[[], object] = lambda: pay.charge(amount_cents=1999, currency="USD", source="tok_visa")  # noqa: E731
    if "object" in how:
        ours = lambda: pay.charge(given)  # noqa: E731
    assert ours() == RESULT
    beside(
        f"singleton call, {how}",
        ours,
        "pluggy firstresult",
        lambda: theirs.charge(amount_cents=1999, currency="USD", source="tok_visa"),
        at_most=at_most,
    )


def test_async(beside: Any, started: Started) -> None:
    registry = started(AsyncProvider, CHARGE, ONE)
    pay, plugin = registry.get_plugin("bench"), AsyncProvider()
    checks = jsonschema_rs.Draft202012Validator(INPUT), jsonschema_rs.Draft202012Validator(OUTPUT)

    async def ours() -> None:
        for _ in range(100):
            await pay.charge(amount_cents=1999, currency="USD", source="tok_visa")

    async def theirs() -> None:
        for _ in range(100):
            payload = {"amount_cents": 1999, "currency": "USD", "source": "tok_visa"}
            checks[0].is_valid(payload)
            checks[1].is_valid(await plugin.charge(payload))

    # On the plugins' own loop, where a host's coroutines run.
    def at_home(work: Callable[[], Any]) -> Callable[[], object]:
        return lambda: asyncio.run_coroutine_threadsafe(work(), registry._home.loop).result()  # type: ignore[arg-type]

    beside(
        "async call awaited, checked (100)",
        at_home(ours),
        "coroutine method, two checks (100)",
        at_home(theirs),
        at_most=2,
    )


@pytest.mark.parametrize(("validate", "at_most"), [("off", 0.6), ("all", 2.0)])
def test_broadcast(beside: Any, started: Started, validate: str, at_most: float) -> None:
    hook = {**CHARGE, "dispatch": "broadcast_collect"}
    registry = started(Provider, hook, [{"name": f"p{number}"} for number in range(100)], validate)
    everyone, theirs = registry.kind("bench"), bare(100)
    assert len(everyone.charge(**PAYLOAD)) == 100
    how = "checked" if validate == "all" else 'validate="off"'
    beside(
        f"broadcast_collect over 100, {how}",
        lambda: everyone.charge(amount_cents=1999, currency="USD", source="tok_visa"),
        "pluggy over 100",
        lambda: theirs.notify(amount_cents=1999, currency="USD", source="tok_visa"),
        at_most=at_most,
    )


def test_chain(beside: Any, started: Started) -> None:
    hook = {"name": "step", "dispatch": "chain", "input_schema": STEP, "output_schema": STEP}
    registry = started(Step, hook, [{"name": f"p{number}"} for number in range(10)])
    steps, theirs = registry.kind("bench"), bare()
    assert steps.step(value=0) == {"value": 10}

    def ten() -> None:
        for _ in range(10):
            theirs.charge(amount_cents=1999, currency="USD", source="tok_visa")

    beside("chain of 10, checked", lambda: steps.step(value=0), "ten pluggy calls", ten, at_most=1.0)


class Reader:
    def read(self, payload: Any) -> None:
        return None


READ = {
    "name": "read",
    "dispatch": "capability",
    "input_schema": {"type": "object", "properties": {"extension": {"type": "string"}, "language": {"type": "string"}}},
}


def _own_extension(number: int) -> dict[str, Any]:
    return {"name": f"p{number}", "supports_extensions": [f".e{number}"]}


def _own_language(number: int) -> dict[str, Any]:
    return {"name": f"p{number}", "supports_extensions": [".py"], "supports_languages": [f"l{number}"]}


@pytest.mark.parametrize(
    ("told", "manifest", "payload", "at_most"),
    [
        ("each its own extension", _own_extension, {"extension": ".e7"}, 1.1),
        ("sharing .py, each its language", _own_language, {"extension": ".py", "language": "l7"}, 2.0),
    ],
)
def test_capability(
    beside: Any,
    started: Started,
    told: str,
    manifest: Callable[[int], dict[str, Any]],
    payload: dict[str, str],
    at_most: float,
) -> None:
    many = started(Reader, READ, [manifest(number) for number in range(10_000)]).kind("bench")
    few = started(Reader, READ, [manifest(number) for number in range(10)]).kind("bench")
    many.read(**payload), few.read(**payload)
    beside(
        f"capability, 10,000 plugins, {told}",
        lambda: many.read(**payload),
        "the same with 10",
        lambda: few.read(**payload),
        at_most=at_most,
    )


class Around:
    def before(self, ctx: Any, kind: str, name: str, hook: str, args: Any) -> None:
        return None

    def after(self, ctx: Any, kind: str, name: str, hook: str, result: Any) -> None:
        return None


def test_middleware(beside: Any, started: Started) -> None:
    plain = started(Provider, CHARGE, ONE).get_plugin("bench")
    manifest = {"name": "around", "kind": "horizontal_middleware"}
    registry = started(Provider, CHARGE, ONE)
    registry.register(Around, {"runtime": "in_process", "core_version": ">=0.1", **manifest})
    asyncio.run_coroutine_threadsafe(registry.setup_all(), registry._home.loop).result()  # type: ignore[arg-type]
    wrapped = registry.get_plugin("bench")
    beside(
        "one middleware round a call",
        lambda: wrapped.charge(amount_cents=1999, currency="USD", source="tok_visa"),
        "the same call without",
        lambda: plain.charge(amount_cents=1999, currency="USD", source="tok_visa"),
        at_most=1.6,
    )


@contextmanager
def one_processor() -> Iterator[None]:
    """Keep the process to one of them, where the platform can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def test_threads(beside: Any, started: Started) -> None:
    registry = started(Provider, CHARGE, [{"name": "one", "execution_model": "thread_cpu_bound"}])
    pay, bare_function = registry.get_plugin("bench"), Provider().charge
    # On two processors, where the scheduler puts the threads makes either side three times as slow, by chance.
    with one_processor(), ThreadPoolExecutor() as threads:
        beside(
            "thread_cpu_bound call, checked",
            lambda: pay.charge(amount_cents=1999, currency="USD", source="tok_visa"),
            "ThreadPoolExecutor.submit().result()",
            lambda: threads.submit(bare_function, PAYLOAD).result(),
            at_most=1.5,
        )


IN_PROCESSES = """
class Provider:
    def charge(self, input):
        return {"transaction_id": "ch_1", "status": "succeeded"}


def charge(input):
    return {"transaction_id": "ch_1", "status": "succeeded"}
"""


def test_processes(beside: Any, started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in_processes.py").write_text(IN_PROCESSES, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = importlib.import_module("in_processes")
    registry = started(module.Provider, CHARGE, [{"name": "one", "execution_model": "process_cpu_bound"}])
    pay = registry.get_plugin("bench")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        processes.submit(module.charge, PAYLOAD).result()
        beside(
            "process_cpu_bound call, checked",
            lambda: pay.charge(amount_cents=1999, currency="USD", source="tok_visa"),
            "ProcessPoolExecutor.submit().result()",
            lambda: processes.submit(module.charge, PAYLOAD).result(),
            at_most=1.5,
        )
