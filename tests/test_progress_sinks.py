"""Sinks that are slow, draw, or stream: no plugin ever waits for one."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import threading
import time
from typing import Any

import httpx2
import pytest
import uvicorn
from rich.console import Console

from dagstack_plugins import (
    BufferedProgress,
    ListProgress,
    PluginContext,
    PluginRegistry,
    ProgressEvent,
    RichProgress,
    SseProgress,
)
from dagstack_plugins.runtimes.background import BackgroundLoop


def event(number: float, message: str = "") -> ProgressEvent:
    return ProgressEvent("tool", "importer", "progress", float(number), message)


def test_events_come_in_order_and_all_of_them() -> None:
    heard = ListProgress()
    with BufferedProgress(heard) as sink:
        for number in range(100):
            sink.emit(event(number))
        assert sink.flush(5)
        assert [one.percent for one in heard.events] == list(range(100))
    assert sink.dropped == 0


def test_a_slow_sink_blocks_nobody_and_what_is_dropped_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    go_on, heard = threading.Event(), list[float | None]()

    def slow(one: ProgressEvent) -> None:
        go_on.wait(20)
        heard.append(one.percent)

    class Busy:
        def execute(self, args: Any, ctx: Any) -> Any:
            for number in range(101):
                ctx.progress.update(number)
            return "done"

    sink = BufferedProgress(slow, size=10)
    registry = PluginRegistry()
    registry.register(Busy, {"name": "busy", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"})
    with registry.running(PluginContext(progress_sink=sink)):
        began = time.monotonic()
        assert registry.get_plugin("tool", "busy").execute() == "done"
        assert time.monotonic() - began < 5
    go_on.set()
    sink.close()
    assert heard[-10:] == list(range(91, 101))  # the newest are kept
    assert sink.dropped == 101 - len(heard)
    assert f"{sink.dropped} progress events were dropped" in caplog.text
    sink.emit(event(1))
    assert sink.dropped == 102 - len(heard)


def test_a_sink_that_fails_is_told_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken(one: ProgressEvent) -> None:
        raise ValueError(f"not {one.percent}")

    with BufferedProgress(broken) as sink:
        for number in range(3):
            sink.emit(event(number))
    assert caplog.text.count("ValueError: not") == 1


def test_a_sink_that_hangs_is_left_behind() -> None:
    hangs = threading.Event()
    sink = BufferedProgress(lambda one: hangs.wait(20))
    sink.emit(event(1))
    sink.emit(event(2))
    began = time.monotonic()
    sink.close(timeout=0.1)
    assert time.monotonic() - began < 5
    assert sink.dropped == 1
    hangs.set()


def test_a_buffer_has_room() -> None:
    with pytest.raises(ValueError, match="room for 1 event or more, got size=0"):
        BufferedProgress(print, size=0)


def test_bars_are_drawn_and_no_text_of_a_plugin_steers_the_terminal() -> None:
    out = io.StringIO()
    with RichProgress(Console(file=out, force_terminal=True, width=100)) as sink:
        sink.emit(event(40, "row 4 [bold]of[/bold] 10 \x1b[2J"))
        sink.emit(ProgressEvent("tool", "importer", "page_done"))
    told = out.getvalue()
    assert "tool/importer" in told
    assert "40 %" in told
    assert r"row 4 [bold]of[/bold] 10 \x1b[2J" in told


def test_a_browser_hears_what_plugins_tell() -> None:
    sink = SseProgress(size=5)
    config = uvicorn.Config(sink, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with BackgroundLoop() as background:
        served = asyncio.run_coroutine_threadsafe(server.serve(), background.loop)
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx2.stream("GET", f"http://127.0.0.1:{port}/") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            lines = answer.iter_lines()
            assert next(lines) == ": listening"
            sink.emit(event(50, "half"))
            told = list(itertools.islice((line for line in lines if line), 2))
        assert told[0] == "event: progress"
        assert json.loads(told[1].removeprefix("data: "))["percent"] == 50
        server.should_exit = True
        served.result(10)
    sink.emit(event(60))  # nobody is there any more


def test_a_slow_listener_is_told_what_it_missed() -> None:
    async def listen() -> list[bytes]:
        sink = SseProgress(size=3)
        stream = sink.events()
        await anext(stream)
        for number in range(10):
            sink.emit(event(number))
        await asyncio.sleep(0)
        told = [await anext(stream) for _ in range(4)]
        await stream.aclose()  # type: ignore[attr-defined]
        return told

    told = asyncio.run(listen())
    assert b'event: dropped\ndata: {"count": 7}' in told[0]
    assert [json.loads(one.split(b"data: ")[1])["percent"] for one in told[1:]] == [7, 8, 9]
