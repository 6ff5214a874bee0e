"""Python plugins whose host runs them in a process of their own, by configuration alone."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import textwrap
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    DeterministicRng,
    PayloadInvalid,
    PluginContext,
    PluginError,
    PluginLock,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
    ResourceRegistry,
    RuntimeNotSupported,
    TeardownErrors,
    load_manifest,
)
from dagstack_plugins.contents import Contents
from dagstack_plugins.lock import LockedPlugin
from tests.waiting import until

from .conftest import HERE, gone, status_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="mcp_stdio needs POSIX")
WritePlugin = Callable[..., Path]

PLUGIN = """
import asyncio, logging, os, sys, time
from . import helper


class One:
    def setup(self, ctx):
        self.ctx = ctx
        if ctx.config.get("fail"):
            raise ValueError("not today")

    def teardown(self):
        print("torn down", file=sys.stderr)
        if self.ctx.config.get("clings"):
            raise ValueError("not yet")
        return not self.ctx.config.get("spent")

    def ask(self, question, politely=False):
        do, _, rest = question.partition(" ")
        if do == "pid":
            return {"answer": str(os.getpid())}
        if do == "folder":
            return {"answer": os.getcwd()}
        if do == "deep":
            value = []
            for _ in range(int(rest)):
                value = [value]
            return {"answer": "deep", "more": value}
        if do == "config":
            return {"answer": repr(dict(self.ctx.config))}
        if do == "meta":
            return {"answer": repr(dict(self.ctx.metadata))}
        if do == "rng":
            return {"answer": repr(self.ctx.resources.rng.next_float())}
        if do == "raise":
            raise KeyError("nothing of that name")
        if do == "exit":
            sys.exit(3)
        if do == "die":
            os._exit(4)
        if do == "print":
            print("hello on stdout", flush=True)
        if do == "wait":
            time.sleep(float(rest))
        if do == "wrong":
            return {"answer": 5}
        if do == "set":
            return {"answer": {1, 2}}
        if do == "log":
            self.ctx.logger.warning("take care of %s", rest)
        if do == "secret":
            return {"answer": os.environ.get("HOST_SECRET", "none")}
        if do == "long":
            return {"answer": "x" * int(rest)}
        return {"answer": helper.answer(question)}

    def pass_on(self, text, stop=None):
        from dagstack_plugins import STOP_CHAIN

        if stop == "before":
            return STOP_CHAIN
        return STOP_CHAIN.with_value({"text": text + "!"}) if stop else {"text": text + "?"}

    def number(self):
        return 7

    def anything(self, value=None):
        return value
"""
ASYNC = """
import asyncio


class One:
    async def setup(self, ctx):
        self.loop = asyncio.get_running_loop()

    async def ask(self, question):
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0.01)
        return {"answer": f"async: {question}"}
