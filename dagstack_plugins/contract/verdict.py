"""What one check says of a plugin, before the manifest's excuses are heard; crosses processes as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from dagstack_plugins.contract.results import CheckStatus
from dagstack_plugins.contract.violations import Finding


@attrs.frozen
class Verdict:
    """What a check says.

    Attributes:
        status: never ``EXCUSED``: that is for the manifest to say.
        reason: why.
        findings: what it found.
    """

    status: CheckStatus
    reason: str = ""
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, findings: Iterable[Finding], reason: str = "") -> Verdict:
        """Failed, if anything was found; else passed."""
        found = tuple(findings)
        return cls(CheckStatus.FAILED, reason, found) if found else cls(CheckStatus.PASSED, reason)

    @classmethod
    def not_applicable(cls, reason: str) -> Verdict:
        """It has nothing to do with the plugin."""
        return cls(CheckStatus.NOT_APPLICABLE, reason)

    @classmethod
    def not_proven(cls, reason: str) -> Verdict:
        """Too little was seen."""
        return cls(CheckStatus.NOT_PROVEN, reason)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "findings": [attrs.asdict(finding) for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """What ``to_dict`` gave."""
        findings = tuple(Finding(**finding) for finding in data["findings"])
        return cls(CheckStatus(data["status"]), data["reason"], findings)


def unanswered(hook: str, calls: int, last: str) -> Verdict:
    """What a check says of a plugin whose hooks raise on every input.

    Args:
        hook: one of the hooks.
        calls: how many calls there were.
        last: the last error.
    """
    return Verdict.not_proven(
        f"each of {calls} calls raised, the last one {last}; give an input that is answered: "
        f"[plugin.contract.examples] {hook} = [{{…}}]"
    )
