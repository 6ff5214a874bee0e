"""Plugins that say process_cpu_bound run in processes of their own, whoever calls."""

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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    ListProgress,
    MemoryCheckpoints,
    PayloadInvalid,
    PluginContext,
    PluginError,
    PluginLoadError,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
    ResourceRegistry,
    RuntimeNotSupported,
    TeardownErrors,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")

PLUGIN = """
import os, signal, subprocess, sys, threading, time
from pathlib import Path


class One:
    def setup(self, ctx):
        self.ctx = ctx
        self.calls = 0

    def execute(self, args, ctx):
        self.calls += 1
        return getattr(self, args.get("do", "echo"))(args, ctx)

    def echo(self, args, ctx):
        return args

    def pid(self, args, ctx):
        time.sleep(args.get("seconds", 0))
        return [os.getpid(), self.calls]

    def run(self, args, ctx):
        scope = {"self": self, "ctx": ctx, "args": args, **globals()}
        exec(args["code"], scope)
        return scope.get("result")
"""

MANIFEST = {
    "name": "one",
    "kind": "tool",
    "runtime": "in_process",
    "core_version": ">=0.1",
    "execution_model": "process_cpu_bound",
}


class Host:
    """A registry with one plugin in processes, whose methods run the code that they are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = PluginRegistry(process_workers=2)
        self.resources = self.registry.resource_registry

    def add(self, code: str = PLUGIN, **fields: Any) -> None:
        plugin = self.folder / "one"
        plugin.mkdir()
        (plugin / "plugin.py").write_text(code, encoding="utf-8")
        (plugin / "dagstack.json").write_text(json.dumps({"plugin": MANIFEST | fields}), encoding="utf-8")
        self.registry.discover(self.folder, strict=True)

    def call(self, **payload: Any) -> Any:
        return self.registry.get_plugin("tool", "one").execute(payload)

    def run(self, code: str, **payload: Any) -> Any:
        return self.call(do="run", code=code, **payload)

    @property
    def status(self) -> Any:
        (status,) = self.registry.status()
        return status


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.registry.resource_registry.close()


@pytest.fixture
def one(host: Host) -> Iterator[Host]:
    """A host whose plugin runs."""
    host.add()
    with host.registry.running():
        yield host


def gone(pid: int) -> bool:
    """Whether a process has ended, or does so soon."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_calls_run_in_another_process_which_stays(one: Host) -> None:
    first, second = one.call(do="pid"), one.call(do="pid")
    assert first[0] != os.getpid()
    assert second == [first[0], 2], "its state stays from call to call"


@pytest.mark.parametrize("value", [None, True, 1.5, "ü\n\x00", [], {"a": [{"b": None}]}, 2**80, "x" * 2_000_000])
def test_payloads_and_results_travel_as_json(one: Host, value: Any) -> None:
    assert one.call(value=value) == {"value": value}


def test_async_callers_wait_without_blocking_their_loop(one: Host) -> None:
    async def main() -> list[Any]:
        call = one.registry.get_plugin("tool", "one").aio.execute
        began = time.monotonic()
        answers = await asyncio.gather(*(call(do="pid", seconds=0.2) for _ in range(2)), _ticks())
        assert answers[-1] > 10, "the loop went on meanwhile"
        assert time.monotonic() - began < 10
        return answers[:-1]

    async def _ticks() -> int:
        for _ in range(20):
            await asyncio.sleep(0.005)
        return 20

    assert len({pid for pid, _ in asyncio.run(main())}) == 2, "two calls at once, two processes"


def test_no_more_calls_run_at_once_than_the_host_says(one: Host) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: one.call(do="pid", seconds=0.05), range(8)))
    assert len({pid for pid, _ in answers}) == 2, "process_workers=2"


def test_max_concurrency_holds(host: Host) -> None:
    host.add(max_concurrency=1)
    with host.registry.running(), ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: host.call(do="pid", seconds=0.02), range(4)))
    assert sorted(calls for _, calls in answers) == [1, 2, 3, 4], "one process took them all"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise LookupError('no such thing')", r"raised LookupError: no such thing"),
        ("raise SystemExit(4)", "raised SystemExit: 4"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("class Odd(BaseException):\n    def __str__(self): raise ValueError\nraise Odd", "raised Odd"),
        ("raise ExceptionGroup('several', [ValueError('one')])", "raised ExceptionGroup: several"),
        ("def deep(): deep()\ndeep()", "raised RecursionError"),
        ("raise StopIteration(1)", "raised StopIteration: 1"),
        ("raise TimeoutError('its own')", "raised TimeoutError: its own"),
    ],
)
def test_what_a_plugin_raises_there_is_a_plugin_error_here(one: Host, code: str, told: str) -> None:
    before = one.call(do="pid")[0]
    with pytest.raises(PluginError, match=told) as caught:
        one.run(code)
    error = caught.value
    assert (error.kind, error.plugin, error.hook) == ("tool", "one", "execute")
    assert error.error_type == told.split()[1].rstrip(":")
    assert "worker.py" not in str(error.remote_traceback), "the plugin's own frames, not ours"
    assert one.call(do="pid")[0] == before, "the process goes on"


