"""What came of the checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import attrs

from dagstack_plugins.contract.violations import ContractViolation


class CheckStatus(StrEnum):
    """What came of one check.

    Members:
        PASSED: the plugin keeps it, as far as was seen.
        FAILED: the plugin breaks it.
        EXCUSED: the plugin breaks it, and its manifest says why.
        NOT_APPLICABLE: it has nothing to do with this plugin.
        NOT_PROVEN: nothing was found, and too little was seen to say more.
    """

    PASSED = "passed"
    FAILED = "failed"
    EXCUSED = "excused"
    NOT_APPLICABLE = "not_applicable"
    NOT_PROVEN = "not_proven"

    @property
    def ok(self) -> bool:
        """Whether a suite with this result may pass."""
        return self not in (CheckStatus.FAILED, CheckStatus.NOT_PROVEN)


@attrs.frozen(kw_only=True)
class CheckResult:
    """What came of one check of one plugin.

    Attributes:
        check: the check's name.
        hook: the hook that was checked, for checks that look at each by itself.
        plugin: ``kind/name``.
        status: what came of it.
        reason: why it is so, for people; empty if there is nothing to say.
        violations: what was found; also where it is excused.
        note: what a passed check has to say besides: an excuse that is not needed.
        seconds: how long it took.
    """

    check: str
    hook: str | None = None
    plugin: str
    status: CheckStatus
    reason: str = ""
    violations: tuple[ContractViolation, ...] = ()
    note: str = ""
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """``check``, or ``check[hook]``."""
        return f"{self.check}[{self.hook}]" if self.hook else self.check

    def __str__(self) -> str:
        lines = [f"{self.status.replace('_', ' ')}: {self.label}" + (f": {self.reason}" if self.reason else "")]
        lines += [f"note: {self.note}"] if self.note else []
        if self.status is not CheckStatus.EXCUSED:
            lines += map(str, self.violations)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "check": self.check,
            "hook": self.hook,
            "plugin": self.plugin,
            "status": str(self.status),
            "reason": self.reason,
            "note": self.note,
            "violations": [_told(one) for one in self.violations],
            "seconds": round(self.seconds, 3),
        }


def _told(error: ContractViolation) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "invariant": error.invariant,
        "hook": error.hook,
        "told": error.finding.told,
        "file": error.file,
        "line": error.line,
        "evidence": error.evidence,
        "advice": error.advice,
    }


@attrs.frozen
class SuiteResult:
    """What came of all checks of one plugin.

    Attributes:
        results: one for each check, or for each hook of a check that looks at hooks one by one.
    """

    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing is left unproven."""
        return all(result.status.ok for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """What failed, or is not proven."""
        return tuple(result for result in self.results if not result.status.ok)

    def format_failures(self) -> str:
        """What failed or is not proven, for people: each with its place, the evidence, and what to do."""
        return "\n\n".join(map(str, self.failures)) or "nothing failed"

    def to_dict(self) -> dict[str, Any]:
        """All results as JSON."""
        return {"ok": self.ok, "results": [result.to_dict() for result in self.results]}

    def __iter__(self) -> Iterator[CheckResult]:
        return iter(self.results)

    @classmethod
    def of(cls, results: Iterable[CheckResult]) -> SuiteResult:
        """A suite of these results."""
        return cls(tuple(results))
