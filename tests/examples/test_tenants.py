"""The example prints what its README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "examples/tenants"


def test_each_tenant_pays_by_its_plan_and_the_switch_takes_effect() -> None:
    (shown,) = re.findall(
        r"```console\n\$ python examples/tenants\n(.*?)```", (EXAMPLE / "README.md").read_text("utf-8"), re.S
    )
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True)
    assert done.stdout == shown
    assert done.stderr == ""