def test_the_message_says_where_the_plugin_failed(one: Host) -> None:
    with pytest.raises(PluginError, match=r"one.plugin\.py, line \d+\)") as caught:
        one.call(do="nothing")
    assert "AttributeError: 'One' object has no attribute 'nothing'" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os._exit(3)", "exited with status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
        ("os.closerange(3, 100); time.sleep(10)", "closed its connection"),
        ("os.kill(os.getpid(), 35)", "was ended by signal 35"),
        ("if os.fork(): os._exit(0)\nelse: time.sleep(10)", "exited with status 0"),
    ],
)
def test_a_worker_that_dies_fails_its_call_and_the_next_one_works(one: Host, code: str, told: str) -> None:
    before = one.call(do="pid")[0]
    with pytest.raises(PluginError, match=told):
        one.run(code)
    after, calls = one.call(do="pid")
    assert after != before
    assert calls == 1, "it was set up afresh"
    assert one.status.state is PluginState.READY
    assert gone(before)


def test_a_worker_that_died_between_calls_is_replaced(one: Host) -> None:
    before = one.call(do="pid")[0]
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert one.call(do="pid")[0] != before


@pytest.mark.parametrize(
    "code",
    [
        "for d in range(3, 500):\n    try: os.write(d, b'\\0' * 7 + b'\\x03not')\n    except OSError: pass",
        "for d in range(3, 500):\n    try: os.write(d, b'\\xff' * 100)\n    except OSError: pass",
        "for d in range(3, 500):\n    try: os.write(d, b'\\0' * 7 + b'\\x02[]')\n    except OSError: pass",
    ],
)
def test_a_plugin_that_writes_into_the_connection_fails_its_own_call(one: Host, code: str) -> None:
    with pytest.raises(PluginError, match=r"broke the connection|ended"):
        one.run(code)
    assert one.call(value=1) == {"value": 1}


@pytest.mark.parametrize("told", ["nonsense", "log", "progress", "checkpoint", "cancelled"])
def test_what_a_plugin_tells_is_not_trusted(one: Host, told: str) -> None:
    code = f"""
import json
message = json.dumps({{"told": {told!r}, "what": [1, {{}}], "asks": False}}).encode()
for d in range(3, 500):
    try: os.write(d, len(message).to_bytes(8, "big") + message)
    except OSError: pass
"""
    one.run(code)
    assert one.call(value=1) == {"value": 1}


def test_a_fork_that_comes_back_answers_nobody(one: Host) -> None:
    assert one.run("if os.fork() == 0: sys.exit(0)\nresult = 'first'") == "first"
    assert one.run("if os.fork() == 0: print('child')\nresult = 'second'") == "second"
    code = (
        "import multiprocessing\n"
        "def work(): ctx.logger.error('from a fork'); ctx.progress.update(1)\n"
        "p = multiprocessing.get_context('fork').Process(target=work)\np.start(); p.join()\nresult = p.exitcode"
    )
    assert one.run(code) == 0
    assert [one.call(value=number) for number in range(5)] == [{"value": number} for number in range(5)]


def test_a_reply_without_a_result_is_none(one: Host) -> None:
    code = """
import json
message = json.dumps({"requires_restart": False, "number": 2}).encode()
for d in range(3, 500):
    try: os.write(d, len(message).to_bytes(8, "big") + message)
    except OSError: pass
"""
    with pytest.raises(PluginError, match="expected what the hook returned, found"):
        one.run(code)


def test_a_surplus_reply_is_nobodys_answer(one: Host) -> None:
    code = """
import json
message = json.dumps({"value": "forged", "number": 2}).encode()
for d in range(3, 500):
    try: os.write(d, len(message).to_bytes(8, "big") + message)
    except OSError: pass
result = "true"
"""
    assert one.run(code) in ("true", "forged")
    with pytest.raises(PluginError, match="expected the reply to message 3, found 2"):
        one.call(value=1)
    assert one.call(value=1) == {"value": 1}


async def test_a_call_that_was_cancelled_when_it_had_ended_hurts_no_other(host: Host) -> None:
    host.add()
    async with host.registry.running():
        call = host.registry.get_plugin("tool", "one").aio.execute
        task = asyncio.create_task(call(do="pid", seconds=0.05))
        await asyncio.sleep(0.01)
        time.sleep(0.3)  # it ends, and the loop does not hear of it
        task.cancel()
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(host.registry.get_plugin("tool", "one").sync.execute, {"do": "pid", "seconds": 0.3})
            with pytest.raises(asyncio.CancelledError):
                await task
            assert answer.result(10)[1] == 2, "it was served by the same process"


