"""``lifecycle``: setup and teardown work, again and again, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

import psutil

from dagstack_plugins.contract.bench import as_call
from dagstack_plugins.contract.probes.calls import outcomes, plan
from dagstack_plugins.contract.stage import NotStarted, Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.watch import Place, Watch
from dagstack_plugins.errors import TeardownErrors
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.wording import place_parts, raised

T = TypeVar("T")
_ROUNDS: Final = 200
_FEWEST: Final = 30
"""With fewer rounds, what grows can't be told from what settles."""
_LEAST: Final = 10
"""Rounds of a slow plugin whose memory grows, to see by which line."""
_SWELLS: Final = 32
"""Bytes a round that all memory grows by, before anybody asks whose they are."""
_NEARLY: Final = 0.95
"""Blocks a round that one line keeps; less than that is what Python's own lists of free objects come to."""
_BUFFER: Final = 512
"""Bytes a round that one line keeps, if they are in few blocks."""
_OF_HOSTS: Final = ("dagstack-plugins", "contract-", "asyncio_", "MainThread", "hypothesis")
"""How names of threads begin that are not the plugin's."""
_FRAMES: Final = 8
"""Calls that are remembered of where memory was taken."""
_PATIENCE: Final = 0.5
"""Seconds that threads have to end after a teardown."""


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Start and stop the plugin, with calls and without, and look for what is left.

    Where something is, the same is done once more under a profile function, which tells where it comes from
    (``named``), and which nobody would wait for otherwise.
    """
    subject, arguments = given
    watch = Watch(subject.own, scratch)
    stage = Stage(subject, scratch)
    births = Births(watch)
    if arguments["named"]:
        births.begin()
    found = _rounds(stage, watch, births, plan(arguments["inputs"]), scratch)
    if not found and not arguments["named"]:
        found = _growth(stage, watch, plan(arguments["inputs"]), arguments["seconds"])
    stage.leave()
    return stage.verdict(found).to_dict()


class Births:
    """Notes where descriptors and threads come from: which of the plugin's lines had run when they were there.

    Args:
        watch: tells whose code it is.

    Attributes:
        descriptors: the line that each open one comes from.
        known: those that were there before.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.descriptors: dict[int, Place] = {}
        self.known = _descriptors()

    def begin(self) -> None:
        """Look from now on."""
        self._watch.begin(self._profiled)

    def _profiled(self, frame: FrameType, event: str, _: Any) -> None:
        if event in ("return", "c_return") and self._watch.is_own(frame.f_code.co_filename):
            now = _descriptors()
            for number in now - self.known:
                self.descriptors[number] = frame.f_code.co_filename, frame.f_lineno
            self.known = now


def _descriptors() -> set[int]:
    try:
        numbers = {int(name) for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd")}  # noqa: PTH112, PTH208
    except OSError:
        return set()
    # The listing's own is among them, and gone by now.
    return {number for number in numbers if _is_open(number)}


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _rounds(stage: Stage, watch: Watch, births: Births, calls: list[tuple[str, Any]], scratch: Path) -> list[Finding]:
    """A round without calls, and two with the same ones."""
    answers: list[list[Any]] = []
    for number, todo in enumerate(([], calls, calls)):
        stage.open_loop()
        before = births.known = _descriptors()
        try:
            with watch.during("setup"):
                stage.start()
        except NotStarted as error:
            if number == 0:
                raise
            return [_failed("setup", error.error, "works the first time, and fails after a teardown")]
        answers.append(outcomes(stage, todo))
        with watch.during("teardown"):
            try:
                stage.stop()
            except TeardownErrors as errors:
                return [_failed("teardown", error, "fails") for _, error in errors.errors]
        if left := list(_left(stage, watch, births, before, scratch)):
            return left
        stage.leave()
    return _different(stage, calls, *answers[1:])


def _failed(phase: str, error: BaseException, how: str) -> Finding:
    file, line = place_parts(error)
    return Finding(
        told=f"{phase} {how}: {raised(error)}",
        advice="setup and teardown take turns, with calls between or without",
        file=file,
        line=line,
    )


def _different(stage: Stage, calls: list[tuple[str, Any]], one: list[Any], other: list[Any]) -> list[Finding]:
    for (hook, payload), first, second in zip(calls, one, other, strict=True):
        if first.get("error", first) != second.get("error", second) and "loop" not in str(second.get("message", "")):
            evidence = {"call": as_call(stage.subject, hook, payload), "before": first, "after": second}
            return [
                Finding(
                    told="answers otherwise after a teardown and another setup",
                    advice="make in setup what belongs to a run, and let teardown end it",
                    hook=hook,
                    evidence=evidence,
                )
            ]
    return []


# --- what is left -----------------------------------------------------------------------------------------------------


def _left(stage: Stage, watch: Watch, births: Births, before: set[int], scratch: Path) -> Iterator[Finding]:
    gc.collect()
    yield from _threads(watch)
    yield from _tasks(stage, watch)
    yield from _open_descriptors(births, before)
    for child in psutil.Process().children():
        yield _leak(f"the process {' '.join(_command(child))}", "end it, and wait for it, in teardown")
    for root, _, names in os.walk(scratch / "tmp"):
        for name in names:
            yield _leak(f"the file {Path(root) / name}", "remove it in teardown, or write into ctx.resources.tmpdir")
            return


def _leak(what: str, advice: str, place: Place | None = None, **evidence: Any) -> Finding:
    file, line = place or (None, None)
    told = f"after teardown there is still {what}"
    return Finding(told=told, advice=advice, file=file, line=line, evidence=evidence, kind_of="leak")


def _threads(watch: Watch) -> Iterator[Finding]:
    until = time.monotonic() + _PATIENCE
    while (left := _foreign_threads()) and time.monotonic() < until:
        time.sleep(0.02)
    for thread in left:
        kind = "the thread"
        yield _leak(f"{kind} {thread.name!r}", "tell it to end, and join it, in teardown", watch.started(thread))


def _foreign_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if not thread.name.startswith(_OF_HOSTS)]


