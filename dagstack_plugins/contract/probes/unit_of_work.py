"""``unit_of_work``: what the manifest says of units of work agrees with itself, with the schemas, and with the code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.checkpoints import MemoryCheckpoints
from dagstack_plugins.contract.probes.calls import outcomes
from dagstack_plugins.contract.probes.sighted import each_once
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.watch import Watch
from dagstack_plugins.kinds.properties import properties, types
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles
from dagstack_plugins.wording import nearest

_KEYS: Final = frozenset({"string", "integer", "number"})


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Read the manifest beside the schemas, and see whether hooks save checkpoints."""
    subject, arguments = given
    saves = Saves(Watch(subject.own, scratch))
    stage = Stage(subject, scratch, checkpoints=saves)
    found: list[Finding] = []
    with stage.running():
        found += _flags(subject)
        found += _fields(stage)
        for hook, payloads in arguments["inputs"].items():
            saves.hook = hook
            outcomes(stage, [(hook, payload) for payload in payloads])
        saves.hook = None
    if not subject.manifest.unit_of_work.checkpointable:
        found += saves.findings
    return Verdict.of(each_once(found)).to_dict()


class Saves(MemoryCheckpoints):
    """Checkpoints in memory, which remember who saved while a hook ran.

    Args:
        watch: tells whose code it is.
    """

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch
        self.hook: str | None = None
        self.findings: list[Finding] = []

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state."""
        if self.hook is not None:
            file, line = self._watch.blame_only(sys._getframe(1)) or (None, None)
            told = "saves checkpoints, but its manifest does not say that a run resumes from them"
            advice = "write [unit_of_work] declared = true, checkpointable = true"
            self.findings.append(Finding(told=told, advice=advice, hook=self.hook, file=file, line=line))
        return super().save(scope, key, state, expected)


def _finding(subject: Subject, told: str, advice: str) -> Finding:
    file = subject.manifest.file
    return Finding(told=told, advice=advice, file=str(file) if file else None)


def _flags(subject: Subject) -> Iterator[Finding]:
    unit = subject.manifest.unit_of_work
    said = {
        "partition_key": unit.partition_key is not None,
        "estimated_duration_sec": unit.estimated_duration_sec is not None,
        "idempotency_mode": unit.idempotency_mode != "none",
        "checkpointable": unit.checkpointable,
        "content_hash": bool(unit.content_hash),
    }
    if not unit.declared:
        for name in (name for name, is_said in said.items() if is_said):
            told = f"[unit_of_work] says {name}, but no unit: declared is not true"
            yield _finding(subject, told, "write declared = true, or leave the rest out")
    elif unit.content_hash and unit.idempotency_mode == "none":
        told = "[unit_of_work] says content_hash, which nothing reads: idempotency_mode is 'none'"
        yield _finding(subject, told, "write idempotency_mode = 'input_hash' or 'output_hash', or leave it out")


def _fields(stage: Stage) -> Iterator[Finding]:
    """The fields that are named must be in what hooks take."""
    subject = stage.subject
    unit = subject.manifest.unit_of_work
    taken = [(hook, *stage.input_schema(hook)) for hook in stage.hooks]
    declared = {name for _, schema, files in taken for name in properties(schema, files)[0]}
    for field in unit.content_hash:
        if field not in declared:
            told = f"[unit_of_work] content_hash names {field!r}, which no input has{nearest(field, declared)}"
            yield _finding(subject, told, f"inputs have: {', '.join(sorted(declared)) or 'no properties'}")
    key = unit.partition_key
    if key is None:
        return
    if key not in declared:
        told = f"[unit_of_work] partition_key names {key!r}, which no input has{nearest(key, declared)}"
        yield _finding(subject, told, f"inputs have: {', '.join(sorted(declared)) or 'no properties'}")
    for hook, schema, files in taken:
        yield from _partition(subject, key, hook, schema, files)


def _partition(subject: Subject, key: str, hook: str, schema: Schema, files: SchemaFiles) -> Iterator[Finding]:
    found, required = properties(schema, files)
    if key not in found:
        return
    body = found[key].body
    if key not in required and not (isinstance(body, dict) and "default" in body):
        told = f"partition_key names {key!r}, which an input of {hook!r} may leave out: such a run belongs nowhere"
        yield _finding(subject, told, "name a required property, or one with a default")
    may_be = types(found[key], files)
    if may_be is not None and not may_be <= _KEYS:
        told = f"partition_key names {key!r}, which may be {' or '.join(sorted(may_be - _KEYS))} in {hook!r}"
        yield _finding(subject, told, "name a property that is a string or a number")
