"""One function for each check of the contract, which raises the check's own error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dagstack_plugins.contract.results import CheckResult, CheckStatus, SuiteResult
from dagstack_plugins.contract.suite import run_contract_suite
from dagstack_plugins.contract.violations import VIOLATIONS, ContractViolation, Finding, NotProven
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.resources.registry import ResourceRegistry


class Assertion(Protocol):
    """Takes what ``run_contract_suite`` takes, but for ``checks``.

    Returns:
        What came of the check: passed, excused or not applicable, for one hook or for several.

    Raises:
        ContractViolation: the check's own, if the plugin breaks it; with notes for all else that was found.
        NotProven: if too little was seen of the plugin.
    """

    def __call__(
        self,
        plugin_class: type | None = None,
        manifest: PluginManifest | Mapping[str, Any] | str | Path | None = None,
        *,
        hookspecs: Sequence[str | Path] | None = None,
        resources: Mapping[str, Any] | ResourceRegistry | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: float = 30,
        examples: int = 100,
        seed: int = 0,
    ) -> SuiteResult:
        """Check one plugin."""


def _assertion(name: str, check: str) -> Assertion:
    def assert_check(
        plugin_class: type | None = None,
        manifest: PluginManifest | Mapping[str, Any] | str | Path | None = None,
        **options: Any,
    ) -> SuiteResult:
        __tracebackhide__ = True
        result = run_contract_suite(plugin_class, manifest, [check], **options)
        for one in result.failures:
            raise _error(one)
        return result

    assert_check.__name__ = assert_check.__qualname__ = name
    wrong = VIOLATIONS[check]
    assert_check.__doc__ = f"""Check that a plugin keeps ``{check}``.

    Takes and returns what ``run_contract_suite`` does, but for ``checks``.

    Raises:
        {wrong.__name__}: if it does not. {wrong.__doc__}
        NotProven: if too little was seen of the plugin.

    .. versionadded:: 0.1
    """
    return assert_check


def _error(result: CheckResult) -> ContractViolation:
    if result.status is CheckStatus.NOT_PROVEN:
        kind, _, name = result.plugin.partition("/")
        told = f"{result.label} is not proven: {result.reason}"
        return NotProven(Finding(told=told, hook=result.hook), kind=kind, plugin=name)
    first, *others = result.violations
    for other in others:
        first.add_note(str(other))
    return first


assert_manifest_valid = _assertion("assert_manifest_valid", "manifest")
assert_no_ambient_state = _assertion("assert_no_ambient_state", "ambient_state")
assert_json_serializable_boundaries = _assertion("assert_json_serializable_boundaries", "boundaries")
assert_resources_injected = _assertion("assert_resources_injected", "resources")
assert_lifecycle_clean = _assertion("assert_lifecycle_clean", "lifecycle")
assert_execution_model = _assertion("assert_execution_model", "execution_model")
assert_unit_of_work = _assertion("assert_unit_of_work", "unit_of_work")
assert_resumable = _assertion("assert_resumable", "resume")
assert_idempotent = _assertion("assert_idempotent", "idempotency")
assert_deterministic = _assertion("assert_deterministic", "determinism")
assert_fallback_robust = _assertion("assert_fallback_robust", "fallback")
assert_chain_compatible = _assertion("assert_chain_compatible", "chain")
