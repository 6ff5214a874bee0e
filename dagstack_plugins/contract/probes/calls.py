"""The calls that several probes make: their inputs, in which order, and what comes of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dagstack_plugins.contract.inputs import NoInput, samples
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject


def inputs(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Inputs of all hooks, made once for several hosts; and how long a call takes, so that there are not too many."""
    subject, arguments = given
    stage = Stage(subject, scratch)
    made: dict[str, list[Any]] = {}
    with stage.running():
        for hook in stage.hooks:
            try:
                made[hook] = samples(stage.strategy(hook), arguments["number"], subject.seed)
            except NoInput:
                made[hook] = []
        given_ones = {hook: stage.raw_examples(hook) for hook in made}
        pace = max((_pace(stage, hook, (given_ones[hook] + made[hook])[:2]) for hook in made), default=0.0)
        return {"given": given_ones, "made": made, "pace": pace}


def _pace(stage: Stage, hook: str, payloads: list[Any]) -> float:
    """Seconds that one call takes."""
    begun = time.monotonic()
    outcomes(stage, [(hook, payload) for payload in payloads])
    return (time.monotonic() - begun) / max(1, len(payloads))


def plan(inputs_of: Mapping[str, list[Any]]) -> list[tuple[str, Any]]:
    """Each input twice, with others in between, hooks taking turns."""
    rounds = [(hook, payload) for hook, payloads in inputs_of.items() for payload in payloads]
    return rounds + rounds


def outcomes(stage: Stage, calls: Iterable[tuple[str, Any]]) -> list[Any]:
    """What came of some calls, as JSON."""
    return [stage.settled(stage.call(hook, stage.filled(payload)).told()) for hook, payload in calls]
