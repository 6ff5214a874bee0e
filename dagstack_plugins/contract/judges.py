"""What each check says, from what its probes saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs

from dagstack_plugins.contract.bench import ELSEWHERES, Broke, Trial, Where, as_call
from dagstack_plugins.contract.differences import difference, text_difference
from dagstack_plugins.contract.resuming import judge_resume
from dagstack_plugins.contract.verdict import Verdict, unanswered
from dagstack_plugins.contract.violations import OF_DETERMINISM, Finding

_INPUTS: Final = 12

Judge = Callable[[Trial], Verdict]


def _manifest(trial: Trial) -> Verdict:
    return Verdict.from_dict(trial.run("manifest:probe"))


def _ambient_state(trial: Trial) -> Verdict:
    """Watched in one host, and compared with two others."""
    inputs = trial.inputs(_INPUTS)
    seen = trial.run("ambient_state:probe", inputs=inputs)
    findings = [Finding(**one) for one in seen["findings"]]
    promised = trial.subject.manifest.unit_of_work.idempotency_mode == "output_hash"
    if promised:
        findings = [one for one in findings if one.what not in OF_DETERMINISM]
    calls = [(hook, payload) for hook, payloads in inputs.items() for payload in payloads] * 2
    # What was seen already is most likely why they differ.
    if not promised and not findings:
        elsewhere = trial.run("ambient_state:host", where="elsewhere", inputs=inputs)["outcomes"]
        findings += different(trial, calls, seen["outcomes"], elsewhere, "in another process")
    if on_loops(seen["again"]):
        findings += different(trial, calls, seen["outcomes"], seen["again"], "on a fresh event loop")
    if findings or not calls:
        return Verdict.of(findings)
    if all("error" in one for one in seen["outcomes"]):
        return unanswered(calls[-1][0], len(calls), seen["outcomes"][-1]["message"])
    return Verdict.of((), f"{len(calls)} calls on three hosts")


def different(
    trial: Trial, calls: Sequence[Any], one: Sequence[Any], other: Sequence[Any], where: str
) -> list[Finding]:
    """The first call that two hosts answer differently."""
    for (hook, payload), mine, others in zip(calls, one, other, strict=False):
        if _comparable(mine) != _comparable(others):
            return [
                Finding(
                    told=f"answers otherwise {where}: {difference(mine, others)}",
                    advice="let nothing but the payload, the configuration and resources decide; sort what comes from "
                    "a set, and leave out what is this process's own: addresses, numbers, its time zone",
                    hook=hook,
                    evidence={"call": as_call(trial.subject, hook, payload), "here": mine, "there": others},
                )
            ]
    return []


def _comparable(outcome: Mapping[str, Any]) -> Any:
    return outcome.get("error", outcome)


def on_loops(outcomes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether errors speak of event loops, which is what differs on a fresh one."""
    return any("loop" in str(one.get("message", "")) for one in outcomes)


def _watched(check: str) -> Judge:
    """A check that one probe settles, given inputs of all hooks."""

    def judge(trial: Trial) -> Verdict:
        inputs = trial.inputs(_FEW)
        return Verdict.from_dict(trial.run(f"{check}:probe", inputs=inputs))

    return judge


def _lifecycle(trial: Trial) -> Verdict:
    inputs = trial.inputs(_FEW)
    verdict = Verdict.from_dict(trial.run("lifecycle:probe", inputs=inputs, named=False))
    if any(finding.kind_of and not finding.line for finding in verdict.findings):
        # With all that is allocated told of, a plugin is many times as slow: what was found stands without its line.
        with suppress(Broke):
            named = Verdict.from_dict(trial.run("lifecycle:probe", inputs=inputs, named=True))
            return named if named.findings else verdict
    return verdict


def _unit_of_work(trial: Trial) -> Verdict:
    inputs = trial.inputs(trial.subject.examples)
    return Verdict.from_dict(trial.run("unit_of_work:probe", inputs=inputs))


def _payloads(trial: Trial, number: int = _INPUTS) -> list[Any] | None:
    """Inputs of the hook; ``None`` if the plugin doesn't have it."""
    return trial.inputs(number).get(trial.hook or "")