async def test_a_blocking_call_on_the_loop_does_not_wait_for_an_awaited_one_for_ever(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.registry = PluginRegistry(process_workers=1)
    host.add(max_concurrency=1)
    async with host.registry.running():
        awaited = asyncio.create_task(host.registry.get_plugin("tool", "one").aio.execute(do="pid", seconds=0.2))
        await asyncio.sleep(0.05)
        assert host.call(value=1) == {"value": 1}
        assert (await awaited)[1] == 1


def test_a_loop_that_ends_under_a_call_keeps_no_place(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.registry = PluginRegistry(process_workers=1)
    host.add()
    with host.registry.running():
        loop = asyncio.new_event_loop()
        task = loop.create_task(host.registry.get_plugin("tool", "one").aio.execute(do="pid", seconds=0.2))
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()
        assert host.call(value=1) == {"value": 1}
        del task
        gc.collect()  # what never ends holds its plugin until it is gone


SLOW_SETUP = PLUGIN.replace("self.ctx = ctx", "time.sleep(0.6)")


def test_call_timeout_does_not_bound_the_setup_of_another_process(host: Host) -> None:
    host.add(SLOW_SETUP, call_timeout_sec=0.3)
    with host.registry.running():
        with pytest.raises(PluginError):
            host.run("os._exit(0)")
        assert host.call(value=1) == {"value": 1}


def test_the_setup_of_another_process_is_bounded_too(host: Host, tmp_path: Path) -> None:
    flag = tmp_path / "hang"
    code = PLUGIN.replace("self.ctx = ctx", f"time.sleep(60 if Path({str(flag)!r}).exists() else 0)")
    host.add(code, startup_timeout_sec=1)
    with host.registry.running():
        flag.touch()
        with pytest.raises(PluginError):
            host.run("os._exit(0)")
        with pytest.raises(PluginUnavailable, match="its setup took longer than startup_timeout_sec = 1"):
            host.call()
        flag.unlink()
        assert host.call(value=1) == {"value": 1}


async def test_callers_that_give_up_while_a_process_starts_leave_it_to_the_next(host: Host) -> None:
    host.add(SLOW_SETUP)
    async with host.registry.running():
        call = host.registry.get_plugin("tool", "one").aio.execute
        with pytest.raises(PluginError):
            await call(do="run", code="os._exit(0)")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call(value=1), 0.05)
        began = time.monotonic()
        assert await call(value=1) == {"value": 1}
        assert time.monotonic() - began < 5


def test_a_plugin_that_floods_its_log_keeps_no_caller_waiting(host: Host) -> None:
    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.001)

    host.add(call_timeout_sec=0.5)
    logger, handler = logging.getLogger("plugin.tool.one"), Slow()
    logger.addHandler(handler)
    try:
        with host.registry.running():
            with pytest.raises(TimeoutError):
                host.run("end = time.monotonic() + 20\nwhile time.monotonic() < end: ctx.logger.error('x' * 100)")
            assert host.call(value=1) == {"value": 1}
    finally:
        logger.removeHandler(handler)


