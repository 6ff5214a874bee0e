"""``run_contract_suite``: all checks of one plugin, and what came of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import attrs

from dagstack_plugins.contract.bench import Bench, Broke, Notes, ProbeFailed, Trial, home_of, shared_bench
from dagstack_plugins.contract.judges import JUDGES
from dagstack_plugins.contract.needs import unmet
from dagstack_plugins.contract.results import CheckResult, CheckStatus, SuiteResult
from dagstack_plugins.contract.subject import Subject, subject_of
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import VIOLATIONS, Finding, violation
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.kinds.builtin import MIDDLEWARE
from dagstack_plugins.kinds.model import Dispatch, Kind
from dagstack_plugins.manifest import PluginManifest, load_manifest
from dagstack_plugins.resources.offers import STANDARD
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.wording import nearest

ALL_CHECKS: Final = tuple(VIOLATIONS)
"""The names of all checks, in the order in which they run."""

_OF_HOOKS: Final = frozenset({"boundaries", "resume", "idempotency", "determinism", "fallback", "chain"})
"""Checks that look at each hook by itself."""


@attrs.frozen
class Case:
    """One check of a plugin, or of one of its hooks.

    Attributes:
        check: the check's name.
        hook: the hook, for a check that looks at hooks one by one.
    """

    check: str
    hook: str | None = None

    @property
    def label(self) -> str:
        """``check``, or ``check[hook]``."""
        return f"{self.check}[{self.hook}]" if self.hook else self.check


def _cases(manifest: PluginManifest, kind: Kind | None, checks: Sequence[str]) -> list[Case]:
    """What there is to check of a plugin, from what its manifest and its kind say."""
    found: list[Case] = []
    for check in checks:
        hooks = _hooks_of(check, manifest, kind) if check in _OF_HOOKS else []
        found += [Case(check, hook) for hook in hooks] or [Case(check)]
    return found


def _hooks_of(check: str, manifest: PluginManifest, kind: Kind | None) -> list[str]:
    """The hooks that a check looks at; none, where the manifest or the kind say that it has no business here."""
    if kind is None or not_applicable(check, manifest, kind):
        return []
    hooks = kind.hooks.values()
    if check == "chain":
        return [hook.name for hook in hooks if hook.dispatch is Dispatch.CHAIN]
    if check == "fallback":
        return [hook.name for hook in hooks if hook.dispatch is Dispatch.CAPABILITY]
    if check == "resume":  # a hook that describes another one's inputs is no work to go on with
        describing = {hook.input_schema_hook for hook in hooks}
        return [name for name in kind.hooks if name not in describing]
    return list(kind.hooks)


def not_applicable(check: str, manifest: PluginManifest, kind: Kind | None) -> str:
    """Why a check has no business with a plugin; empty if it has."""
    unit = manifest.unit_of_work
    if check == "resume" and not unit.checkpointable:
        return "unit_of_work.checkpointable is not set"
    if check == "idempotency" and unit.idempotency_mode != "input_hash":
        return f"unit_of_work.idempotency_mode is {unit.idempotency_mode!r}, not 'input_hash'"
    if check == "determinism" and unit.idempotency_mode != "output_hash":
        return f"unit_of_work.idempotency_mode is {unit.idempotency_mode!r}, not 'output_hash'"
    if check == "fallback" and not manifest.fallback:
        return "fallback is not set"
    if kind is None:
        return ""
    dispatches = {hook.dispatch for hook in kind.hooks.values()}
    if check == "chain" and kind.name == MIDDLEWARE:
        return "middleware goes round calls: what it returns is checked as what goes in or comes out of those"
    if check == "chain" and Dispatch.CHAIN not in dispatches:
        return f"kind {kind.name!r} has no chain"
    if check == "fallback" and Dispatch.CAPABILITY not in dispatches:
        return f"kind {kind.name!r} has no hook that is dispatched by capability"
    return ""


def run_contract_suite(
    plugin_class: type | None = None,
    manifest: PluginManifest | Mapping[str, Any] | str | Path | None = None,
    checks: Sequence[str] = ALL_CHECKS,
    hookspecs: Sequence[str | Path] | None = None,
    resources: Mapping[str, Any] | ResourceRegistry | None = None,
    config: Mapping[str, Any] | None = None,
    timeout: float = 30,
    *,
    examples: int = 100,
    seed: int = 0,
) -> SuiteResult:
    """Prove that a plugin keeps its contract, in processes of its own.

    Args:
        plugin_class: the plugin's class; left out, it is loaded from the manifest's folder.
        manifest: its manifest: an object, a dict, or the path of its file or folder.
        checks: names of checks, of ``ALL_CHECKS``.
        hookspecs: files and folders that declare kinds; left out, the nearest folders ``kinds`` and ``hookspecs`` above
            the plugin.
        resources: what it is lent, by name, in place of the parts for tests; each must be picklable.
        config: its configuration; left out, ``[plugin.contract.config]`` of the manifest.
        timeout: seconds that each check may take.
        examples: how many inputs are made for each hook.
        seed: what they are made from; the same seed gives the same inputs.

    Returns:
        What came of each check; ``assert result.ok, result.format_failures()``.

    Raises:
        ManifestInvalid, FileNotFoundError: if the manifest can't be read.
        HookspecInvalid: if there is no hookspec where ``hookspecs`` says.
        ImportError: without the extra ``contract``, and where there is no POSIX.
        TypeError, ValueError: if something was given that can't be used; the message says what.

    .. versionadded:: 0.1
    """
    if told := unmet():
        raise ImportError(told)
    subject = subject_of(
        _as_manifest(manifest),
        plugin_class,
        hookspecs=() if hookspecs is None else hookspecs,
        resources=resources,
        config=config,
        examples=examples,
        seed=seed,
    )
    check_names(checks)
    if timeout <= 0:
        raise ValueError(f"timeout is a number of seconds above 0, found {timeout!r}")
    if type(examples) is not int or examples < 1:
        raise ValueError(f"examples is a whole number, 1 or more, found {examples!r}")
    bench = shared_bench()
    bench.start()
    plan = Plan.of(subject, checks)
    return SuiteResult.of(plan.run(case, bench, timeout) for case in plan.cases)


def _as_manifest(given: PluginManifest | Mapping[str, Any] | str | Path | None) -> PluginManifest:
    match given:
        case PluginManifest():
            return given
        case None:
            raise TypeError("which plugin? give its manifest: an object, a dict, or the path of its folder")
        case str() | os.PathLike():
            return load_manifest(given)
    return PluginManifest.from_dict(given)


def check_names(checks: Sequence[str]) -> None:
    """Refuse names of checks that there are not.

    Raises:
        TypeError: for a text in place of several.
        ValueError: for an unknown name; the nearest one is told.
    """
    if isinstance(checks, str):
        raise TypeError(f"checks takes several: [{checks!r}], not {checks!r}")
    for check in checks:
        if check not in ALL_CHECKS:
            raise ValueError(f"there is no check {check!r}{nearest(check, ALL_CHECKS)}; {', '.join(ALL_CHECKS)}")


@attrs.frozen(eq=False)
class Plan:
    """What there is to check of one plugin.

    Attributes:
        subject: the plugin.
        kind: its kind, ``None`` where that is unknown.
        cases: the checks, in the order in which they run; in another one they say the same.
    """

    subject: Subject
    kind: Kind | None
    cases: tuple[Case, ...]
    _notes: Notes = attrs.field(factory=Notes, init=False)

    @classmethod
    def of(cls, subject: Subject, checks: Sequence[str] = ALL_CHECKS) -> Self:
        """The plan for some checks of a plugin."""
        kind = subject.kind()
        return cls(subject, kind, tuple(_cases(subject.manifest, kind, checks)))

    def run(self, case: Case, bench: Bench, timeout: float) -> CheckResult:
        """Run one check.

        Args:
            case: what is checked.
            bench: where it runs.
            timeout: seconds that it may take.
        """
        begun = time.monotonic()
        verdict = _verdict(Trial(self.subject, self.kind, case.hook, bench, self._notes, timeout), case)
        return _result(self.subject, case, verdict, time.monotonic() - begun)


def _verdict(trial: Trial, case: Case) -> Verdict:
    if told := not_applicable(case.check, trial.subject.manifest, trial.kind):
        return Verdict.not_applicable(told)
    if case.check != "manifest" and (told := _hopeless(trial, case.check)):
        return Verdict.not_proven(told)
    try:
        return JUDGES[case.check](trial)
    except Broke as broke:
        trial.notes.deaths += 1
        home = home_of(broke.ended.phase, trial.hooks)
        told = f"{broke.finding.told} (see `{home}`)"
        # In a hook it may be one input; but not with the inputs of two checks.
        known = home != "boundaries" or trial.notes.deaths > 1
        mine = case.check == home or (home == "boundaries" and case.check == "fallback")
        verdict = Verdict.of([broke.finding]) if mine else Verdict.not_proven(told)
    except ProbeFailed as failed:
        if not failed.reason:
            return Verdict.not_proven(f"the check failed in itself:\n{failed}")
        home = "manifest" if failed.reason == "loaded" else "lifecycle"
        if case.check == home:
            return Verdict.of([_not_begun(failed)])
        told, known = f"the plugin could not be {failed.reason} (see `{home}`)", True
        verdict = Verdict.not_proven(told)
    if known:
        trial.notes.broken = home, told
    return verdict


def _not_begun(failed: ProbeFailed) -> Finding:
    return Finding(
        told=f"the plugin could not be {failed.reason}: {failed}",
        advice="give what setup needs, in the manifest: [plugin.contract.config] for its configuration (${tmpdir} and "
        "${plugin} stand for folders), [plugin.contract.resources] for what makes its resources, "
        "depends_on for plugins that it calls"
        if failed.reason == "started"
        else "",
        file=failed.file,
        line=failed.line,
    )


def _hopeless(trial: Trial, check: str) -> str:
    """Why nothing can be seen of a plugin, where that is known; empty if it isn't, or the check is to say so itself."""
    subject = trial.subject
    if subject.missing:
        return f"it depends on {', '.join(subject.missing)}, which is not beside it"
    given = STANDARD.keys() | subject.resources.keys() | subject.manifest.contract.get("resources", {}).keys()
    if lacking := [name for name in subject.manifest.resources.required if name not in given]:
        return (
            f"it requires the resource {lacking[0]!r}, which nobody gave; name what makes one, in the manifest: "
            f"[plugin.contract.resources] {lacking[0]} = 'module:function'; or give it: resources={{{lacking[0]!r}: …}}"
        )
    home, told = trial.notes.broken
    return told if home != check else ""