def _idempotency(trial: Trial) -> Verdict:
    """One host as the measure: each input alone in a fresh instance; then others, that differ in all else."""
    payloads = _payloads(trial)
    if payloads is None or trial.hook is None:
        return Verdict.not_applicable(f"the plugin has no {trial.hook!r}")

    def host(given: Sequence[Any], where: Where = "here", **differs: Any) -> list[Any]:
        arguments = {"hook": trial.hook, "payloads": given, "alone": False, "later": False, "rng_seed": 0} | differs
        found: list[Any] = trial.run("idempotency:host", where=where, **arguments)["outcomes"]
        return found

    alone = host(payloads, alone=True)
    if all("error" in one for one in alone):
        return unanswered(trial.hook, len(alone), alone[-1]["error"])
    calls = [(trial.hook, payload) for payload in payloads]
    runs = (
        ("again, with other inputs between", calls * 2, host(payloads * 2), alone * 2),
        ("in another order", calls[::-1], host(payloads[::-1], rng_seed=1), alone[::-1]),
        ("later", calls, host(payloads, "elsewhere", later=True, rng_seed=2, alone=True), alone),
    )
    for when, given, answers, expected in runs:
        if found := different(trial, given, expected, answers, when):
            return Verdict.of(found)
    alike = list(_alike(payloads, alone, trial.subject.manifest.unit_of_work.content_hash))
    answers = host([payload for _, payload, _ in alike], alone=True)
    for (first, payload, expected), answer in zip(alike, answers, strict=True):
        told = "when an input differs only in what content_hash leaves out"
        if "error" not in answer and (found := different(trial, [(trial.hook, payload)], [expected], [answer], told)):
            evidence = {**found[0].evidence, "like": as_call(trial.subject, trial.hook, first)}
            return Verdict.of([attrs.evolve(found[0], evidence=evidence)])
    return Verdict.of((), f"{len(payloads)} inputs in four hosts, {len(alike)} more that count as the same")


def _alike(payloads: list[Any], outcomes: Sequence[Any], fields: Sequence[str]) -> Iterator[tuple[Any, Any, Any]]:
    """Inputs that count as the same as others, as they agree in all fields that identify a run."""
    if not fields:
        return
    for index, (one, outcome) in enumerate(zip(payloads, outcomes, strict=True)):
        if "error" in outcome:
            continue
        kept = {name: one[name] for name in fields if name in one}
        for other in payloads[:index] + payloads[index + 1 :]:
            made = {name: value for name, value in other.items() if name not in fields} | kept
            if made != one:
                yield one, made, outcome
        for name in one.keys() - set(fields):
            yield one, {key: value for key, value in one.items() if key != name}, outcome


def _determinism(trial: Trial) -> Verdict:
    payloads = _payloads(trial)
    if payloads is None or trial.hook is None:
        return Verdict.not_applicable(f"the plugin has no {trial.hook!r}")
    payloads = payloads * 2
    seen = trial.run("determinism:here", hook=trial.hook, payloads=payloads)
    findings = [Finding(**one) for one in seen["findings"]]
    if not findings:
        for where in ("elsewhere", *(f"elsewhere {number}" for number in range(2, ELSEWHERES + 1))):
            others = trial.run("determinism:elsewhere", where=where, hook=trial.hook, payloads=payloads)["answers"]
            findings = findings or list(_unequal(trial, payloads, seen, others))
    if not findings and not any(answer.startswith("{") for answer in seen["answers"]):
        return unanswered(trial.hook, len(payloads), seen["answers"][-1])
    return Verdict.of(findings, "" if findings else f"{len(payloads)} inputs, equal to the byte")


def _unequal(
    trial: Trial, payloads: Sequence[Any], seen: Mapping[str, Any], others: Sequence[str]
) -> Iterator[Finding]:
    assert trial.hook is not None
    for payload, here, there in zip(payloads, seen["answers"], others, strict=True):
        if here != there:
            hints = {"may come from": "; ".join(seen["hints"])} if seen["hints"] else {}
            yield Finding(
                told="gives other bytes in another process, where hash seed, time zone, locale and addresses differ: "
                + text_difference(here, there),
                advice="sort what comes from a set or a folder; leave hash(), id() and addresses out of the output",
                hook=trial.hook,
                evidence={"call": as_call(trial.subject, trial.hook, payload), "here": here, "there": there, **hints},
            )
            return


def _of_hook(probe: str) -> Judge:
    """A check of one hook that one probe settles."""

    def judge(trial: Trial) -> Verdict:
        if trial.hook is None:
            return Verdict.not_proven("its kind is unknown, so that nobody knows its hooks")
        return Verdict.from_dict(trial.run(probe, hook=trial.hook))

    return judge


_FEW: Final = 6
"""Inputs for each hook, where it matters more that it is called than with what."""

JUDGES: Final[Mapping[str, Judge]] = {
    "manifest": _manifest,
    "ambient_state": _ambient_state,
    "boundaries": _of_hook("boundaries:probe"),
    "resources": _watched("resources"),
    "lifecycle": _lifecycle,
    "execution_model": _watched("execution_model"),
    "unit_of_work": _unit_of_work,
    "resume": judge_resume,
    "idempotency": _idempotency,
    "determinism": _determinism,
    "fallback": _of_hook("fallback:probe"),
    "chain": _of_hook("fallback:chain"),
}