def _tasks(stage: Stage, watch: Watch) -> Iterator[Finding]:
    async def settled() -> list[asyncio.Task[Any]]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        mine = asyncio.current_task()
        return [task for task in asyncio.all_tasks() if task is not mine]

    for task in stage.on_loop(settled()):
        coroutine: Any = task.get_coro()
        code = getattr(coroutine, "cr_code", None)
        frame = getattr(coroutine, "cr_frame", None)
        if code is not None and watch.is_own(code.co_filename):
            place = code.co_filename, frame.f_lineno if frame else code.co_firstlineno
        else:
            place = None
        told = f"the task {getattr(coroutine, '__qualname__', task.get_name())}"
        yield _leak(told, "cancel it, and await it, in teardown", place)


def _open_descriptors(births: Births, before: set[int]) -> Iterator[Finding]:
    for number in sorted(_descriptors() - before):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        except OSError:
            target = ""
        told = f"the open descriptor {number}{f' ({target})' if target else ''}"
        yield _leak(told, "close it in teardown", births.descriptors.get(number))


def _command(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline() or [str(child.pid)]
    except psutil.Error:
        return [str(child.pid)]


# --- what grows -------------------------------------------------------------------------------------------------------

Counts = Mapping[Place, tuple[int, int]]


def _growth(stage: Stage, watch: Watch, calls: list[tuple[str, Any]], seconds: float) -> list[Finding]:
    """Rounds of setup and teardown, each with one call of each hook.

    That memory grows is seen at little cost; whose it is takes several times that, so it is asked only then.
    """
    if stage.plugin.state is PluginState.REQUIRES_RESTART:
        return []  # it says so itself: each start is in a new process
    one_each = list({hook: (hook, payload) for hook, payload in calls}.values())
    begun = time.monotonic()
    _round(stage, one_each)
    rounds = min(_ROUNDS, int(seconds * 0.2 / (time.monotonic() - begun)))
    if rounds < _FEWEST:
        return []
    try:
        totals = _measured(stage, one_each, rounds, 1, lambda: (0, tracemalloc.get_traced_memory()[0]))
        if min(_steps([size for _, size in totals])) < _SWELLS * rounds * 2 // 5:
            return []
        left = seconds - (time.monotonic() - begun)
        rounds = max(_LEAST, min(rounds // 2, int(left * 0.7 / _traced(stage, one_each))))
        return list(_grown(_measured(stage, one_each, rounds, _FRAMES, lambda: _memory(watch)), rounds * 2 // 5))
    except (NotStarted, TeardownErrors) as error:
        return [_failed("a round of setup and teardown", error, "fails after many of them")]


def _traced(stage: Stage, calls: list[tuple[str, Any]]) -> float:
    """Seconds that a round takes while all that it allocates is noted with where."""
    tracemalloc.start(_FRAMES)
    begun = time.monotonic()
    try:
        _round(stage, calls)
    finally:
        tracemalloc.stop()
    return time.monotonic() - begun


def _measured(
    stage: Stage, calls: list[tuple[str, Any]], rounds: int, frames: int, measure: Callable[[], T]
) -> list[T]:
    """What is measured after a fifth, three fifths, and all of some rounds."""
    moments = rounds // 5, rounds * 3 // 5, rounds
    found = []
    tracemalloc.start(frames)
    try:
        for number in range(1, rounds + 1):
            _round(stage, calls)
            if number in moments:
                _drop_caches()
                found.append(measure())
    finally:
        tracemalloc.stop()
    return found


def _drop_caches() -> None:
    """Python keeps the names of attributes that were looked up, thousands of them: they look like a leak."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        sys._clear_type_cache()


def _round(stage: Stage, calls: list[tuple[str, Any]]) -> None:
    stage.start()
    outcomes(stage, calls)
    stage.stop()


def _memory(watch: Watch) -> Counts:
    """How many blocks, of how many bytes, the plugin's lines hold."""
    found: dict[Place, tuple[int, int]] = {}
    for statistic in tracemalloc.take_snapshot().statistics("traceback"):
        place = next(
            ((one.filename, one.lineno) for one in reversed(statistic.traceback) if watch.is_own(one.filename)), None
        )
        # A look-up of a name that is refused loses that name: Python's own slip, where an audit hook raises.
        if place is not None and not statistic.traceback[-1].filename.endswith("idna.py"):
            count, size = found.get(place, (0, 0))
            found[place] = count + statistic.count, size + statistic.size
    return found


def _grown(pictures: list[Counts], rounds: int) -> Iterator[Finding]:
    """What grew in the last two thirds by at least one block, or many bytes, a round."""
    first, second, third = pictures
    growing = []
    for place, (count, size) in third.items():
        counts = [picture.get(place, (0, 0))[0] for picture in (first, second)] + [count]
        sizes = [picture.get(place, (0, 0))[1] for picture in (first, second)] + [size]
        if min(_steps(counts)) >= _NEARLY * rounds or min(_steps(sizes)) >= _BUFFER * rounds:
            growing.append((count - counts[0], size - sizes[0], place))
    for count, size, place in sorted(growing, reverse=True)[:3]:
        yield _leak(
            f"what this line made: {count:,} objects, {size:,} bytes more after {2 * rounds} rounds of setup, teardown",
            "let teardown drop what setup made: take it out of lists, callbacks and handlers",
            place,
        )


def _steps(numbers: list[int]) -> tuple[int, int]:
    return numbers[1] - numbers[0], numbers[2] - numbers[1]