def test_the_working_directory_is_no_place_to_import_from(host: Host, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    host.add()
    with host.registry.running():
        assert host.call(value=1) == {"value": 1}


def test_a_fork_of_the_host_leaves_its_workers_alone(host: Host) -> None:
    host.add()
    with host.registry.running():
        pid = host.call(do="pid")[0]
        child = os.fork()
        if child == 0:  # no assertion here: pytest must not go on twice
            try:
                os._exit(0 if host.call(do="pid")[0] != pid else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0, "the child started one of its own"
        assert host.call(do="pid") == [pid, 2]


def test_a_resource_that_is_never_made_holds_up_its_plugin_alone(host: Host) -> None:
    hanging = threading.Event()
    host.resources.register("slow", factory=lambda: hanging.wait(20))
    host.add(resources={"required": ["slow"]}, startup_timeout_sec=0.2)
    try:
        with host.registry.running():
            assert "took longer than startup_timeout_sec = 0.2" in host.status.reason
    finally:
        hanging.set()


def test_processes_are_torn_down_side_by_side(host: Host, tmp_path: Path) -> None:
    host.add(
        torn_down(f"time.sleep(0.6); Path({str(tmp_path)!r}, f'bye{{os.getpid()}}').touch()"), teardown_timeout_sec=1
    )
    with host.registry.running(), ThreadPoolExecutor(2) as threads:
        assert len({pid for pid, _ in threads.map(lambda _: host.call(do="pid", seconds=0.2), range(2))}) == 2
    assert len(list(tmp_path.glob("bye*"))) == 2


def test_what_a_teardown_prints_is_printed(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    host.add(torn_down("import atexit; atexit.register(print, 'last'); print('bye')"))
    with host.registry.running():
        pass
    assert capfd.readouterr().out == "bye\nlast\n"


async def test_a_teardown_that_is_cancelled_while_calls_run_leaves_no_process(host: Host) -> None:
    host.add()
    await host.registry.setup_all()
    call = asyncio.create_task(host.registry.get_plugin("tool", "one").aio.execute(do="pid", seconds=30))
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(host.registry.teardown_all(), 0.2)
    with pytest.raises(PluginUnavailable):
        await call
    assert host.status.state is PluginState.STOPPED
    await host.registry.setup_all()
    assert await host.registry.get_plugin("tool", "one").aio.execute(value=1) == {"value": 1}
    await host.registry.teardown_all()


def test_a_call_that_takes_too_long_is_ended_with_all_that_it_started(host: Host, tmp_path: Path) -> None:
    host.add(call_timeout_sec=0.5)
    child = tmp_path / "child"
    with host.registry.running():
        before = host.call(do="pid")[0]
        with pytest.raises(TimeoutError, match=r"call_timeout_sec = 0\.5; its process was ended"):
            host.run(
                "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
                "Path(args['child']).write_text(str(p.pid))\nwhile True: pass",
                child=str(child),
            )
        assert gone(before)
        assert gone(int(child.read_text()))
        assert host.call(value=1) == {"value": 1}


async def test_a_cancelled_call_ends_its_process(host: Host, tmp_path: Path) -> None:
    host.add()
    started = tmp_path / "pid"
    async with host.registry.running():
        call = host.registry.get_plugin("tool", "one").aio.execute
        code = "Path(args['to']).write_text(str(os.getpid()))\ntime.sleep(60)"
        task = asyncio.create_task(call(do="run", code=code, to=str(started)))
        while not (started.exists() and started.read_text()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gone(int(started.read_text()))
        assert await call(value=1) == {"value": 1}


async def test_calls_that_are_cancelled_while_they_wait_take_nothing_along(host: Host) -> None:
    host.add()
    async with host.registry.running():
        call = host.registry.get_plugin("tool", "one").aio.execute
        tasks = [asyncio.create_task(call(do="pid", seconds=0.05)) for _ in range(8)]
        await asyncio.sleep(0.02)
        for task in tasks[3:]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, list) for one in done] == [True] * 3 + [False] * 5
        assert await call(value=1) == {"value": 1}


def test_a_payload_that_is_too_long_is_told_before_it_is_sent(one: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = one.call(do="pid")[0]
    monkeypatch.setattr("dagstack_plugins.dispatch.remote.LIMIT", 1000)
    with pytest.raises(PayloadInvalid, match=r"takes 1\d{3} bytes as JSON, and at most 1000 go to a worker") as caught:
        one.call(value="x" * 1000)
    assert (caught.value.side, caught.value.path) == ("input", "$")
    assert one.call(do="pid")[0] == before


def test_a_result_that_is_too_long_is_told(one: Host) -> None:
    with pytest.raises(PayloadInvalid, match=r"takes \d+ bytes as JSON, and a worker process hands over") as caught:
        one.run("result = 'x' * (64 * 1024 * 1024 + 1)")
    assert caught.value.side == "output"
    assert one.call(value=1) == {"value": 1}


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("result = object()", "$"),
        ("result = {1}", "$"),
        ("result = float", "$"),
        ("result = {'a': {'b': b''}}", "$.a.b"),
    ],
)
def test_a_result_that_has_no_form_in_json_is_told(one: Host, code: str, path: str) -> None:
    with pytest.raises(PayloadInvalid, match="what plugin 'one' returned is not valid") as caught:
        one.run(code)
    assert (caught.value.side, caught.value.plugin) == ("output", "one")
    assert caught.value.path == path


def test_metadata_reaches_the_worker(one: Host) -> None:
    with one.registry.metadata(tenant="acme", nested={"a": [1]}):
        assert one.run("result = dict(ctx.metadata)") == {"tenant": "acme", "nested": {"a": [1]}}
    assert one.run("result = dict(ctx.metadata)") == {}


def test_progress_checkpoints_and_log_lines_reach_the_host(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.add()
    heard, kept = ListProgress(), MemoryCheckpoints()
    caplog.set_level(logging.INFO)
    with host.registry.running(PluginContext(progress_sink=heard, checkpoint_store=kept)):
        assert host.run(
            "ctx.progress.update(30, 'a third', {'page': 1}); ctx.progress.event('page_done', {'page': 2})\n"
            "first = ctx.checkpoint.load('cursor')\n"
            "result = [first, ctx.checkpoint.save('cursor', {'page': 3}), ctx.checkpoint.load('cursor'),"
            " ctx.checkpoint.list('cur'), ctx.in_flight]\n"
            "ctx.logger.info('at page %d', 3); ctx.logger.debug('unheard')\n"
            "import logging; logging.getLogger('lib').error('of a library', exc_info=ValueError('bad'))\n"
            "ctx.logger.getChild('sub').error('of a part')"
        ) == [[None, 0], 1, [{"page": 3}, 1], ["cursor"], 1]
    told = [(event.type, event.percent, event.message, event.payload) for event in heard.events]
    assert told == [("progress", 30.0, "a third", {"page": 1}), ("page_done", None, "", {"page": 2})]
    assert kept.load("tool/one", "cursor") == ({"page": 3}, 1)
    lines = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert ("plugin.tool.one", "INFO", "at page 3") in lines
    assert ("plugin.tool.one.lib", "ERROR", "of a library") in lines
    assert ("plugin.tool.one.sub", "ERROR", "of a part") in lines
    assert "plugin.tool.one.lib" not in logging.Logger.manager.loggerDict, "no logger is made of what comes from there"
    assert "unheard" not in caplog.text
    assert "ValueError: bad" in caplog.text


def test_an_error_of_the_hosts_checkpoint_store_reaches_the_plugin(host: Host) -> None:
    class Full(MemoryCheckpoints):
        def save(self, scope: str, key: str, state: Any) -> int:
            raise OSError("no space left")

    host.add()
    with host.registry.running(PluginContext(checkpoint_store=Full())):
        assert (
            host.run("try: ctx.checkpoint.save('a', 1)\nexcept OSError as error: result = str(error)")
            == "no space left"
        )


def test_each_call_hears_at_once_whether_the_host_wants_it(host: Host) -> None:
    unwanted = [False]
    host.add(PLUGIN.replace("def setup(self, ctx):", "def setup(self, ctx):\n        self.early = ctx.cancelled"))
    with host.registry.running(PluginContext(is_cancelled=lambda: unwanted[0])):
        assert host.run("result = [self.early, ctx.cancelled]") == [False, False]
        unwanted[0] = True
        assert host.run("result = ctx.cancelled") is True
        unwanted[0] = False
        assert host.run("result = ctx.cancelled") is False


INTERRUPTED = """
import signal
from dagstack_plugins.runtimes.channel import Channel
class Late(Exception): pass
def late(*_):
    self.seen = ctx.checkpoint.load('other')
    raise Late
signal.signal(signal.SIGALRM, late)
receive = Channel.receive
def slowly(channel, until=None):
    Channel.receive = receive
    signal.raise_signal(signal.SIGALRM)
    time.sleep(0.1)
    return receive(channel, until)
Channel.receive = slowly
try: QUESTION
except Late: result = [ctx.cancelled, ctx.checkpoint.save('a', 1), ctx.checkpoint.load('a')]
finally: signal.signal(signal.SIGALRM, signal.SIG_DFL)
"""


@pytest.mark.parametrize("question", ["ctx.cancelled", "ctx.checkpoint.load('a')"])
def test_a_signal_that_breaks_a_question_off_leaves_its_answer_to_nobody(one: Host, question: str) -> None:
    for number in range(1, 3):
        assert one.run(INTERRUPTED.replace("QUESTION", question)) == [False, number, [1, number]]
        assert [one.call(value=value) for value in range(3)] == [{"value": value} for value in range(3)]
    assert one.run("result = self.seen") == [None, 0]


def test_who_looks_whether_it_is_cancelled_waits_for_no_checkpoint_nor_in_a_fork(host: Host) -> None:
    class Slow(MemoryCheckpoints):
        def load(self, scope: str, key: str) -> Any:
            time.sleep(1)
            return super().load(scope, key)

    host.add()
    with host.registry.running(PluginContext(checkpoint_store=Slow())):
        assert host.run(
            "import signal\n"
            "saving = threading.Thread(target=lambda: ctx.checkpoint.load('a'))\n"
            "saving.start()\n"
            "time.sleep(0.2)\n"
            "if (child := os.fork()) == 0:\n"
            "    signal.alarm(5)\n"
            "    os._exit(ctx.cancelled)\n"
            "result = [ctx.cancelled, saving.is_alive(), os.waitpid(child, 0)[1]]\n"
            "saving.join()"
        ) == [False, True, 0]


def test_between_calls_the_host_does_not_listen(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    host.add()
    with host.registry.running():
        host.run(
            "def late():\n"
            "    time.sleep(0.2)\n"
            "    try: ctx.checkpoint.load('a')\n"
            "    except Exception as error: self.late = f'{error} {ctx.cancelled}'\n"
            "    ctx.progress.update(1)\n"
            "    ctx.logger.error('into the void')\n"
            "    self.done = True\n"
            "threading.Thread(target=late).start()"
        )
        time.sleep(0.4)
        late = host.run("while not hasattr(self, 'done'): time.sleep(0.01)\nresult = self.late")
    assert "while a hook of it runs" in late
    assert late.endswith("False")
    assert "into the void" in capfd.readouterr().err


def test_what_it_prints_is_printed_and_its_input_is_empty(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    host.add()
    with host.registry.running():
        assert host.run("print('hello')\nresult = sys.stdin.read()") == ""
        assert capfd.readouterr().out == "hello\n"


def test_configuration_and_standard_resources_are_there(host: Host) -> None:
    host.add(
        config_schema={"properties": {"a": {"type": "integer"}, "b": {"default": 2}}},
        resources={"required": ["clock", "rng", "tmpdir"], "optional": ["absent"]},
    )
    with host.registry.running(PluginContext(config={"tool": {"one": {"a": 1}}})):
        assert host.run("result = ctx.config") == {"a": 1, "b": 2}
        assert host.run("result = ctx.resources.absent") is None
        assert abs(host.run("result = ctx.resources.clock.now().timestamp()") - time.time()) < 60
        assert len(host.run("result = ctx.resources.rng.uuid4()")) == 36
        with ThreadPoolExecutor(2) as threads:
            code = "time.sleep(0.1); result = [os.getpid(), str(ctx.resources.tmpdir.create_file(args['name']))]"
            made = list(threads.map(lambda name: host.run(code, name=name), ["a", "b"]))
        files = [Path(file) for _, file in made]
        assert len({pid for pid, _ in made}) == 2
        assert files[0].parent == files[1].parent, "one folder for the plugin, in all its processes"
        assert all(file.exists() for file in files)
        with pytest.raises(PluginError):
            host.run("os._exit(1)")
        assert files[0].exists(), "it is the host's, and outlives a worker"
    assert not files[0].parent.exists()


@pytest.fixture
def lent_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the host's, which workers import as well."""
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "lent_by_host.py").write_text(
        "import os, threading\n"
        "class Plain:\n    def __init__(self, word): self.word = word\n"
        "class Locked:\n    def __init__(self): self.lock = threading.Lock(); self.made_in = os.getpid()\n"
        "def make(manifest): return Locked()\n"
        "def shout(resource, manifest): resource.loud = manifest.name.upper(); return resource\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    import lent_by_host  # type: ignore[import-not-found]

    yield lent_by_host
    sys.modules.pop("lent_by_host")


def test_resources_travel_as_copies_or_are_made_there(host: Host, lent_module: Any) -> None:
    host.resources.register("word", lent_module.Plain("hello"))
    host.resources.decorate("word", lent_module.shout)
    host.resources.register("pool", factory=lent_module.make, scope="plugin")
    host.resources.decorate("pool", lent_module.shout)
    host.add(resources={"required": ["word", "pool"]})
    with host.registry.running():
        assert host.run("result = [ctx.resources.word.word, ctx.resources.word.loud]") == ["hello", "ONE"]
        made_in, pid, loud = host.run("p = ctx.resources.pool; result = [p.made_in, os.getpid(), p.loud]")
        assert made_in == pid
        assert loud == "ONE"


@pytest.mark.parametrize("how", ["a lock", "a local factory", "a lambda around it", "of the program"])
def test_a_plugin_whose_resources_cannot_travel_is_unavailable(host: Host, lent_module: Any, how: str) -> None:
    if how == "a lock":
        host.resources.register("thing", lent_module.Locked())
    elif how == "a local factory":
        host.resources.register("thing", factory=lambda manifest: lent_module.Plain("x"), scope="plugin")
    elif how == "a lambda around it":
        host.resources.register("thing", factory=lent_module.make, scope="plugin")
        host.resources.decorate("thing", lambda resource, manifest: resource)
    else:
        cls = type("Local", (), {"__module__": "__main__"})
        sys.modules["__main__"].Local = cls  # type: ignore[attr-defined]
        host.resources.register("thing", cls())
    host.add(resources={"required": ["thing"]})
    with host.registry.running():
        assert host.status.state is PluginState.UNAVAILABLE
        assert "the resource 'thing' can't go to a worker process" in host.status.reason
        assert 'scope="plugin"' in host.status.reason
        with pytest.raises(PluginUnavailable, match="can't go to a worker process"):
            host.call()
    if how == "of the program":
        assert "defined in the program itself" in host.status.reason
        del sys.modules["__main__"].Local  # type: ignore[attr-defined]


def test_a_configuration_that_is_too_long_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagstack_plugins.lifecycle.in_processes.LIMIT", 5000)
    host.add()
    with host.registry.running(PluginContext(config={"tool": {"one": {"text": "x" * 9000}}})):
        assert "at most 5000 go to a worker process; most of it is its configuration" in host.status.reason


def test_a_payload_error_of_a_call_that_the_plugin_made_is_its_own_failure(one: Host) -> None:
    code = (
        "from dagstack_plugins import PayloadInvalid\nraise PayloadInvalid('bad', kind='other', hook='h', plugin='p')"
    )
    with pytest.raises(PluginError, match="raised PayloadInvalid: bad"):
        one.run(code)


def test_a_configuration_that_cannot_travel_is_told(host: Host) -> None:
    host.add()
    with host.registry.running(PluginContext(config={"tool": {"one": {"lock": threading.Lock()}}})):
        assert "its configuration can't go to a worker process" in host.status.reason


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("raise ValueError('no database')", r"setup failed .*plugin\.py, line \d+\): ValueError: no database, in its"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "its worker process exited with status 3, in setup"),
        ("import time; time.sleep(60)", r"setup took longer than startup_timeout_sec = 1\.5; its process was ended"),
    ],
)
def test_a_setup_that_fails_there_makes_the_plugin_unavailable(host: Host, setup: str, told: str) -> None:
    host.add(PLUGIN.replace("self.ctx = ctx", setup), startup_timeout_sec=1.5)
    with host.registry.running():
        status = host.status
        assert status.state is PluginState.UNAVAILABLE
        with pytest.raises(PluginUnavailable, match=told):
            host.call()


def test_a_setup_that_fails_in_a_later_process_fails_the_call(host: Host, tmp_path: Path) -> None:
    flag = tmp_path / "fail"
    host.add(PLUGIN.replace("self.ctx = ctx", f"assert not Path({str(flag)!r}).exists(), 'told to'"))
    with host.registry.running():
        flag.touch()
        with pytest.raises(PluginError):
            host.run("os._exit(0)")
        with pytest.raises(PluginUnavailable, match=r"could not be set up in another worker process: .*told to"):
            host.call()
        flag.unlink()
        assert host.call(value=1) == {"value": 1}


def torn_down(code: str) -> str:
    return f"{PLUGIN}\n    def teardown(self):\n        {code}\n"


def test_teardown_runs_in_each_process_and_ends_it(host: Host, tmp_path: Path) -> None:
    host.add(torn_down(f"Path({str(tmp_path)!r}, f'bye{{os.getpid()}}').touch()"))
    with host.registry.running():
        with ThreadPoolExecutor(2) as threads:
            pids = {pid for pid, _ in threads.map(lambda _: host.call(do="pid", seconds=0.1), range(2))}
        assert len(pids) == 2
    assert {f"bye{pid}" for pid in pids} == {file.name for file in tmp_path.glob("bye*")}
    assert all(map(gone, pids))
    assert host.status.state is PluginState.STOPPED
    with host.registry.running():
        assert host.call(do="pid")[0] not in pids, "it starts again"


def test_a_teardown_that_fails_there_is_told(host: Host) -> None:
    host.add(torn_down("raise LookupError('lost')"))
    with pytest.raises(TeardownErrors, match="LookupError: lost"), host.registry.running():
        pid = host.call(do="pid")[0]
    assert gone(pid)
    assert host.status.state is PluginState.STOPPED


def test_a_teardown_that_hangs_there_leaves_nothing_behind(host: Host) -> None:
    host.add(torn_down("time.sleep(60)"), teardown_timeout_sec=0.2)
    told = r"teardown_timeout_sec = 0\.2; its process was ended"
    with pytest.raises(TeardownErrors, match=told), host.registry.running():
        pid = host.call(do="pid")[0]
    assert gone(pid)
    assert host.status.state is PluginState.STOPPED, "nothing of it is left"


def test_a_teardown_may_ask_for_a_new_process(host: Host) -> None:
    host.add(torn_down("return False"))
    with host.registry.running():
        pass
    assert host.status.state is PluginState.REQUIRES_RESTART


def test_a_call_that_outlasts_the_teardown_is_ended(host: Host) -> None:
    host.add(teardown_timeout_sec=0.2)
    with ThreadPoolExecutor(1) as threads:
        running = host.registry.running()
        running.__enter__()
        pid = host.call(do="pid")[0]
        call = threads.submit(host.call, do="pid", seconds=60)
        time.sleep(0.1)
        with pytest.raises(TeardownErrors, match="a call was still running"):
            running.__exit__(None, None, None)
        assert gone(pid)
        with pytest.raises(PluginUnavailable, match="was stopped, and its worker processes were ended"):
            call.result(10)
    assert host.status.state is PluginState.STOPPED


def test_a_plugin_that_watches_for_it_hurries(host: Host) -> None:
    host.add()
    with ThreadPoolExecutor(1) as threads:
        with host.registry.running():
            call = threads.submit(host.run, "while not ctx.cancelled: time.sleep(0.01)\nresult = 'hurried'")
            time.sleep(0.2)
        assert call.result(10) == "hurried"


def test_workers_end_with_a_host_that_is_killed(host: Host, tmp_path: Path) -> None:
    host.add()
    code = (
        "import sys\nfrom dagstack_plugins import PluginRegistry\n"
        f"registry = PluginRegistry(); registry.discover({str(tmp_path)!r})\n"
        "with registry.running():\n"
        "    one = registry.get_plugin('tool', 'one')\n"
        "    print(one.execute(do='pid')[0], flush=True)\n"
        "    one.execute(do='pid', seconds=60)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    time.sleep(0.1)
    program.kill()
    program.wait()
    program.stdout.close()
    assert gone(pid)


def test_an_interrupted_caller_takes_its_call_along(host: Host, tmp_path: Path) -> None:
    host.add()
    code = (
        "from dagstack_plugins import PluginRegistry\n"
        f"registry = PluginRegistry(); registry.discover({str(tmp_path)!r})\n"
        "with registry.running():\n"
        "    one = registry.get_plugin('tool', 'one')\n"
        "    print(one.execute(do='pid')[0], flush=True)\n"
        "    try: one.execute(do='pid', seconds=60)\n"
        "    except KeyboardInterrupt: print('interrupted', flush=True)\n"
        "    print(one.execute(do='pid')[1], flush=True)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    rest, _ = program.communicate(timeout=20)
    assert rest == "interrupted\n1\n"
    assert program.returncode == 0
    assert gone(pid)


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def execute(self, args: Any) -> Any:
        return args


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Locked, "cannot pickle '_thread.lock' object"),
        (type("Local", (), {"execute": lambda self, args: args}), "another process"),
        (type("Local", (), {"__module__": "__main__", "execute": lambda self, args: args}), "in the program itself"),
    ],
)
def test_a_plugin_that_a_process_cannot_load_is_told_at_once(make: Callable[[], Any], told: str) -> None:
    registry = PluginRegistry()
    with pytest.raises(PluginLoadError, match=told):
        registry.register(make() if make is Locked else make, MANIFEST)


def test_a_class_of_a_module_runs_in_processes(lent_module: Any) -> None:
    Path(lent_module.__file__).with_name("plugin_of_host.py").write_text(
        "import os\nclass Tool:\n    def execute(self, args): return os.getpid()\n"
    )
    import plugin_of_host  # type: ignore[import-not-found]

    registry = PluginRegistry()
    registry.register(plugin_of_host.Tool, MANIFEST)
    plugin_of_host.DAGSTACK_PLUGIN_MANIFEST = MANIFEST | {"name": "two"}
    registry.register_module(plugin_of_host)
    with registry.running():
        assert registry.get_plugin("tool", "one").execute() != os.getpid()
        assert registry.get_plugin("tool", "two").execute() != os.getpid()


def test_middleware_stays_with_its_host() -> None:
    class Around:
        def before(self, args: Any) -> None: ...

    with pytest.raises(RuntimeNotSupported, match="middleware goes round calls in the host's process"):
        PluginRegistry().register(Around, MANIFEST | {"kind": "horizontal_middleware", "priority": 1000})


def test_a_coroutine_function_is_refused(host: Host) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        host.add("class One:\n    async def execute(self, args): ...\n")
    assert isinstance(caught.value.exceptions[0], PluginLoadError)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "4", True])
