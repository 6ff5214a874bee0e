"""The example prints what its README shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/polyglot"
SHOWN = re.findall(
    r"```console\n\$ python examples/polyglot(.*?)\n(.*?)```", (EXAMPLE / "README.md").read_text("utf-8"), re.S
)


@pytest.mark.parametrize(("arguments", "shown"), SHOWN)
def test_plugins_in_three_places_answer(npm: Mapping[str, str], arguments: str, shown: str) -> None:
    if not (EXAMPLE / "plugins/icu/node_modules").is_dir():
        pytest.skip("needs: npm ci --prefix examples/polyglot/plugins/icu")
    command = [sys.executable, EXAMPLE, *shlex.split(arguments)]
    done = subprocess.run(command, env=npm, capture_output=True, text=True, check=True)
    assert done.stdout == shown
    assert done.stderr == ""


def test_a_plugin_that_is_not_installed_keeps_nobody_from_the_others(tmp_path: Path, npm: Mapping[str, str]) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "polyglot", ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run([sys.executable, tmp_path / "polyglot"], env=npm, capture_output=True, text=True, check=True)
    assert re.search(r"^icu .*Cannot find package '@modelcontextprotocol/server'", done.stdout, re.M), done.stdout
    assert len(re.findall(r"^(?:blanks|letters) .*Can", done.stdout, re.M)) == 2
