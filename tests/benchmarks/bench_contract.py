"""What the contract suite costs, beside starting Python with what it needs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagstack_plugins import run_contract_suite
from dagstack_plugins.contract.bench import Bench
from dagstack_plugins.contract.subject import subject_of
from dagstack_plugins.contract.suite import Plan
from dagstack_plugins.manifest import load_manifest

IMPORTS = "import hypothesis, psutil, jsonschema_rs, pluggy, blockbuster, asyncio, sqlite3"
MANIFEST = """
[plugin]
name = "echo"
kind = "tool"
runtime = "in_process"
core_version = ">=0.1"
"""
CODE = """
class Echo:
    def execute(self, args):
        return {"args": args}
"""


def echo(folder: Path) -> Path:
    made = folder / "echo"
    made.mkdir()
    (made / "dagstack.toml").write_text(MANIFEST)
    (made / "plugin.py").write_text(CODE)
    return made


def two_pythons() -> None:
    """What two servers can't do without, one after the other."""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)


def test_all_checks_of_a_trivial_plugin(beside: Any, noted: Callable[[str], None], tmp_path: Path) -> None:
    subject = subject_of(load_manifest(echo(tmp_path)))
    took: list[float] = []

    def suite() -> None:
        begun = time.perf_counter()
        with Bench() as bench:
            bench.start()
            plan = Plan.of(subject)
            results = [plan.run(case, bench, 30) for case in plan.cases]
        took.append(time.perf_counter() - begun)
        assert all(result.status.ok for result in results)

    beside(
        "contract suite of a trivial plugin, its servers started",
        suite,
        "two Pythons that import",
        two_pythons,
        rounds=3,
    )
    noted(f"contract suite of a trivial plugin: {min(took):.2f} s, its servers started for it alone")


def test_the_next_plugin(beside: Any, noted: Callable[[str], None], tmp_path: Path) -> None:
    folder = echo(tmp_path)
    assert run_contract_suite(manifest=folder).ok
    took: list[float] = []

    def suite() -> None:
        begun = time.perf_counter()
        assert run_contract_suite(manifest=folder).ok
        took.append(time.perf_counter() - begun)

    beside(
        "contract suite of the next plugin, on the same servers",
        suite,
        "two Pythons that import",
        two_pythons,
        rounds=3,
    )
    noted(f"contract suite of the next plugin: {min(took):.2f} s")