def test_sizes_are_checked(workers: Any) -> None:
    with pytest.raises(ValueError, match="process_workers is a whole number, 1 or more"):
        PluginRegistry(process_workers=workers)


def test_what_a_tool_says_of_its_inputs_is_checked(host: Host) -> None:
    host.add(
        PLUGIN
        + "\n    def get_schema(self):\n        return {'properties': {'n': {'type': 'integer', 'default': 7}}}\n"
    )
    with host.registry.running():
        assert host.call() == {"n": 7}
        with pytest.raises(PayloadInvalid, match="is not what plugin 'one' takes") as caught:
            host.call(n="seven")
        assert (caught.value.side, caught.value.path) == ("input", "$.n")


KIND = {
    "kind": "step",
    "kind_api_version": "1.0.0",
    "hooks": [
        {"name": "add", "dispatch": "chain", "input_schema": "$", "output_schema": "$"},
        {"name": "hear", "dispatch": "broadcast_collect", "input_schema": "$", "output_schema": {"type": "string"}},
        {"name": "pick", "dispatch": "capability", "match": {"x": "supports.xs"}, "output_schema": {"type": "string"}},
    ],
}
STEP = """
from dagstack_plugins import STOP_CHAIN

class One:
    def setup(self, ctx):
        self.name = ctx.config["name"]

    def add(self, payload):
        if payload.x == 100: return STOP_CHAIN
        if payload.x == 200: return STOP_CHAIN.with_value({"x": 201})
        if payload.x == 300: return {"x": "not a number"}
        return {"x": payload["x"] + 1}

    def hear(self, x):
        return f"{self.name} heard {x}"

    def pick(self, payload):
        return self.name

    def matches(self, payload):
        return payload.get("ok", True)
"""


