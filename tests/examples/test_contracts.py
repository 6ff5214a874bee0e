"""Every plugin of the examples keeps its contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagstack_plugins import run_contract_suite
from dagstack_plugins.manifest import load_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS = sorted(
    file for file in EXAMPLES.glob("*/plugins/*/dagstack.toml") if "in_process" in load_manifest(file).runtime
)
"""Of plugins whose code the suite can watch."""


def test_there_are_some() -> None:
    assert len(MANIFESTS) >= 16


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: "-".join(path.parts[-4:-1:2] + path.parts[-2:-1]))
def test_it_keeps_its_contract(manifest: Path) -> None:
    result = run_contract_suite(manifest=manifest)
    assert result.ok, result.format_failures()
