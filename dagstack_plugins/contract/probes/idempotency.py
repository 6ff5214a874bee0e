"""``idempotency``: the same input gives the same output, whenever and wherever it comes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.resources.clock import FrozenClock
from dagstack_plugins.resources.rng import DeterministicRng

_LATER: Final = 400 * 86_400 + 7 * 3600 + 61.0
"""Seconds: another year, month, day, hour, minute and second."""


def host(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """What one host is answered: in some order, at some time, with some seed."""
    subject, arguments = given
    hook, payloads = arguments["hook"], arguments["payloads"]
    if arguments["alone"]:
        return {"outcomes": [_answers(subject, scratch, hook, [payload], arguments)[0] for payload in payloads]}
    return {"outcomes": _answers(subject, scratch, hook, payloads, arguments)}


def _answers(
    subject: Subject, scratch: Path, hook: str, payloads: Iterable[Any], arguments: dict[str, Any]
) -> list[Any]:
    clock = FrozenClock()
    if arguments["later"]:
        clock.advance(_LATER)
    instead = {"clock": clock, "rng": DeterministicRng(seed=arguments["rng_seed"])}
    given = {name: value for name, value in instead.items() if name not in subject.resources}
    stage = Stage(subject, scratch, resources=given)
    found = []
    with stage.running():
        for payload in payloads:
            given_payload = stage.filled(payload)
            if stage.input_is_valid(hook, given_payload):
                found.append(stage.settled(stage.call(hook, given_payload).told()))
            else:  # what was put together of others
                found.append({"error": "PayloadInvalid"})
            clock.advance(_LATER / 100)
    return found
