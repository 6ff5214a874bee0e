"""What runs elsewhere crashes, hangs, comes back, and is ended: the host and all others go on."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from unittest.mock import Mock

import psutil
import pytest

from dagstack_plugins import (
    PayloadInvalid,
    PluginError,
    PluginLock,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
    TeardownErrors,
    load_manifest,
)
from dagstack_plugins.contents import Contents
from dagstack_plugins.lock import LockedPlugin
from dagstack_plugins.runtimes.mcp import lines
from tests.waiting import until

from .conftest import HERE, TIMES, WriteServer, gone, status_of, wires

pytestmark = pytest.mark.skipif(os.name != "posix", reason="mcp_stdio needs POSIX")


def children() -> set[int]:
    """The processes of plugins, and their guards; other tests leave others of this process's."""
    guards = [one for one in psutil.Process().children() if not gone(one.pid) and _is_guard(one)]
    found = {one.pid for one in guards}
    for guard in guards:
        with suppress(psutil.NoSuchProcess):
            found |= {one.pid for one in guard.children(recursive=True)}
    return {pid for pid in found if not gone(pid)}


def _is_guard(process: psutil.Process) -> bool:
    try:
        return any(argument.endswith("guardian.py") for argument in process.cmdline())
    except psutil.Error:
        return False


def kill_all() -> None:
    before = children()
    for pid in before:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: children().isdisjoint(before))


def pid_of(registry: PluginRegistry, name: str = "delphi") -> int:
    return int(registry.get_plugin("oracle", name).ask("pid").answer)


def answers(registry: PluginRegistry, name: str = "delphi") -> bool:
    try:
        return pid_of(registry, name) > 0
    except (PluginUnavailable, TimeoutError):
        return False


# Coming back


@pytest.mark.parametrize(("question", "told"), [("exit 3", "its process ended with status 3"), ("kill", "by SIGKILL")])
def test_a_crash_fails_its_calls_and_the_process_is_started_again(
    registry: PluginRegistry,
    server: WriteServer,
    plugins: Path,
    caplog: pytest.LogCaptureFixture,
    question: str,
    told: str,
) -> None:
    caplog.set_level(logging.INFO)
    server("delphi")
    registry.discover(plugins)
    with registry.running(), ThreadPoolExecutor() as pool:
        ask = registry.get_plugin("oracle", "delphi").ask
        before = pid_of(registry)
        waiting = pool.submit(ask, "wait 60")
        time.sleep(0.1)
        with pytest.raises(PluginUnavailable, match=f"plugin 'delphi' of kind 'oracle' can't be reached: .*{told}"):
            ask(question)
        with pytest.raises(PluginUnavailable, match=told):
            waiting.result(5)
        until(lambda: answers(registry))
        assert pid_of(registry) != before
        assert "plugin oracle/delphi is unavailable" in caplog.text
        assert "plugin oracle/delphi is ready again" in caplog.text
    assert status_of(registry, "delphi").state is PluginState.STOPPED


