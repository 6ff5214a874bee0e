"""How ``resume`` judges: a plugin is killed at each of its checkpoints in turn, and started again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.bench import Broke, Trial, as_call
from dagstack_plugins.contract.differences import difference
from dagstack_plugins.contract.forks import scratch_folder
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding

_INPUTS: Final = 3
"""Inputs that are killed at each checkpoint."""
_KILLS: Final = 8
"""Checkpoints of one run at which it is killed, from all over it."""
_PAIRS: Final = 6
"""Pairs of runs that come one after the other."""

Report = dict[str, Any]


def judge_resume(trial: Trial) -> Verdict:
    """Run it in one pass, then killed and started again, then after another run."""
    if trial.hook is None:
        return Verdict.not_proven("its kind is unknown, so that nobody knows its hooks")
    payloads = trial.inputs(8).get(trial.hook)
    if payloads is None:
        return Verdict.not_applicable(f"the plugin has no {trial.hook!r}")
    passes = [(payload, one) for payload in payloads if "value" in (one := _one_pass(trial, payload))["outcome"]]
    saving = [(payload, one) for payload, one in passes if one["saves"]]
    if not saving:
        why = "saved a checkpoint" if passes else "answered"
        return Verdict.not_proven(
            f"of {len(payloads)} runs none {why}; give an input that does: "
            f"[plugin.contract.examples] {trial.hook} = [{{…}}]"
        )
    found = [finding for payload, one in saving for finding in _falls(trial, payload, one["percents"])]
    kills = 0
    for payload, one in sorted(saving, key=lambda pair: -len(pair[1]["saves"]))[:_INPUTS]:
        for after in _spread(len(one["saves"])):
            kills += 1
            found += _killed(trial, payload, one, after)
            if found:
                return Verdict.of(found[:1])
    found = found or list(_one_after_the_other(trial, saving))
    return Verdict.of(found[:1], f"killed at {kills} checkpoints")


def _spread(saves: int) -> list[int]:
    every = list(range(1, saves + 1))
    if saves <= _KILLS:
        return every
    return sorted({1, saves - 1, saves, *every[:: max(1, saves // _KILLS)]})


def _one_pass(trial: Trial, payload: Any) -> Report:
    with scratch_folder() as kept:
        return _run(trial, payload, kept)


def _run(trial: Trial, payload: Any, kept: Path, kill_after: int | None = None) -> Report:
    found: Report = trial.run("resume:run", hook=trial.hook, payload=payload, kept=str(kept), kill_after=kill_after)
    return found


def _killed(trial: Trial, payload: Any, one: Report, after: int) -> Iterator[Finding]:
    with scratch_folder() as kept:
        try:
            _run(trial, payload, kept, kill_after=after)
        except Broke as broke:
            if "SIGKILL" not in broke.ended.how:
                raise
        again = _run(trial, payload, kept)
    when = f"killed after checkpoint {after} of {len(one['saves'])}, and started again"
    told = _otherwise(one, again)
    before = [json.dumps(save) for save in one["saves"][:after]]
    repeated = [save for save in map(json.dumps, again["saves"]) if save in before[:-1]]
    if told is None and after < len(one["saves"]):
        if not again["asked"]:
            told = "begins again at the start: it never looks at what it saved"
        elif repeated:
            told = f"does again what was done: it saves again {repeated[0]}"
    if told is not None:
        evidence = {"one pass": one["outcome"], "resumed": again["outcome"]}
        yield _finding(trial, payload, f"{when}, it {told}", **evidence)
    yield from _falls(trial, payload, again["percents"])


def _otherwise(one: Report, again: Report) -> str | None:
    if again["outcome"] != one["outcome"]:
        return f"ends otherwise than in one pass: {difference(one['outcome'], again['outcome'])}"
    if again["blobs"] != one["blobs"]:
        odd = sorted(set(again["blobs"].items()) ^ set(one["blobs"].items()))
        return f"leaves other blobs than one pass does: {odd[0][0]!r}"
    return None


def _falls(trial: Trial, payload: Any, percents: Sequence[float]) -> Iterator[Finding]:
    for one, other in pairwise(percents):
        if other < one:
            told = f"reports progress that falls, from {one:g} % to {other:g} %"
            yield _finding(trial, payload, told, percents=percents)
            return


def _one_after_the_other(trial: Trial, saving: Sequence[tuple[Any, Report]]) -> Iterator[Finding]:
    """What a finished run leaves behind is nothing to another one."""
    key = trial.subject.manifest.unit_of_work.partition_key
    pairs = [(one, other) for one in saving for other in saving if one[0] != other[0]][:_PAIRS]
    for (payload, _), (other, expected) in pairs:
        yield from _after(trial, payload, other, expected)
        if key is not None and key in payload and payload.get(key) != other.get(key):
            same = {**other, key: payload[key]}  # the same partition
            passed = _one_pass(trial, same)
            if "value" in passed["outcome"]:
                yield from _after(trial, payload, same, passed)


def _after(trial: Trial, payload: Any, other: Any, expected: Report) -> Iterator[Finding]:
    with scratch_folder() as kept:
        _run(trial, payload, kept)
        outcome = _run(trial, other, kept)["outcome"]
    if outcome != expected["outcome"]:
        assert trial.hook is not None
        told = f"takes over what another run left in its checkpoints: {difference(expected['outcome'], outcome)}"
        evidence = {"run before": as_call(trial.subject, trial.hook, payload), "alone": expected["outcome"]}
        yield _finding(trial, other, told, **evidence, after=outcome)


def _finding(trial: Trial, payload: Any, told: str, **evidence: Any) -> Finding:
    assert trial.hook is not None
    return Finding(
        told=told,
        advice="save what was done after it was done, under a key that names the run; load it first, and go on there",
        hook=trial.hook,
        evidence={"call": as_call(trial.subject, trial.hook, payload), **evidence},
    )
