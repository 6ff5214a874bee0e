from __future__ import annotations

import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import Clock, FrozenClock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_system_clock_tells_utc() -> None:
    before = datetime.now(UTC)
    told = SystemClock().now()
    assert before <= told <= datetime.now(UTC)
    assert told.utcoffset() == timedelta(0)


def test_the_system_clock_counts_nanoseconds() -> None:
    clock = SystemClock()
    started = clock.monotonic_ns()
    time.sleep(0.02)
    assert 15_000_000 < clock.monotonic_ns() - started < 60_000_000_000


def test_both_clocks_are_clocks() -> None:
    assert isinstance(SystemClock(), Clock)
    assert isinstance(FrozenClock(), Clock)
    assert not isinstance(time, Clock)


def test_a_frozen_clock_stands_still() -> None:
    clock = FrozenClock()
    first = clock.now(), clock.monotonic_ns()
    time.sleep(0.002)
    assert (clock.now(), clock.monotonic_ns()) == first


def test_all_frozen_clocks_start_alike() -> None:
    assert FrozenClock().now() == FrozenClock().now() == datetime(2000, 1, 1, tzinfo=UTC)


def test_advance_moves_both_readings() -> None:
    clock = FrozenClock(now=datetime(2024, 2, 28, 23, 59, 59, tzinfo=UTC))
    started = clock.monotonic_ns()
    clock.advance(seconds=1.5)
    assert clock.now() == datetime(2024, 2, 29, 0, 0, 0, 500_000, tzinfo=UTC)
    assert clock.monotonic_ns() - started == 1_500_000_000


def test_time_goes_on_evenly_where_daylight_saving_starts() -> None:
    clock = FrozenClock(now=datetime(2024, 3, 31, 1, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    clock.advance(seconds=3600)
    assert clock.now() == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)


def test_another_zone_is_told_in_utc() -> None:
    given_time = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    told = FrozenClock(now=given_time).now()
    assert told == given_time
    assert told.tzinfo is UTC


def test_a_naive_time_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match="FrozenClock") as caught:
        FrozenClock(now=datetime(2024, 1, 1))
    written = str(caught.value).partition("write ")[2]
    assert eval(written, {"FrozenClock": FrozenClock, "datetime": __import__("datetime")}).now() == datetime(
        2024, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf"), float("-inf")])
def test_a_clock_goes_forward_only(seconds: float) -> None:
    clock = FrozenClock()
    with pytest.raises(ValueError, match="only goes forward"):
        clock.advance(seconds=seconds)
    assert clock.monotonic_ns() == 0


def test_advancing_past_the_calendar_leaves_the_clock_where_it_is() -> None:
    clock = FrozenClock(now=datetime(9999, 12, 31, tzinfo=UTC))
    with pytest.raises(OverflowError):
        clock.advance(seconds=86_400)
    assert clock.now() == datetime(9999, 12, 31, tzinfo=UTC)
    assert clock.monotonic_ns() == 0


@given(st.lists(st.integers(0, 10**6)))
def test_many_steps_are_one_long_step(steps: list[int]) -> None:
    walked, jumped = FrozenClock(), FrozenClock()
    for step in steps:
        walked.advance(seconds=step)
    jumped.advance(seconds=sum(steps))
    assert (walked.now(), walked.monotonic_ns()) == (jumped.now(), jumped.monotonic_ns())


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Lets threads take turns so often that a missing lock shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_no_step_is_lost_between_threads() -> None:
    clock = FrozenClock()

    def walk() -> None:
        for _ in range(2000):
            clock.advance(seconds=1)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(walk)
    assert clock.monotonic_ns() == 16_000 * 10**9


@pytest.mark.parametrize("given", ["2024-01-01", 1704067200, None])
def test_what_is_no_time_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=f"needs a datetime, got {type(given).__name__}"):
        FrozenClock(now=given)


def test_a_step_is_a_number_of_seconds() -> None:
    with pytest.raises(TypeError, match=r"advance\(\) takes seconds as a number, got timedelta"):
        FrozenClock().advance(timedelta(seconds=3))  # type: ignore[arg-type]


def test_a_copy_stands_where_the_original_does_and_goes_its_own_way() -> None:
    clock = FrozenClock()
    clock.advance(seconds=2.5)
    copy = pickle.loads(pickle.dumps(clock))
    assert (copy.now(), copy.monotonic_ns()) == (clock.now(), clock.monotonic_ns())
    copy.advance(seconds=1)
    assert copy.now() != clock.now()