def test_while_it_is_away_status_says_why_and_others_answer(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi", stdio={"backoff_sec": 30})
    server("dodona")
    registry.discover(plugins)
    with registry.running():
        with pytest.raises(PluginUnavailable):
            registry.get_plugin("oracle", "delphi").ask("exit 0")
        until(lambda: status_of(registry, "delphi").state is PluginState.UNAVAILABLE)
        assert "it is tried again in 30 s (1 of 5)" in status_of(registry, "delphi").reason
        began = time.monotonic()
        with pytest.raises(PluginUnavailable, match="it is tried again in 30 s"):
            registry.get_plugin("oracle", "delphi").ask("?")
        assert time.monotonic() - began < 5
        assert registry.kind("oracle").anything(value={"a": 1}) == [{"a": 1}]  # of the other alone
    assert status_of(registry, "delphi").state is PluginState.STOPPED


def test_after_max_restarts_it_stays_away_until_the_host_starts_it(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi", stdio={"max_restarts": 2})
    registry.discover(plugins)
    with registry.running():
        for _ in range(3):
            until(lambda: status_of(registry, "delphi").state is PluginState.READY)
            with pytest.raises(PluginUnavailable):
                registry.get_plugin("oracle", "delphi").ask("kill")
            until(lambda: status_of(registry, "delphi").state is PluginState.UNAVAILABLE)
        until(lambda: "not started again, as max_restarts = 2" in status_of(registry, "delphi").reason)
        until(lambda: children() == set())
    with registry.running():
        assert registry.get_plugin("oracle", "delphi").ask("again?").answer == "delphi: again?"


def test_it_may_be_started_again_while_it_is_away(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi", stdio={"backoff_sec": 60})
    registry.discover(plugins)

    async def program() -> None:
        async with registry.running():
            with pytest.raises(PluginUnavailable):
                await registry.get_plugin("oracle", "delphi").aio.ask("kill")
            while status_of(registry, "delphi").state is not PluginState.UNAVAILABLE:
                await asyncio.sleep(0.01)
            await registry.setup_all()
            assert (await registry.get_plugin("oracle", "delphi").aio.ask("hm")).answer == "delphi: hm"

    asyncio.run(program())
    assert children() == set()


def test_one_that_does_not_answer_opens_its_circuit_and_is_started_again(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi", call_timeout_sec=0.15, stdio={"backoff_sec": 1})
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        before = pid_of(registry)
        for _ in range(4):
            with pytest.raises(TimeoutError, match=r"the call took longer than call_timeout_sec = 0\.15"):
                ask("wait 1")
        assert ask("still there?").answer == "delphi: still there?"  # which closes the count
        os.kill(before, signal.SIGSTOP)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                ask("hello?")
        until(lambda: status_of(registry, "delphi").state is PluginState.UNAVAILABLE)
        assert "its circuit is open: 5 calls in a row got no answer" in status_of(registry, "delphi").reason
        until(lambda: gone(before))
        until(lambda: answers(registry))
        assert pid_of(registry) != before


def test_what_takes_too_long_is_cancelled_on_the_other_side(
    registry: PluginRegistry, server: WriteServer, plugins: Path, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    server("delphi", f"said={heard}", call_timeout_sec=0.2)
    registry.discover(plugins)
    with registry.running():
        with pytest.raises(TimeoutError):
            registry.get_plugin("oracle", "delphi").ask("wait 1")
        until(heard.exists)
        until(lambda: heard.read_text() == "cancelled\n")


async def test_a_caller_that_gives_up_cancels_it_too(
    registry: PluginRegistry, server: WriteServer, plugins: Path, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    server("delphi", f"said={heard}")
    registry.discover(plugins)
    async with registry.running():
        call = asyncio.ensure_future(registry.get_plugin("oracle", "delphi").aio.ask("wait 30"))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for _ in range(500):
            if heard.exists():
                break
            await asyncio.sleep(0.01)
        assert heard.read_text() == "cancelled\n"
        assert (await registry.get_plugin("oracle", "delphi").aio.ask("hm")).answer == "delphi: hm"


def test_max_concurrency_holds(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi", max_concurrency=2)
    registry.discover(plugins)
    with registry.running(), ThreadPoolExecutor(6) as pool:
        began = time.monotonic()
        list(pool.map(registry.get_plugin("oracle", "delphi").ask, ["wait 0.1"] * 6))
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("question", ["noise", "garbage", "strange"])
def test_what_is_no_message_does_not_end_the_session(
    registry: PluginRegistry, server: WriteServer, plugins: Path, caplog: pytest.LogCaptureFixture, question: str
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        before = pid_of(registry)
        assert ask(question).answer == f"delphi: {question}"
        assert pid_of(registry) == before
    told = [record.message for record in caplog.records if "standard output" in record.message]
    assert len(told) <= 20
    assert (question == "strange") == (told == [])
    assert not any("\x1b" in one for one in told)


def test_what_is_too_long_is_an_error_of_one_call(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:

    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        before = pid_of(registry)
        with pytest.raises(PayloadInvalid, match="more than 10485760 bytes") as caught:
            ask("long 20000000")
        assert caught.value.side == "output"
        with pytest.raises(PayloadInvalid, match=r"takes 11000.* bytes as JSON, and at most 10485760") as caught:
            ask("x" * 11_000_000)
        assert caught.value.side == "input"
        assert len(ask("long 9000000").answer) == 9_000_000
        assert ask("endless 30000000").answer == "delphi: endless 30000000"
        assert pid_of(registry) == before


def test_an_answer_that_cannot_be_read_ends_its_call(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        with pytest.raises(PluginError, match="its answer is none of a tool"):
            ask("unreadable")
        assert ask("?").answer == "delphi: ?"


def test_one_that_closes_its_input_is_started_again(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        before = pid_of(registry)
        with suppress(PluginUnavailable):  # it may be gone before it has answered
            ask("deaf")
        with suppress(PluginUnavailable):  # which is how that is noticed
            ask("?")
        after = before
        while after == before:
            with suppress(PluginUnavailable):
                after = pid_of(registry)


def test_one_that_floods_its_host_holds_up_no_other(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi", call_timeout_sec=4)
    server("fine")
    registry.discover(plugins)
    with registry.running(), ThreadPoolExecutor(1) as pool:
        flood = pool.submit(registry.get_plugin("oracle", "delphi").ask, "flood 1.5")
        time.sleep(0.2)  # for it to begin
        for _ in range(5):
            assert registry.get_plugin("oracle", "fine").ask("?").answer == "fine: ?"
        assert not flood.done()
        with suppress(TimeoutError):  # its own answer comes after all that
            flood.result(20)


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [(0.0001, 0.22), (0.001, 0.3), (0.002, 0)],
    ids=["as fast as it can", "on a busy machine", "as others do, too"],
)
def test_a_flood_is_read_slowly_and_leaves_half_of_the_time(
    seconds: float, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second's work of the host, by its own clock, with so many seconds for each line."""
    now, pauses = [0.0], set()

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        pauses.add(round(seconds, 2))

    async def read() -> None:
        process = Mock(stdout=asyncio.StreamReader())
        process.stdout.feed_data(b'{"jsonrpc": "2.0", "method": "notifications/message"}\n' * 3000)
        incoming = lines.Incoming(process, pytest.fail)
        while now[0] < 1:
            await incoming.receive()
            now[0] += seconds

    monkeypatch.setattr(lines, "time", Mock(monotonic=lambda: now[0]))
    monkeypatch.setattr(lines, "asyncio", Mock(wraps=asyncio, sleep=sleep))
    asyncio.run(read())
    assert pauses == {0, pause}


def test_one_that_closes_its_output_is_started_again(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        with pytest.raises(PluginUnavailable, match="it closed its output"):
            registry.get_plugin("oracle", "delphi").ask("close")
        until(lambda: status_of(registry, "delphi").state is PluginState.READY)


TOOL = {"kind": "tool"}
TOOL_INPUT = {"type": "object"}
TOOLS = json.dumps([{"name": f"tool.delphi.{hook}", "inputSchema": TOOL_INPUT} for hook in ("execute", "get_schema")])


def test_what_it_says_of_its_inputs_holds_after_a_restart(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi", f"tools={TOOLS}", **TOOL)
    registry.discover(plugins)
    with registry.running():
        execute = registry.get_plugin("tool", "delphi").execute
        assert execute(city="Oslo") == {"did": {"city": "Oslo"}}
        for _ in range(2):
            with pytest.raises(PayloadInvalid, match="'city' is missing"):
                execute(town="Oslo")
            kill_all()
            until(lambda: status_of(registry, "delphi").state is PluginState.READY)


def test_what_it_says_of_its_inputs_must_be_a_schema(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi", f"tools={TOOLS}", "schemaless=yes", **TOOL)
    registry.discover(plugins)
    with registry.running():
        assert status_of(registry, "delphi").state is PluginState.UNAVAILABLE
        assert "is not a JSON Schema" in status_of(registry, "delphi").reason
        until(lambda: children() == set())


@pytest.mark.parametrize("code", [-32000, -32001, -32013, -32014, -32015, -32603])
def test_a_servers_own_errors_are_its_answers(
    registry: PluginRegistry, server: WriteServer, plugins: Path, code: int
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        before = pid_of(registry)
        for _ in range(6):
            with pytest.raises(PluginError, match="refused the call: no such account"):
                ask(f"code {code} no such account")
        assert pid_of(registry) == before


def test_what_it_tells_is_cut_and_moves_no_cursor(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        with pytest.raises(PluginError) as caught:
            ask("shout 1000000")
        assert len(str(caught.value)) < 5000
        assert "\x1b" not in str(caught.value)
        with pytest.raises(PluginError, match="its content is of type image; structured content holds a result"):
            ask("image")


def test_who_does_not_read_costs_no_more_than_so_much(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)

    async def program() -> list[str]:
        outcomes = []
        async with registry.running():
            ask = registry.get_plugin("oracle", "delphi").aio.ask
            os.kill(int((await ask("pid")).answer), signal.SIGSTOP)
            for _ in range(20):
                try:
                    async with asyncio.timeout(0.05):
                        await ask("x" * 1_000_000)
                except (TimeoutError, PluginUnavailable) as error:
                    outcomes.append(str(error))
        return outcomes

    outcomes = asyncio.run(program())
    assert any("it doesn't read what it is sent" in told for told in outcomes)
    assert children() == set()


def test_a_lock_is_looked_at_before_each_start(plugins: Path, server: WriteServer) -> None:
    folder = server("delphi")
    locked = LockedPlugin.of(load_manifest(folder), Contents(folder).hash)
    registry = PluginRegistry(lock=PluginLock.of([locked]))
    registry.add_hookspecs(HERE / "kinds")
    registry.discover(plugins)
    with registry.running():
        assert answers(registry)
        (folder / "more.py").write_text("evil = True")
        with pytest.raises(PluginUnavailable):
            registry.get_plugin("oracle", "delphi").ask("kill")
        until(lambda: "its files were changed" in status_of(registry, "delphi").reason)


# Ending


def test_a_teardown_waits_for_no_attempt(
    registry: PluginRegistry, server: WriteServer, plugins: Path, tmp_path: Path
) -> None:
    once = tmp_path / "once"  # from the second time on, it never answers the handshake
    hangs = f"import os, time; os.path.exists({str(once)!r}) and time.sleep(60); open({str(once)!r}, 'w').close(); "
    program = f"import sys; sys.argv = ['oracle.py', 'delphi']; {hangs}exec(open({str(HERE / 'oracle.py')!r}).read())"
    server("delphi", stdio={"command": ["python3", "-c", program]})
    registry.discover(plugins)
    with registry.running():
        os.kill(pid_of(registry), signal.SIGKILL)
        until(lambda: status_of(registry, "delphi").state is PluginState.UNAVAILABLE)
        time.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert children() == set()


def test_nothing_is_left_after_teardown(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi")
    server("deaf", "deaf=yes")
    registry.discover(plugins)
    before = wires()
    with registry.running():
        child = int(registry.get_plugin("oracle", "delphi").ask("child").answer)
        pids = {pid_of(registry), pid_of(registry, "deaf")}
        assert pids <= children()
        began = time.monotonic()
    assert 6 < time.monotonic() - began < 12  # of the deaf one: 2 s until SIGTERM, 5 s until SIGKILL
    assert children() == set()
    assert gone(child)
    assert {status_of(registry, name).state for name in ("delphi", "deaf")} == {PluginState.STOPPED}
    assert wires() <= before


def test_a_teardown_that_takes_too_long_is_cut_short(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("deaf", "deaf=yes", teardown_timeout_sec=0.3)
    registry.discover(plugins)
    told = r"teardown took longer than teardown_timeout_sec = 0\.3; it was ended"
    with pytest.raises(TeardownErrors, match=told), registry.running():
        began = time.monotonic()
    assert time.monotonic() - began < 5
    until(lambda: children() == set())
    assert status_of(registry, "deaf").state is PluginState.STOPPED


async def test_unregistering_ends_it(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi")
    registry.discover(plugins)
    async with registry.running():
        pid = pid_of(registry)
        await registry.unregister("oracle", "delphi")
        assert gone(pid)


async def test_a_start_that_is_given_up_leaves_nothing(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("slow", "sleep=60")
    registry.discover(plugins)
    starting = asyncio.ensure_future(registry.setup_all())
    while not children():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    for _ in range(500):
        if not children():
            break
        await asyncio.sleep(0.01)
    assert children() == set()
    await registry.teardown_all()


def test_strict_takes_back_what_had_started(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi")
    server("broken", "exit=3")
    registry.discover(plugins)
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(registry.setup_all(strict=True))
    assert "its process ended with status 3; it wrote last: I have had enough" in str(caught.value.exceptions[0])
    assert children() == set()


HOST = """
    import sys, time
    from dagstack_plugins import PluginRegistry

    registry = PluginRegistry()
    registry.add_hookspecs(sys.argv[1])
    registry.discover(sys.argv[2])
    with registry.running():
        for plugin in registry.list_manifests():
            print(registry.get_plugin("oracle", plugin.name).ask("pid").answer, flush=True)
        print(registry.get_plugin("oracle", "delphi").ask("child").answer, flush=True)
        print("ready", flush=True)
        time.sleep(60)
"""


def test_nothing_outlives_a_host_that_is_killed(server: WriteServer, plugins: Path) -> None:
    for name in ("delphi", "stopped", "deaf"):
        server(name, *(["deaf=yes"] if name == "deaf" else []))
    host = subprocess.Popen(
        [sys.executable, "-c", dedent(HOST), str(HERE / "kinds"), str(plugins)], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    with host, host.stdout:
        pids = [int(line) for line in iter(host.stdout.readline, "ready\n")]
        assert len(pids) == 4
        guards = {one.pid for one in psutil.Process(host.pid).children()}
        os.kill(pids[2], signal.SIGSTOP)
        host.kill()
    until(lambda: all(gone(pid) for pid in (*pids, *guards)), 5)


def test_a_fork_of_the_host_keeps_nothing_alive(server: WriteServer, plugins: Path) -> None:
    server("delphi")
    forking = HOST.replace(
        "time.sleep(60)", "import os\n        if os.fork() == 0: time.sleep(20)\n        time.sleep(60)"
    )
    host = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", dedent(forking), str(HERE / "kinds"), str(plugins)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert host.stdout is not None
    try:
        pids = [int(line) for line in iter(host.stdout.readline, "ready\n")]
        until(lambda: len([one for one in psutil.Process(host.pid).children() if "-c" in one.cmdline()]) == 1)
        host.kill()
        until(lambda: all(gone(pid) for pid in pids), 5)
    finally:
        os.killpg(host.pid, signal.SIGKILL)
        host.wait()
        host.stdout.close()


def test_a_fork_of_the_host_is_told_that_plugins_are_not_its_own(server: WriteServer, plugins: Path) -> None:
    server("delphi")
    forking = """
        import os, sys
        from dagstack_plugins import PluginRegistry, PluginUnavailable

        registry = PluginRegistry()
        registry.add_hookspecs(sys.argv[1])
        registry.discover(sys.argv[2])
        with registry.running():
            ask = registry.get_plugin("oracle", "delphi").ask
            if (child := os.fork()) == 0:
                try:
                    ask("hm")
                except PluginUnavailable as error:
                    print(error, flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            print(ask("hm").answer)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(forking), str(HERE / "kinds"), str(plugins)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    told = "the plugins were started by the process that this one was forked from; make a registry of its own here"
    assert (done.stdout, done.stderr) == (f"{told}\ndelphi: hm\n", "")


# What is hostile


def test_a_guard_that_its_plugin_kills_or_stops_takes_the_plugin_along(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        pid = pid_of(registry)
        guard = psutil.Process(pid).ppid()
        os.kill(guard, signal.SIGKILL)
        until(lambda: gone(pid))
        until(lambda: status_of(registry, "delphi").state is PluginState.READY)
        pid = pid_of(registry)
        os.kill(psutil.Process(pid).ppid(), signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 14
    assert children() == set()
    assert gone(pid)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["version=1999-01-01"], "the handshake failed: Unsupported protocol version from the server: 1999-01-01"),
        (["exit=0"], "its process ended with status 0; it wrote last: I have had enough"),
        (['tools=[{"name": 5}]'], "its list of tools is none: tools.0.inputSchema: Field required"),
        (['tools="none"'], "its list of tools is none"),
        (["tools=[]"], "it lacks the tool 'oracle.delphi.ask', which hook 'ask' needs"),
    ],
)
def test_a_handshake_that_fails_says_why(
    registry: PluginRegistry, server: WriteServer, plugins: Path, options: list[str], told: str
) -> None:
    server("delphi", *options)
    registry.discover(plugins)
    with registry.running():
        assert status_of(registry, "delphi").state is PluginState.UNAVAILABLE
        assert told in status_of(registry, "delphi").reason
    assert children() == set()


FAULTS = ["kill", "stop", "garbage", "exit 1", "long 50000000", "endless 50000000"]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_hurt_nobody_else(registry: PluginRegistry, server: WriteServer, plugins: Path, fault: str) -> None:
    server("delphi", call_timeout_sec=0.25, stdio={"max_restarts": 1000, "backoff_sec": 0})
    server("dodona")
    registry.discover(plugins)
    with registry.running():
        pid_of(registry)
        gc.collect()
        process = psutil.Process()
        descriptors, threads = process.num_fds(), threading.active_count()
        calm = threading.Event()
        others: list[str] = []

        def go_on() -> None:
            ask = registry.get_plugin("oracle", "dodona").ask
            while not calm.is_set():
                others.append(ask("fine?").answer)

        caller = threading.Thread(target=go_on)
        caller.start()
        outcomes = []
        try:
            with ThreadPoolExecutor(4) as pool:
                for _ in range(TIMES):
                    until(lambda: answers(registry))
                    ask = registry.get_plugin("oracle", "delphi").ask
                    began = time.monotonic()
                    calls = [pool.submit(ask, question) for question in ("wait 0.05", fault, "hm")]
                    for call in calls:
                        try:
                            outcomes.append(call.result(10).answer)
                        except (PluginUnavailable, PayloadInvalid, TimeoutError) as error:
                            outcomes.append(type(error).__name__)
                    assert time.monotonic() - began < 5
                    if fault == "stop":  # for good, if nobody ended it
                        psutil.Process(int(_stopped(registry))).kill()
        finally:
            calm.set()
            caller.join(20)
        assert len(outcomes) == 3 * TIMES
        assert set(others) == {"dodona: fine?"}
        until(lambda: answers(registry))
        assert len(children()) == 4  # two guards, two plugins
        gc.collect()
        until(lambda: process.num_fds() <= descriptors)
        assert threading.active_count() <= threads + 1
    assert children() == set()


def _stopped(registry: PluginRegistry) -> int:
    (found,) = [one.pid for one in psutil.Process().children(recursive=True) if one.status() == psutil.STATUS_STOPPED]
    return found


def test_exits_in_the_handshake_hurt_nobody_else(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("broken", "exit=1")
    server("dodona")
    registry.discover(plugins)

    async def program() -> None:
        async with registry.running():
            before = psutil.Process().num_fds()
            for _ in range(TIMES):
                await registry.setup_all()
                assert status_of(registry, "broken").state is PluginState.UNAVAILABLE
                assert (await registry.get_plugin("oracle", "dodona").aio.ask("?")).answer == "dodona: ?"
            assert psutil.Process().num_fds() <= before
            assert len(children()) == 2

    asyncio.run(program())


def test_twenty_start_together(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    for number in range(20):
        server(f"delphi{number}", "sleep=1")
    registry.discover(plugins)
    began = time.monotonic()
    with registry.running():
        assert time.monotonic() - began < 8  # one after the other would take twenty
        assert {status.state for status in registry.status()} == {PluginState.READY}
