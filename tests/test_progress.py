from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins.progress import ListProgress, LogProgress, NoProgress, Progress, ProgressEvent, ProgressSink


def test_updates_and_events_reach_the_sink_in_order() -> None:
    sink = ListProgress()
    progress = Progress(sink, "chunker", "text")
    progress.update(40, "page 2", {"page": 2})
    progress.event("page_done", {"page": 2})
    progress.update(100)
    assert sink.events == [
        ProgressEvent("chunker", "text", "progress", 40.0, "page 2", {"page": 2}),
        ProgressEvent("chunker", "text", "page_done", None, "", {"page": 2}),
        ProgressEvent("chunker", "text", "progress", 100.0, "", None),
    ]


def test_an_event_is_what_was_told_then() -> None:
    sink, payload = ListProgress(), {"page": 1}
    Progress(sink, "chunker", "text").update(1, payload=payload)
    payload["page"] = 2
    assert sink.events[0].payload == {"page": 1}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        sink.events[0].percent = 5  # type: ignore[misc]


@given(st.floats() | st.integers())
def test_percent_goes_from_0_to_100(percent: float) -> None:
    sink = ListProgress()
    progress = Progress(sink, "chunker", "text")
    if 0 <= percent <= 100:
        progress.update(percent)
        assert [event.percent for event in sink.events] == [percent]
    else:
        with pytest.raises(ValueError, match="from 0 to 100 percent"):
            progress.update(percent)
        assert sink.events == []


def test_an_event_needs_a_type() -> None:
    with pytest.raises(ValueError, match="an event needs a type"):
        Progress(NoProgress(), "chunker", "text").event("")


def test_all_sinks_are_sinks() -> None:
    for sink in (NoProgress(), LogProgress(), ListProgress()):
        assert isinstance(sink, ProgressSink)
        Progress(sink, "chunker", "text").update(1)


def test_the_log_sink_writes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(LogProgress(logging.getLogger("host.jobs")), "chunker", "text")
    with caplog.at_level(logging.INFO):
        progress.update(12.5, "100%s sure")
        progress.event("page_done", {"page": 2})
        Progress(LogProgress(), "chunker", "pdf").update(0)
    assert caplog.record_tuples == [
        ("host.jobs", logging.INFO, "chunker/text: 12.5 % 100%s sure"),
        ("host.jobs", logging.INFO, "chunker/text: page_done {'page': 2}"),
        ("dagstack_plugins.progress", logging.INFO, "chunker/pdf: 0 %"),
    ]


class Broken:
    def __init__(self) -> None:
        self.calls = 0

    def emit(self, event: ProgressEvent) -> None:
        self.calls += 1
        raise ConnectionError("no route")


class Equal(Broken):
    """All alike, and so not hashable."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("broken", [Broken, Equal])
def test_a_broken_sink_never_fails_a_plugin_and_is_logged_once(
    broken: type[Broken], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = broken(), broken()
    for sink in (one, other, one):
        for plugin in ("text", "pdf"):
            Progress(sink, "chunker", plugin).update(1)
            Progress(sink, "chunker", plugin).event("done")
    assert (one.calls, other.calls) == (8, 4)
    assert len(caplog.records) == 2
    assert caplog.records[0].exc_info is not None
    assert "further failures of it are not logged" in caplog.text
    assert "no route" in caplog.text


def test_the_list_loses_nothing_between_threads() -> None:
    sink = ListProgress()
    progress = Progress(sink, "chunker", "text")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: progress.update(number / 100), range(5000)))
    assert len(sink.events) == 5000
