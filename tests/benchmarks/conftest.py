"""Ratios: ours beside something outside us, measured in turns in the same run, so that a loaded machine slows both.

``pytest tests/benchmarks/bench_*.py`` prints the table. Nothing here fails for being slow. With ``--benchmark-disable``
each is run once, and nothing is measured.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import attrs
import pytest

ROUNDS = 40
SECONDS_A_ROUND = 0.01


@attrs.frozen
class Row:
    """One line of the table."""

    what: str
    beside: str
    ratio: float
    seconds: float
    at_most: float | None


_rows: list[Row] = []
_notes: list[str] = []


@pytest.fixture
def noted() -> Callable[[str], None]:
    """Takes a line to print below the table."""
    return _notes.append


@pytest.fixture
def beside(benchmark: Any) -> Callable[..., None]:
    """Measure ``ours`` beside ``theirs``.

    Each round times both, one after the other; the ratio is the median of the rounds' ratios.
    """

    def measure(
        what: str,
        ours: Callable[[], object],
        against: str,
        theirs: Callable[[], object],
        *,
        at_most: float | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        if benchmark.disabled:  # only that it works is asked for
            theirs()
            benchmark(ours)
            return
        calls = _calls_a_round(theirs)
        gc.collect()
        pairs = [(_timed(ours, calls), _timed(theirs, calls)) for _ in range(rounds)]
        ratio = median(our / their for our, their in pairs)
        seconds = median(our for our, _ in pairs) / calls
        _rows.append(Row(what, against, ratio, seconds, at_most))
        benchmark.extra_info.update(ratio=ratio, beside=against, at_most=at_most)
        benchmark.pedantic(ours, rounds=3, iterations=1)

    return measure


def _calls_a_round(function: Callable[[], object]) -> int:
    calls = 1
    while (seconds := _timed(function, calls)) < SECONDS_A_ROUND / 4:
        calls *= 4
    return max(1, round(calls * SECONDS_A_ROUND / seconds))


def _timed(function: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - started


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, as the README quotes it."""
    if not _rows:
        return
    terminalreporter.section("ours, beside something outside us")
    terminalreporter.write_line("| what | beside | ratio | aim | ours |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for row in _rows:
        aim = f"{row.at_most:g}" if row.at_most is not None else ""
        terminalreporter.write_line(f"| {row.what} | {row.beside} | {row.ratio:.2f} | {aim} | {_told(row.seconds)} |")
    for note in _notes:
        terminalreporter.write_line(note)


def _told(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"
