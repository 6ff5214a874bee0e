"""``execution_model``: the plugin neither blocks nor hogs what its manifest says it runs on."""

from __future__ import annotations

import inspect
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.bench import as_call
from dagstack_plugins.contract.differences import difference
from dagstack_plugins.contract.probes.calls import outcomes, plan
from dagstack_plugins.contract.probes.sighted import each_once
from dagstack_plugins.contract.stage import NotStarted, Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.waiting import BlockingCalls, Monitor, stalls
from dagstack_plugins.contract.watch import Place, Watch
from dagstack_plugins.errors import TeardownErrors

_HOGS_LOOP: Final = 0.25
"""Seconds of processor time that one step of a coroutine may take."""
_HOGS_CALLER: Final = 1.0
"""Seconds of processor time that one call of a plain function may take."""
_CALLERS: Final = 8
"""Threads that call at once."""
_ROUNDS: Final = 6
_TURNS: Final = 24
"""Calls that each of them makes, so that they meet."""
_SHARE: Final = 0.2
"""How much of the time is for calls of one thread alone, against which the others are held."""

Calls = list[tuple[str, Any]]


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Call the plugin as it says that it runs."""
    subject, arguments = given
    calls = plan(arguments["inputs"])
    model = subject.manifest.execution_model
    if model == "process_cpu_bound":
        return _in_processes(subject, scratch, calls).to_dict()
    if model == "thread_cpu_bound":
        return _in_threads(subject, scratch, calls, arguments["seconds"]).to_dict()
    watch = Watch(subject.own, scratch)
    watch.begin(profile=False)  # time is measured
    stage = Stage(subject, scratch)
    found = list(_colours(stage, model))
    if not found:
        found = _on_the_loop(stage, watch, calls) if model == "async" else _in_the_caller(stage, watch, calls)
    watch.end()
    return stage.verdict(each_once(found)).to_dict()


def _colours(stage: Stage, model: str) -> Iterator[Finding]:
    """A host plans by the manifest: it is to know whether there is anything to await."""
    for hook, binding in stage.plugin.bindings.items():
        if model == "sync" and binding.is_async:
            told = "is a coroutine function, though the manifest says execution_model = 'sync'"
            yield _of_method(hook, binding.method, told, "write execution_model = 'async'")


def _of_method(hook: str, method: Any, told: str, advice: str) -> Finding:
    code = getattr(inspect.unwrap(method), "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code is not None else (None, None)
    return Finding(told=told, advice=advice, hook=hook, file=file, line=line)


# --- async ------------------------------------------------------------------------------------------------------------


def _on_the_loop(stage: Stage, watch: Watch, calls: Calls) -> list[Finding]:
    blocking = BlockingCalls(watch)
    found: list[Finding] = []
    stage.open_loop()
    monitor = Monitor(watch, stage.loop_thread)
    try:
        stage.start()
        blocking.begin()
        slow: list[float] = []
        with monitor, stalls(_HOGS_LOOP, slow.append):
            for hook, payload in calls:
                with watch.during(hook, payload):
                    outcome = stage.call(hook, stage.filled(payload), on_loop=True)
                if outcome.error is None and stage.answers_at_once(hook, payload):
                    told = "is a plain function, though the manifest says execution_model = 'async'"
                    found.append(_of_method(hook, getattr(stage.plugin.instance, hook), told, "make it `async def`"))
                elif slow:
                    found.append(_hogs(hook, monitor.busiest, max(slow), stage, payload))
                slow.clear()
    finally:
        with suppress(TeardownErrors):
            stage.stop()
        stage.leave()
    found += [_blocks(held.told, held.place) for held in blocking.seen]
    found += [_blocks("something that waits", place) for place in monitor.waits]
    return found


def _blocks(told: str, place: Place) -> Finding:
    return Finding(
        told=f"blocks the event loop, and with it every other coroutine of the host: {told}",
        advice="await something that does the same (asyncio.sleep, a resource's coroutines), or use asyncio.to_thread",
        file=place[0],
        line=place[1],
    )


def _hogs(hook: str, place: Place | None, seconds: float, stage: Stage, payload: Any) -> Finding:
    file, line = place or (None, None)
    return Finding(
        told=f"computes for {seconds:.2f} s on the event loop without giving way",
        advice="say execution_model = 'thread_cpu_bound' or 'process_cpu_bound', or use asyncio.to_thread",
        hook=hook,
        file=file,
        line=line,
        evidence={"call": as_call(stage.subject, hook, payload)},
    )


# --- sync -------------------------------------------------------------------------------------------------------------


def _in_the_caller(stage: Stage, watch: Watch, calls: Calls) -> list[Finding]:
    found: list[Finding] = []
    monitor = Monitor(watch)
    with stage.running(), monitor:
        for hook, payload in calls:
            begun = time.thread_time()
            with watch.during(hook, payload):
                stage.call(hook, stage.filled(payload))
            took = time.thread_time() - begun
            if took > _HOGS_CALLER:
                found.append(_holds(hook, monitor.busiest, took, stage, payload))
    sleeps = [one for one in watch.sightings if one.what == "sleep" and one.thread == "MainThread"]
    found += [_waits("sleeps", (one.file, one.line), one.phase) for one in sleeps if one.phase in stage.hooks]
    found += [_waits("waits", place, None) for place in monitor.waits]
    return found


def _waits(told: str, place: Place, hook: str | None) -> Finding:
    return Finding(
        told=f"{told}, and so does the thread of whoever calls it",
        advice="make it `async def` and say execution_model = 'async', or say 'thread_cpu_bound'",
        hook=hook,
        file=place[0],
        line=place[1],
    )


def _holds(hook: str, place: Place | None, seconds: float, stage: Stage, payload: Any) -> Finding:
    file, line = place or (None, None)
    return Finding(
        told=f"computes for {seconds:.2f} s in the thread of whoever calls it",
        advice="say execution_model = 'thread_cpu_bound' or 'process_cpu_bound'",
        hook=hook,
        file=file,
        line=line,
        evidence={"call": as_call(stage.subject, hook, payload)},
    )


# --- threads and processes --------------------------------------------------------------------------------------------


def _in_threads(subject: Subject, scratch: Path, calls: Calls, seconds: float) -> Verdict:
    """Several threads call one instance at once, each with an input of its own; as often as there is time for."""
    begun = time.monotonic()
    alone = Stage(subject, scratch)
    if not calls:
        return Verdict.not_proven("no input was found for any hook; give some: [plugin.contract.examples]")
    expected: list[Any] = []
    with alone.running():
        for call in calls:
            expected += outcomes(alone, [call])
            if time.monotonic() - begun > seconds * _SHARE:
                break
    calls = calls[: len(expected)]
    sys.setswitchinterval(1e-6)
    until = begun + seconds * (1 - _SHARE)
    longest = time.monotonic() - begun  # a round has no less to do
    rounds = 0
    while rounds == 0 or (rounds < _ROUNDS and time.monotonic() + longest < until):
        round_begun = time.monotonic()
        stage = Stage(subject, scratch)
        begin = threading.Barrier(_CALLERS)

        def one(first: int, stage: Stage = stage, begin: threading.Barrier = begin) -> list[tuple[int, Any]]:
            begin.wait()
            found = []
            for turn in range(_TURNS):
                number = (first + turn) % len(calls)
                found.append((number, outcomes(stage, [calls[number]])[0]))
                if turn >= len(calls) // _CALLERS and time.monotonic() > until:
                    break
            return found

        with stage.running(), ThreadPoolExecutor(_CALLERS, "contract-caller") as callers:
            answers = [answer for found in callers.map(one, range(_CALLERS)) for answer in found]
        for number, answer in answers:
            if answer.get("error", answer) != expected[number].get("error", expected[number]):
                hook, payload = calls[number]
                return Verdict.of([_raced(subject, hook, payload, expected[number], answer)])
        rounds += 1
        longest = max(longest, time.monotonic() - round_begun)
    return alone.verdict((), f"{_CALLERS} threads at once, {rounds} times")


def _raced(subject: Subject, hook: str, payload: Any, expected: Any, answer: Any) -> Finding:
    return Finding(
        told="answers otherwise when several threads call it at once, as hosts do with 'thread_cpu_bound': "
        + difference(expected, answer),
        advice="keep what belongs to one call in local variables, and guard what calls share with a lock",
        hook=hook,
        evidence={"call": as_call(subject, hook, payload), "alone": expected, "at once": answer},
    )


def _in_processes(subject: Subject, scratch: Path, calls: Calls) -> Verdict:
    """As hosts run it: in worker processes, with what can travel there."""
    here = Stage(subject, scratch)
    with here.running():
        expected = outcomes(here, calls)
    stage = Stage(subject, scratch, as_declared=True)
    try:
        with stage.running():
            answers = [stage.settled(stage.call_as_hosts_do(hook, stage.filled(payload))) for hook, payload in calls]
    except NotStarted as error:
        advice = "a plugin that says process_cpu_bound is loaded anew in each worker process"
        return Verdict.of([Finding(told=f"can't be started in a worker process: {error}", advice=advice)])
    for (hook, payload), one, other in zip(calls, expected, answers, strict=True):
        if ("error" in one) != ("error" in other):
            return Verdict.of(
                [
                    Finding(
                        told=f"answers otherwise in a worker process: {difference(one, other)}",
                        advice="keep in the instance nothing that calls share: each worker process has its own",
                        hook=hook,
                        evidence={"call": as_call(subject, hook, payload), "here": one, "there": other},
                    )
                ]
            )
    return here.verdict((), f"{len(calls)} calls in worker processes")