"""


@pytest.fixture
def plugin(plugins: Path) -> WritePlugin:
    """Write a folder of a Python plugin that may run in either way."""

    def write(name: str, code: str = PLUGIN, **fields: Any) -> Path:
        folder = plugins / name
        folder.mkdir()
        manifest = {"name": name, "kind": "oracle", "core_version": ">=0.1", "runtime": ["in_process", "mcp_stdio"]}
        (folder / "dagstack.json").write_text(json.dumps({"plugin": {**manifest, **fields}}))
        (folder / "plugin.py").write_text(textwrap.dedent(code))
        (folder / "helper.py").write_text("def answer(question):\n    return f'it is so: {question}'\n")
        return folder

    return write


@pytest.fixture
def isolating() -> PluginRegistry:
    """A host that runs all it can in processes of their own."""
    registry = PluginRegistry(runtimes=["mcp_stdio", "in_process"])
    registry.add_hookspecs(HERE / "kinds")
    return registry


def test_the_host_alone_decides(plugins: Path, plugin: WritePlugin) -> None:
    plugin("one", priority=5)
    plugin("two")  # comes after it in a chain, which the first may end
    answers = {}
    for how in ("in_process", "mcp_stdio"):
        registry = PluginRegistry(runtime_for={("oracle", "one"): how, ("oracle", "two"): how})
        registry.add_hookspecs(HERE / "kinds")
        registry.discover(plugins)
        with registry.running():
            assert status_of(registry, "one").runtime == how
            proxy = registry.get_plugin("oracle", "one")
            answers[how] = [
                proxy.ask("really?"),
                proxy.number(),
                registry.kind("oracle").anything(value=[1, {"a": None}]),
                registry.kind("oracle").anything(value={"result": 1}),
                registry.kind("oracle").anything(),
                registry.kind("oracle").pass_on(text="a"),
                registry.kind("oracle").pass_on(text="a", stop="value"),
                registry.kind("oracle").pass_on(text="a", stop="before"),
            ]
            assert (proxy.ask("pid").answer == str(os.getpid())) == (how == "in_process")
    assert answers["in_process"] == answers["mcp_stdio"]


def test_configuration_metadata_and_resources_go_there(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one", resources={"required": ["rng"]})
    isolating.discover(plugins)
    resources = ResourceRegistry()
    resources.register("rng", DeterministicRng(seed=7))
    config = {"oracle": {"one": {"since": date(2026, 1, 1), "depth": 3}}}
    with isolating.running(PluginContext(config, resources=resources)):
        ask = isolating.get_plugin("oracle", "one").ask
        assert ask("config").answer == repr({"since": date(2026, 1, 1), "depth": 3})
        with isolating.metadata(tenant="acme"):
            assert ask("meta").answer == "{'tenant': 'acme'}"
        drawn = [ask("rng").answer for _ in range(3)]
    with isolating.running(PluginContext(config, resources=resources)):
        assert [isolating.get_plugin("oracle", "one").ask("rng").answer for _ in range(3)] == drawn
    assert len(set(drawn)) == 3


def test_errors_are_told_with_their_own_type_and_traceback(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one")
    isolating.discover(plugins)
    with isolating.running():
        ask = isolating.get_plugin("oracle", "one").ask
        with pytest.raises(PluginError, match="plugin 'one' of kind 'oracle' failed: KeyError: ") as caught:
            ask("raise")
        assert caught.value.error_type == "KeyError"
        assert 'raise KeyError("nothing of that name")' in str(caught.value.remote_traceback)
        with pytest.raises(PluginError, match="SystemExit"):
            ask("exit")
        with pytest.raises(PayloadInvalid, match="expected a string, found 5"):
            ask("wrong")
        with pytest.raises(PayloadInvalid, match=r"\$\.answer") as invalid:
            ask("set")
        assert (invalid.value.side, invalid.value.plugin) == ("output", "one")
        with pytest.raises(PayloadInvalid, match="at most 10485760 go to another process"):
            ask("long 11000000")
        assert ask("fine").answer == "it is so: fine"


def test_what_it_prints_logs_and_reads(
    isolating: PluginRegistry,
    plugins: Path,
    plugin: WritePlugin,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HOST_SECRET", "s3cr3t")
    plugin("one")
    plugin("other", mcp_stdio={"inherit_env": ["HOST_SECRET"]})
    isolating.discover(plugins)
    with isolating.running():
        ask = isolating.get_plugin("oracle", "one").ask
        assert ask("print").answer == "it is so: print"
        ask("log the cat")
        until(lambda: "take care of the cat" in caplog.text and "hello on stdout" in caplog.text)
        assert ask("secret").answer == "none"
        assert isolating.get_plugin("oracle", "other").ask("secret").answer == "s3cr3t"
    (record,) = [one for one in caplog.records if "take care of the cat" in one.message]
    assert (record.name, record.levelname, record.message) == (
        "plugin.oracle.one",
        "WARNING",
        "take care of the cat",
    )


def test_calls_of_plain_functions_run_side_by_side(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one")
    isolating.discover(plugins)

    async def program() -> float:
        async with isolating.running():
            loop = asyncio.get_running_loop()
            ask = isolating.get_plugin("oracle", "one").aio.ask
            began = loop.time()
            await asyncio.gather(*(ask("wait 0.3") for _ in range(20)))
            return loop.time() - began

    assert asyncio.run(program()) < 3


def test_coroutine_functions_run_on_one_loop_there(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one", ASYNC)
    isolating.discover(plugins)
    with isolating.running():
        assert isolating.get_plugin("oracle", "one").ask("hm").answer == "async: hm"


def test_one_that_dies_is_started_and_set_up_again(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one", mcp_stdio={"backoff_sec": 0.01})
    isolating.discover(plugins)
    with isolating.running(PluginContext({"oracle": {"one": {"depth": 3}}})):
        ask = isolating.get_plugin("oracle", "one").ask
        before = int(ask("pid").answer)
        with pytest.raises(PluginUnavailable, match="its process ended with status 4"):
            ask("die")
        until(lambda: status_of(isolating, "one").state is PluginState.READY)
        assert ask("config").answer == "{'depth': 3}"
        assert gone(before)


def test_a_setup_that_fails_there_is_told_as_here(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one")
    isolating.discover(plugins)
    with isolating.running(PluginContext({"oracle": {"one": {"fail": True}}})):
        status = status_of(isolating, "one")
        assert status.state is PluginState.UNAVAILABLE
        assert "setup failed" in status.reason
        assert "ValueError: not today" in status.reason


def test_a_teardown_that_fails_there_is_told_as_here(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one")
    isolating.discover(plugins)
    clings = PluginContext({"oracle": {"one": {"clings": True}}})
    with pytest.raises(TeardownErrors, match="ValueError: not yet"), isolating.running(clings):
        pid = int(isolating.get_plugin("oracle", "one").ask("pid").answer)
    assert gone(pid)


def test_a_teardown_may_ask_for_a_new_process(isolating: PluginRegistry, plugins: Path, plugin: WritePlugin) -> None:
    plugin("one")
    isolating.discover(plugins)
    with isolating.running(PluginContext({"oracle": {"one": {"spent": True}}})):
        pass
    assert status_of(isolating, "one").state is PluginState.REQUIRES_RESTART


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("class One: pass", "no class"),
        ("import nothing_of_that_name", "ModuleNotFound"),
    ],
)
def test_code_that_does_not_load_is_told_when_it_is_started(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin, code: str, told: str
) -> None:
    plugin("one", code)
    isolating.discover(plugins)
    with isolating.running():
        assert told in status_of(isolating, "one").reason


def test_a_resource_that_cannot_travel_keeps_it_from_starting(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one", resources={"required": ["door"]})
    isolating.discover(plugins)
    resources = ResourceRegistry()
    resources.register("door", threading.Lock())
    with isolating.running(PluginContext(resources=resources)):
        status = status_of(isolating, "one")
        assert status.state is PluginState.UNAVAILABLE
        assert "'door'" in status.reason


def test_checkpoints_keep_a_plugin_in_process(plugins: Path, plugin: WritePlugin, isolating: PluginRegistry) -> None:
    plugin("one", unit_of_work={"declared": True, "checkpointable": True, "partition_key": "question"})
    isolating.discover(plugins)
    assert status_of(isolating, "one").runtime == "in_process"
    registry = PluginRegistry(runtimes=["mcp_stdio"])
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(plugins)
    assert isinstance(status_of(registry, "one").error, RuntimeNotSupported)
    assert "its checkpoints don't reach its host" in status_of(registry, "one").reason


def test_a_lock_is_looked_at_again_there(plugins: Path, plugin: WritePlugin, tmp_path: Path) -> None:
    folder = plugin("one")
    locked = LockedPlugin.of(load_manifest(folder), Contents(folder).hash)
    registry = PluginRegistry(runtimes=["mcp_stdio"], lock=PluginLock.of([locked]))
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(plugins)
    (folder / "helper.py").write_text("def answer(question): return 'something else'\n")
    with registry.running():
        assert "its files were changed" in status_of(registry, "one").reason


def test_it_works_where_its_host_does(isolating: PluginRegistry, plugins: Path, plugin: WritePlugin) -> None:
    plugin("one")
    isolating.discover(plugins)
    with isolating.running():
        assert isolating.get_plugin("oracle", "one").ask("folder").answer == str(Path.cwd())


def test_what_is_nested_too_deeply_is_refused_on_both_sides(
    isolating: PluginRegistry, plugins: Path, plugin: WritePlugin
) -> None:
    plugin("one")
    isolating.discover(plugins)
    deep: Any = []
    for _ in range(190):
        deep = [deep]
    with isolating.running():
        for call in (
            lambda: isolating.get_plugin("oracle", "one").anything(value=deep),
            lambda: isolating.get_plugin("oracle", "one").ask("deep 190"),
        ):
            with pytest.raises(PayloadInvalid, match="is nested too deeply: 180 levels go to"):
                call()
        assert isolating.get_plugin("oracle", "one").ask("deep 170").answer == "deep"


def test_slips_in_runtime_for_are_told(plugins: Path, plugin: WritePlugin, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TypeError, match=r"runtime_for takes \{\(kind, name\): runtime\}, found the key 'one'"):
        PluginRegistry(runtime_for={"one": "mcp_stdio"})  # type: ignore[dict-item]
    plugin("one")
    registry = PluginRegistry(runtime_for={("oracle", "ome"): "mcp_stdio"})
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(plugins)
    with registry.running():
        assert "runtime_for names oracle/ome, which is not registered (did you mean 'oracle/one'?)" in caplog.text
