"""Plugins that break one rule are caught by its check; those that only look as if they did are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import ALL_CHECKS, ManifestInvalid, run_contract_suite

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
KINDS = [HERE / "kinds"]


def sources(which: str) -> list[Any]:
    found = [path for path in PLUGINS.glob(f"*/{which}/*") if path.suffix == ".py" or (path / "dagstack.toml").exists()]
    return [pytest.param(path, id=f"{path.parent.parent.name}-{path.stem}") for path in sorted(found)]


def test_there_are_enough_of_them() -> None:
    for check in ALL_CHECKS:
        for which in ("breaks", "fine"):
            assert len(list((PLUGINS / check / which).iterdir())) >= 6, (check, which)


@pytest.mark.parametrize("source", sources("breaks"))
def test_a_breaker_is_caught(source: Path, make_plugin: Any, tmp_path: Path) -> None:
    check = source.parent.parent.name
    folder = make_plugin(source, tmp_path)
    try:
        result = run_contract_suite(manifest=folder, hookspecs=KINDS, checks=[check])
    except ManifestInvalid:
        assert check == "manifest"
        return
    assert not result.ok, f"{source} is not caught"
    # A plugin of which nothing can be seen is no proof, which is enough for a suite to fail.
    assert "failed in itself" not in result.format_failures()
    assert {one.check for one in result.failures} == {check}


@pytest.mark.parametrize("source", sources("fine"))
def test_a_fine_one_is_not(source: Path, make_plugin: Any, tmp_path: Path) -> None:
    check = source.parent.parent.name
    result = run_contract_suite(manifest=make_plugin(source, tmp_path), hookspecs=KINDS, checks=[check])
    assert result.ok, result.format_failures()
    assert any(one.status in ("passed", "excused") for one in result)
