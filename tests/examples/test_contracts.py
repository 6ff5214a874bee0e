"""Every plugin of the examples keeps its contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagstack_plugins import run_contract_suite

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*/plugins/*/dagstack.toml"))


def test_there_are_some() -> None:
    assert len(MANIFESTS) >= 16


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: "-".join(path.parts[-4:-1:2] + path.parts[-2:-1]))
def test_it_keeps_its_contract(manifest: Path) -> None:
    result = run_contract_suite(manifest=manifest)
    assert result.ok, result.format_failures()