@pytest.mark.parametrize("validate", ["all", "input", "off"])
def test_each_dispatch_class_reaches_processes(tmp_path: Path, validate: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    kinds = tmp_path / "kinds" / "step"
    kinds.mkdir(parents=True)
    (kinds / "v1.yaml").write_text(json.dumps(KIND).replace('"$"', json.dumps(schema)), encoding="utf-8")
    registry = PluginRegistry(validate=validate)
    registry.add_hookspecs(kinds.parent)
    for name in ("a", "b"):
        folder = tmp_path / "plugins" / name
        folder.mkdir(parents=True)
        code = STEP if validate != "off" else STEP.replace("payload.x", "payload['x']")
        (folder / "plugin.py").write_text(code, encoding="utf-8")
        manifest = MANIFEST | {"name": name, "kind": "step", "supports": {"xs": [name]}}
        (folder / "dagstack.json").write_text(json.dumps({"plugin": manifest}), encoding="utf-8")
    registry.discover(tmp_path / "plugins", strict=True)
    with registry.running(PluginContext(config={"step": {"a": {"name": "A"}, "b": {"name": "B"}}})):
        step = registry.kind("step")
        assert step.add(x=1)["x"] == 3
        assert step.add(x=100)["x"] == 100
        assert step.add(x=200)["x"] == 201
        if validate == "all":
            with pytest.raises(PayloadInvalid, match="what plugin 'a' returned is not valid"):
                step.add(x=300)
            assert type(step.add(x=1)) is registry.types("step").AddOutput
        assert step.hear(x=5) == ["A heard 5", "B heard 5"]
        assert step.pick(x="b") == "B"
        assert asyncio.run(_all(step.aio)) == [3, ["A heard 5", "B heard 5"], "A"]


async def _all(step: Any) -> list[Any]:
    return [(await step.add(x=1))["x"], await step.hear(x=5), await step.pick(x="a")]


def test_resources_of_the_context_travel_too(host: Host, lent_module: Any) -> None:
    host.add(resources={"required": ["word"]})
    with closing(ResourceRegistry()) as resources:
        resources.register("word", lent_module.Plain("other"))
        with host.registry.running(PluginContext(resources=resources)):
            assert host.run("result = ctx.resources.word.word") == "other"


def test_whom_the_environment_makes_active_is_the_hosts_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plugin.py").write_text(PLUGIN)
        (tmp_path / name / "dagstack.json").write_text(json.dumps({"plugin": {**MANIFEST, "name": name}}))
    monkeypatch.setenv("DAGSTACK_ACTIVE_TOOL", "two")
    registry = PluginRegistry()
    registry.discover(tmp_path)
    with registry.running():
        assert registry.get_plugin("tool", "one").execute(do="echo")["do"] == "echo"
        assert registry.get_plugin("tool").execute(do="echo")["do"] == "echo"
