"""``fallback`` takes whatever nobody else wants; and in a ``chain``, what one plugin returns, the next takes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.bench import as_call, readable
from dagstack_plugins.contract.inputs import NoInput, samples
from dagstack_plugins.contract.probes.boundaries import Search, unfit
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.kinds.properties import properties, types
from dagstack_plugins.wording import place_parts, raised

_PATIENCE: Final = 5.0
"""Seconds that one call may take."""
_MILLION: Final = 2**20

HOSTILE: Final = (
    "",
    " ",
    "\n" * 50,
    "\0",
    "a\0b\0\0",
    "\r\n\r\r\n",
    "\ufeff",
    "\u202eabc\u2066def\u2069",
    "\u0301",
    "e\u0301" * 100,
    "\u0301a",
    "\U0001d518\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\ufb03\u212b\u1e9b\u0323\ufdfa",
    "\u0130\u0131\u1e9e\u00df",
    "".join(map(chr, range(32))),
    "\x7fELF\x02\x01\x01\0\0",
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "GIF89a\x01\0\x01\0",
    "%PDF-1.7\n%\u00e2\u00e3",
    "PK\x03\x04",
    "MZ\x90\0",
    "\x1f\u008b\b",
    '{"a": ',
    "<" * 5000,
    "<a>" * 5000,
    "[" * 50_000,
    "(" * 3000 + ")" * 3000,
    "{[" * 3000,
    "> " * 3000,
    "#" * 5000,
    "`" * 5001,
    '"' * 3001,
    "\\" * 5001,
    "a" * 30 + "!",
    "a" * 50_000 + "!",
    " " * 50_000 + "x",
    "\t" * 20_000,
    "x" * _MILLION,
    "ab " * (_MILLION // 3),
    "\n" * 200_000,
    "line\n" * 100_000,
    "\u4e00" * 300_000,
    "\U0001f600" * 100_000,
    "a,b;c|" * 50_000,
    "%s%n%x{0}{}${x}#{y}",
    "'; DROP TABLE x; --",
    "../../../../etc/passwd",
    "-0",
    "1e999",
    "NaN",
    "null",
)
"""Texts that have ended many a parser."""


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Call the fallback with hostile texts in each of its texts, one after the other."""
    subject, arguments = given
    stage = Stage(subject, scratch)
    hook = arguments["hook"]
    if hook not in stage.hooks:
        return Verdict.not_applicable(f"the plugin has no {hook!r}").to_dict()
    died: list[Any] = []
    threading.excepthook = died.append
    tried = 0
    with stage.running():
        for payload in _hostile(stage, hook):
            tried += 1
            begun = time.monotonic()
            outcome = stage.call(hook, payload)
            took = time.monotonic() - begun
            evidence = {"call": as_call(stage.subject, hook, payload)}
            error = outcome.error
            told = ""
            if error is not None:
                told = f"does not survive an input: {raised(error)}"
            elif died:
                error, told = died[0].exc_value, f"loses a thread over an input: {raised(died[0].exc_value)}"
            elif took > _PATIENCE:
                told = f"takes {took:.1f} s over one input of {len(json.dumps(payload)):,} characters"
            if told:
                file, line = place_parts(error) if error is not None else (None, None)
                advice = "a fallback answers whatever nobody else does: catch what may fail, and answer something plain"
                finding = Finding(told=told, advice=advice, hook=hook, file=file, line=line, evidence=evidence)
                return Verdict.of([finding]).to_dict()
    if not tried:
        return Verdict.not_proven("its input has no text").to_dict()
    return Verdict.of((), f"{tried} hostile inputs").to_dict()


def _hostile(stage: Stage, hook: str) -> Iterator[Any]:
    try:
        bases = stage.examples(hook)[:1] + samples(stage.strategy(hook), 2, stage.subject.seed)
    except NoInput:
        bases = stage.examples(hook)[:1]
    schema, files = stage.input_schema(hook)
    fields = [
        name for name, part in properties(schema, files)[0].items() if "string" in (types(part, files) or {"string"})
    ]
    for base in bases[:2]:
        for text in HOSTILE:
            for field in fields:
                payload = {**base, field: text}
                if stage.input_is_valid(hook, payload):
                    yield payload


def chain(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Call a hook of a chain, and again on what it returned."""
    subject, arguments = given
    stage = Stage(subject, scratch)
    hook = arguments["hook"]
    if hook not in stage.hooks:
        return Verdict.not_applicable(f"the plugin has no {hook!r}").to_dict()
    with stage.running():
        search = Search(stage, hook, lambda payload: _passes_on(stage, hook, payload), arguments["seconds"])
        return search.verdict().to_dict()


def _passes_on(stage: Stage, hook: str, payload: Any) -> Finding | None:
    given = payload
    for _ in range(3):
        outcome = stage.call(hook, given)
        again = given is not payload
        evidence = {"call": as_call(stage.subject, hook, payload), "passed on": readable(given)}
        if outcome.error is not None:
            if not again or outcome.exits:
                return None
            file, line = place_parts(outcome.error)
            told = f"fails on what it passed on itself: {raised(outcome.error)}"
            advice = "in a chain, the output of one plugin is the input of the next, perhaps one just like it"
            return Finding(told=told, advice=advice, hook=hook, file=file, line=line, evidence=evidence)
        if unfit(stage, hook, outcome) is not None:
            return None  # that is found by `boundaries`
        given = to_json(outcome.value)
        if fault := stage.input_fault(hook, given):
            evidence["output"] = readable(given)
            told = f"passes on what the next plugin of the chain does not take: {fault}"
            return Finding(told=told, advice="keep the hook's input_schema in the output", hook=hook, evidence=evidence)
        if outcome.stopped:
            return None
    return None
