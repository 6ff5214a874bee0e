"""What a plugin can be guilty of: one error for each check of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import attrs

from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.wording import printable

OF_DETERMINISM: Final = frozenset({"clock", "interval", "randomness", "identity", "locale"})
"""What ``determinism`` reports of plugins that promise equal bytes, and ``ambient_state`` of all others."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that a check found.

    Attributes:
        told: what the plugin does, for people.
        advice: what to do about it.
        hook: the hook that it happens in; ``None`` outside of hooks.
        file: the file to blame, where known.
        line: 1-based line in it.
        evidence: what proves it, by name: the input, two outputs, a leaked object; JSON.
        kind_of: the name of a narrower class of violation; empty for the check's own.
        what: what sort of thing it is about: ``clock``, ``environment``, ``module state``.
    """

    told: str
    advice: str = ""
    hook: str | None = None
    file: str | None = None
    line: int | None = None
    evidence: Mapping[str, Any] = attrs.field(factory=dict)
    kind_of: str = ""
    what: str = ""

    @property
    def place(self) -> str:
        """``file:line``, or what is known of it."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file or ""


class ContractViolation(PluginRegistryError):
    """A plugin breaks its contract.

    Args:
        finding: what was found.
        kind: the plugin's kind.
        plugin: its name.

    Attributes:
        check: the name of the check that found it.
        invariant: the number of the invariant that the check proves; ``None`` for one without a number.
        file: the file to blame, where known.
        line: 1-based line in it.
        evidence: what proves it, by name, as JSON.
        advice: what to do about it.

    .. versionadded:: 0.1
    """

    check: ClassVar[str] = ""
    invariant: ClassVar[int | None] = None

    def __init__(self, finding: Finding, *, kind: str | None = None, plugin: str | None = None) -> None:
        self.finding = finding
        self.file, self.line = finding.file, finding.line
        self.evidence = dict(finding.evidence)
        self.advice = finding.advice
        super().__init__(self._message(kind, plugin), kind=kind, plugin=plugin, hook=finding.hook)

    def _message(self, kind: str | None, plugin: str | None) -> str:
        finding = self.finding
        number = f"invariant {self.invariant}, " if self.invariant is not None else ""
        where = f", hook {finding.hook!r}" if finding.hook else ""
        lines = [f"{kind}/{plugin} breaks {number}{self.check}{where}: {finding.told}"]
        if finding.place:
            lines.append(f"  at {finding.place}")
        lines += [f"  {name}: {_evidence(value)}" for name, value in finding.evidence.items()]
        if finding.advice:
            lines.append(f"  {finding.advice}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.finding, self.kind, self.plugin)


def _restored(
    cls: type[ContractViolation], finding: Finding, kind: str | None, plugin: str | None
) -> ContractViolation:
    return cls(finding, kind=kind, plugin=plugin)


_LONGEST: Final = 2000
"""Characters of one piece of evidence in a message."""


def _evidence(value: Any) -> str:
    text = value if isinstance(value, str) else printable(json.dumps(value, ensure_ascii=False, default=repr))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text.replace("\n", "\n    ")


class ManifestViolation(ContractViolation):
    """The manifest, or the code that it names, is not what a host can load."""

    check = "manifest"


class AmbientStateViolation(ContractViolation):
    """The plugin leans on something that no host lent to it."""

    check = "ambient_state"
    invariant = 1


class SerializationError(ContractViolation):
    """What the plugin takes or returns is not JSON, or not what its kind says."""

    check = "boundaries"
    invariant = 2


class ResourceViolation(ContractViolation):
    """The plugin reaches sockets or processes past the host's resources."""

    check = "resources"
    invariant = 3


class LifecycleViolation(ContractViolation):
    """Setup or teardown fails, or a restart changes what the plugin answers."""

    check = "lifecycle"
    invariant = 3


class LeakDetected(LifecycleViolation):
    """Something that the plugin made is still there after its teardown."""


class ExecutionModelViolation(ContractViolation):
    """The plugin runs otherwise than its ``execution_model`` says."""

    check = "execution_model"
    invariant = 4


class UnitOfWorkViolation(ContractViolation):
    """The unit of work is declared otherwise than it can be."""

    check = "unit_of_work"
    invariant = 5


class ResumeViolation(ContractViolation):
    """A killed run, started again, does not end as one pass does."""

    check = "resume"
    invariant = 6


class IdempotencyViolation(ContractViolation):
    """The same input gives another output."""

    check = "idempotency"
    invariant = 7


class DeterminismError(ContractViolation):
    """Two runs give different bytes."""

    check = "determinism"
    invariant = 8


class FallbackViolation(ContractViolation):
    """A fallback does not survive an input."""

    check = "fallback"


class ChainViolation(ContractViolation):
    """What a chain plugin returns does not fit what the next one takes."""

    check = "chain"


class NotProven(ContractViolation):
    """A check saw too little of a plugin to say that it keeps the contract."""

    check = "contract"

    def _message(self, kind: str | None, plugin: str | None) -> str:
        return f"{kind}/{plugin}: {self.finding.told}"


VIOLATIONS: Final[Mapping[str, type[ContractViolation]]] = {
    cls.check: cls
    for cls in (
        ManifestViolation,
        AmbientStateViolation,
        SerializationError,
        ResourceViolation,
        LifecycleViolation,
        ExecutionModelViolation,
        UnitOfWorkViolation,
        ResumeViolation,
        IdempotencyViolation,
        DeterminismError,
        FallbackViolation,
        ChainViolation,
    )
}
"""The error of each check, in the order in which they run."""

NARROWER: Final[Mapping[str, type[ContractViolation]]] = {"leak": LeakDetected}


def violation(check: str, finding: Finding, kind: str, plugin: str) -> ContractViolation:
    """The error for a finding of a check."""
    cls = NARROWER.get(finding.kind_of, VIOLATIONS[check])
    return cls(finding, kind=kind, plugin=plugin)
