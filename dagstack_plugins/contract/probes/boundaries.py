"""``boundaries``: a hook takes JSON and returns JSON, whatever input its schema admits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException

from dagstack_plugins.contract.bench import as_call, readable
from dagstack_plugins.contract.inputs import NoInput
from dagstack_plugins.contract.outcome import Outcome
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict, unanswered
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.errors import PayloadInvalid
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.wording import dotted, place_parts, raised


def probe(scratch: Path, given_: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Call one hook with the manifest's examples, and with inputs made from its schema."""
    subject, arguments = given_
    stage = Stage(subject, scratch)
    hook = arguments["hook"]
    if hook not in stage.hooks:
        return Verdict.not_applicable(f"the plugin has no {hook!r}").to_dict()
    with stage.running():
        search = Search(stage, hook, lambda payload: breach(stage, hook, payload), arguments["seconds"])
        return search.verdict().to_dict()


Check = Callable[[Any], "Finding | None"]


class _Enough(KeyboardInterrupt):
    """Time is up; hypothesis lets an interrupt through as it is."""


class Breach(AssertionError):
    """An input that shows a fault; hypothesis looks for a smaller one."""


class Search:
    """Looks for an input that shows a fault, and then for the smallest.

    Args:
        stage: the plugin, started.
        hook: the hook.
        check: calls it with an input; what it finds.
        seconds: how long to look.
    """

    def __init__(self, stage: Stage, hook: str, check: Check, seconds: float) -> None:
        self._stage = stage
        self._hook = hook
        self._check = check
        self._until = time.monotonic() + seconds
        self._tried = 0
        self._best: tuple[int, Finding] | None = None

    def verdict(self) -> Verdict:
        """What came of it."""
        try:
            self._examples()
            if self._best is None:
                self._generated()
        except _Enough:
            pass
        except NoInput as error:
            if self._best is None and not self._stage.examples(self._hook):
                return Verdict.not_proven(
                    f"{error}; give some inputs: [plugin.contract.examples] {self._hook} = [{{…}}]"
                )
        if self._best is not None:
            return Verdict.of([self._best[1]])
        return self._unless_all_failed()

    def _unless_all_failed(self) -> Verdict:
        answered, failed = self._stage.answered.get(self._hook, 0), self._stage.failures.get(self._hook)
        if not self._tried:
            return Verdict.not_proven("no input was tried in the time that there was")
        if not answered and failed is not None:
            return unanswered(self._hook, self._tried, failed)
        return Verdict.of((), f"{self._tried} inputs, {answered} answered")

    def _examples(self) -> None:
        for example in self._stage.examples(self._hook):
            self._try(example, shrink=False)

    def _generated(self) -> None:
        number = self._stage.subject.examples

        @seed(self._stage.subject.seed)
        @settings(
            max_examples=number,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(self._stage.strategy(self._hook))
        def try_one(payload: Any) -> None:
            self._try(payload)

        try:
            try_one()
        except (Breach, BaseExceptionGroup):
            return
        except HypothesisException as error:
            # A fault that doesn't come again with the same input was seen all the same.
            if self._best is None and not self._tried:
                raise NoInput(f"nothing was found that fits the input's schema ({type(error).__name__})") from None

    def _try(self, payload: Any, *, shrink: bool = True) -> None:
        if time.monotonic() > self._until:
            raise _Enough
        self._tried += 1
        found = self._check(payload)
        if found is None:
            return
        size = len(json.dumps(payload))
        if self._best is None or size < self._best[0]:
            self._best = size, found
        if shrink:
            raise Breach


def breach(stage: Stage, hook: str, payload: Any) -> Finding | None:
    """What is wrong with how a hook answers one input."""
    outcome = stage.call(hook, payload)
    evidence = {"call": as_call(stage.subject, hook, payload)}
    if outcome.exits:
        assert outcome.error is not None
        file, line = place_parts(outcome.error)
        told = f"tries to end its host: {raised(outcome.error)}"
        return Finding(
            told=told, advice="raise an error of your own", hook=hook, file=file, line=line, evidence=evidence
        )
    if outcome.changed is not None:
        told = "changes the payload that it was given, which belongs to its caller"
        evidence["after"] = readable(outcome.changed)
        return Finding(told=told, advice="work on a copy", hook=hook, evidence=evidence)
    if outcome.error is not None:
        return None
    fault = unfit(stage, hook, outcome)
    if fault is None:
        return None
    says = "" if stage.codec(hook).hands_back else ", as the hook's output_schema says"
    advice = f"return dict, list, str, int, float, bool or None{says}"
    return Finding(told=fault, advice=advice, hook=hook, evidence={**evidence, "output": readable(outcome.value)})


def unfit(stage: Stage, hook: str, outcome: Outcome) -> str | None:
    """Why what a hook returned is no output of it, if it isn't."""
    codec = stage.codec(hook)
    try:
        data = to_json(outcome.value)
        if json.loads(json.dumps(data)) != data:
            return "what it returns does not come back from JSON as it is"
        if codec.hands_back:
            return _rewritten(outcome.value, data)
        codec.result(outcome.value, stage.subject.manifest.name)
    except NotJson as error:
        return f"what it returns is not JSON: {dotted(error.path)} {error}"
    except PayloadInvalid as error:
        return str(error).partition("\nmend")[0]
    except Exception as error:
        return f"what it returns can't be read: {raised(error)}"
    return None


def _rewritten(value: Any, data: Any) -> str | None:
    """Callers of a hook without output schema get what the plugin returned: elsewhere they would get something else."""
    value = value.to_dict() if isinstance(value, Payload) else value
    if type(value) is not type(data) or value != data:
        return (
            f"returns a {type(value).__name__}, which reaches callers as it is in the host's process and as plain JSON "
            "from any other; the hook has no output_schema that would settle it"
        )
    inner = zip(value.values(), data.values(), strict=True) if isinstance(value, dict) else None
    inner = zip(value, data, strict=True) if isinstance(value, list) else inner
    return next((found for one, other in inner or () if (found := _rewritten(one, other))), None)