def _result(subject: Subject, case: Case, verdict: Verdict, seconds: float) -> CheckResult:
    kind, name = subject.manifest.key
    status, reason, note = verdict.status, verdict.reason, ""
    excuse = subject.manifest.contract.get("excused", {}).get(case.check)
    if excuse is not None:
        if status is CheckStatus.FAILED:
            status, reason = CheckStatus.EXCUSED, excuse
        elif status is CheckStatus.PASSED:
            note = f"passes, so that its excuse can go: [plugin.contract.excused] {case.check}"
    return CheckResult(
        check=case.check,
        hook=case.hook,
        plugin=subject.label,
        status=status,
        reason=reason,
        violations=tuple(violation(case.check, finding, kind, name) for finding in verdict.findings),
        note=note,
        seconds=seconds,
    )


def broken_manifest(file: Path, error: PluginRegistryError | OSError) -> CheckResult:
    """The result of a plugin whose manifest can't be read.

    Args:
        file: the manifest's file.
        error: why.
    """
    name = file.parent.name
    line = next((fault.line for fault in getattr(error, "faults", ()) if fault.line), None)
    finding = Finding(told=f"{type(error).__name__}: {error}", file=str(file), line=line)
    found = (violation("manifest", finding, "?", name),)
    return CheckResult(check="manifest", plugin=f"?/{name}", status=CheckStatus.FAILED, violations=found)
