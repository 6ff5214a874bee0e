"""``pytest --contracts``: each check of each manifest is a test, beside all other tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FINE = """
class Echo:
    def execute(self, args):
        return {"args": args}
"""
AMBIENT = """
import os


class Reads:
    def execute(self, args):
        return {"home": "HOME" in os.environ}
"""
ASYNC = """
import asyncio


class Waits:
    async def execute(self, args):
        await asyncio.sleep(0)
        return len(args)
"""


def plugin(folder: Path, code: str = FINE, more: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "dagstack.toml").write_text(
        f'[plugin]\nname = "{folder.name}"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n{more}'
    )
    (folder / "plugin.py").write_text(code)
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Pytest in a folder of its own, with the plugins that are installed; what it says, and its exit status."""
    (folder / "pytest.ini").touch()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-o",
        "addopts=",
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["COLUMNS"] = "200"
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_each_check_is_an_item_with_a_name_of_its_own(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/echo")
    status, told = run(tmp_path, "--contracts", "plugins", "-v")
    assert status == 0, told
    for name in ("manifest", "ambient_state", "boundaries[execute]", "lifecycle", "unit_of_work"):
        assert re.search(rf"^plugins/echo/dagstack\.toml::{re.escape(name)} PASSED", told, re.M), told
    assert "fallback SKIPPED (not applicable: fallback is not set)" in told


def test_it_sleeps_unless_it_is_asked(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/echo", "raise SystemExit\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    assert "1 passed" in run(tmp_path)[1]
    (tmp_path / "pytest.ini").write_text("[pytest]\ncontracts = true\n")
    status, told = run(tmp_path)
    assert status == 1
    assert "exits" in told


def test_a_failure_is_told_with_its_place_and_can_be_run_alone(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/reads", AMBIENT)
    plugin(tmp_path / "plugins/echo")
    status, told = run(tmp_path, "--contracts", "plugins", "-x", "-k", "ambient_state and reads")
    assert status == 1
    assert "tool/reads breaks invariant 1, ambient_state, hook 'execute': uses os.environ['HOME']" in told
    assert f"{tmp_path}/plugins/reads/plugin.py:7" in told
    assert "Traceback" not in told
    assert "1 failed" in told
    status, told = run(tmp_path, "--contracts", "plugins/reads/dagstack.toml::manifest")
    assert (status, "1 passed" in told) == (0, True)


def test_a_broken_manifest_is_one_failing_item(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/odd", more='excution_model = "sync"\n')
    plugin(tmp_path / "plugins/cut", more='version = "')
    plugin(tmp_path / "plugins/echo")
    status, told = run(tmp_path, "--contracts", "plugins", "-k", "manifest")
    assert status == 1
    assert "2 failed, 1 passed" in told
    assert "did you mean 'execution_model'" in told
    assert "plugins/cut/dagstack.toml::manifest" in told


def test_a_path_without_a_manifest_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, told = run(tmp_path, "--contracts", "empty")
    assert status == 5
    assert f"no plugin below {tmp_path}/empty" in told


def test_nothing_below_a_plugin_is_one(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/echo")
    plugin(tmp_path / "plugins/echo/inner/other")
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    _, told = run(tmp_path, "--contracts", "--collect-only", "-q")
    assert "plugins/echo/dagstack.toml::manifest" in told
    assert "inner" not in told


def test_beside_pytest_asyncio_anyio_and_xdist(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/waits", ASYNC, 'execution_model = "async"\n')
    plugin(tmp_path / "plugins/echo")
    (tmp_path / "test_both.py").write_text(
        "import anyio\nimport pytest\n\n\n@pytest.mark.asyncio\nasync def test_one():\n    pass\n\n\n"
        "@pytest.mark.anyio\nasync def test_two():\n    await anyio.sleep(0)\n\n\n"
        "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    )
    status, told = run(tmp_path, "--contracts", "-n", "2", f"--junitxml={tmp_path}/report.xml")
    assert status == 0, told
    assert re.search(r"16 passed, 12 skipped", told), told[-600:]
    report = (tmp_path / "report.xml").read_text()
    assert 'name="boundaries[execute]"' in report


def test_kinds_are_found_above_or_named(tmp_path: Path) -> None:
    hookspec = "kind: shop\nkind_api_version: 1.0.0\nhooks:\n  - name: sell\n    dispatch: singleton\n"
    for place in ("host/kinds/shop", "elsewhere/shop"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "v1.yaml").write_text(hookspec)
    code = "class Sells:\n    def sell(self, wanted):\n        return 1\n"
    made = plugin(tmp_path / "host/plugins/stall", code)
    (made / "dagstack.toml").write_text((made / "dagstack.toml").read_text().replace('"tool"', '"shop"'))
    status, told = run(tmp_path, "--contracts", "host/plugins")
    assert status == 0, told
    (tmp_path / "host/kinds/shop/v1.yaml").unlink()
    assert run(tmp_path, "--contracts", "host/plugins")[0] == 1
    status, told = run(tmp_path, "--contracts", "host/plugins", "--hookspecs", "elsewhere")
    assert status == 0, told


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--contracts-timeout=0", "above 0"),
        ("--contracts-timeout=soon", "soon"),
        ("--contracts-examples=0", "1 or more"),
        ("--contracts-seed=x", "invalid int value"),
        ("--hookspecs=nowhere", "nowhere"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, option: str, told: str) -> None:
    plugin(tmp_path / "plugins/echo")
    status, said = run(tmp_path, "--contracts", option, "plugins")
    assert status != 0
    assert told in said


def test_options_reach_the_checks(tmp_path: Path) -> None:
    plugin(
        tmp_path / "plugins/slow", "import time\n\n\nclass Slow:\n    def execute(self, args):\n        time.sleep(9)\n"
    )
    status, told = run(tmp_path, "--contracts", "plugins", "--contracts-timeout", "1.5", "-k", "boundaries")
    assert status == 1
    assert re.search(r"did not end within [01](\.\d+)? s", told), told  # some of it went by before
    once = "class Once:\n    def execute(self, args):\n        return {1: 2} if len(str(args)) > 4 else None\n"
    plugin(tmp_path / "more/once", once)
    for examples, expected in (("1", 0), ("100", 1)):  # the first input is the smallest
        status, told = run(tmp_path, "--contracts", "more", "--contracts-examples", examples, "-k", "boundaries")
        assert status == expected, told


def test_a_needless_excuse_is_told(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/echo", more='[plugin.contract.excused]\nlifecycle = "slow"\n')
    for workers in ("0", "2"):
        status, told = run(tmp_path, "--contracts", "plugins", "-n", workers)
        assert status == 0
        assert "tool/echo: lifecycle passes, so that its excuse can go" in told


def test_an_excused_check_is_skipped_with_the_reason(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/reads", AMBIENT, '[plugin.contract.excused]\nambient_state = "asks for HOME"\n')
    status, told = run(tmp_path, "--contracts", "plugins", "-rs")
    assert status == 0
    assert "excused: asks for HOME" in told


ASKS = """
class Asks:
    def setup(self, ctx):
        self.fine = ctx.registry.get_plugin("tool", "fine")

    def execute(self, args):
        return self.fine.execute(args)
"""
FIXTURES = """
import pytest
from dagstack_plugins import PluginUnavailable


def test_the_suite(contract_suite):
    result = contract_suite(manifest="plugins/reads", checks=["manifest", "ambient_state"])
    assert not result.ok
    assert "os.environ" in result.format_failures()


def test_a_plugin_that_is_loaded(load_plugin, frozen_clock):
    echo = load_plugin("plugins/echo")
    assert echo.execute(a=1) == {"args": {"a": 1}}


@pytest.mark.asyncio
async def test_on_a_loop(load_plugin):
    waits = load_plugin("plugins/waits", config={})
    assert await waits.aio.execute(a=1, b=2) == 2


def test_a_class(load_plugin):
    class Now:
        def execute(self, args, ctx):
            return ctx.resources.clock.now().year

    manifest = {"name": "now", "kind": "tool", "runtime": "in_process", "core_version": ">=0"}
    assert load_plugin(Now, manifest={**manifest, "resources": {"required": ["clock"]}}).execute() == 2000


def test_one_with_what_it_depends_on(load_plugin):
    assert load_plugin("plugins/asks").execute(a=1) == {"args": {"a": 1}}


def test_one_without(load_plugin):
    with pytest.raises(PluginUnavailable, match="depends_on 'ecko' fits no plugin"):
        load_plugin("plugins/alone")


def test_one_that_cannot_be_started(load_plugin):
    with pytest.raises(PluginUnavailable, match="config"):
        load_plugin("plugins/needs")
    with pytest.raises(TypeError, match="manifest="):
        load_plugin(object)
"""


def test_fixtures(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins/echo")
    plugin(tmp_path / "plugins/reads", AMBIENT)
    plugin(tmp_path / "plugins/waits", ASYNC, 'execution_model = "async"\n')
    plugin(tmp_path / "plugins/needs", FINE, '[plugin.config_schema]\nrequired = ["a"]\ntype = "object"\n')
    plugin(tmp_path / "plugins/asks", ASKS, 'depends_on = ["fine"]\n')
    plugin(
        tmp_path / "plugins/fine", FINE, '[plugin.config_schema]\nrequired = ["a"]\n[plugin.contract.config]\na = 1\n'
    )
    plugin(tmp_path / "plugins/alone", FINE, 'depends_on = ["ecko"]\n')
    (tmp_path / "test_fixtures.py").write_text(FIXTURES)
    status, told = run(tmp_path, "-W", "error::ResourceWarning")
    assert (status, "7 passed" in told) == (0, True), told


def test_paths_without_plugins_are_no_matter_where_the_ini_file_says_contracts(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_one.py").write_text("def test_one():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ncontracts = true\n")
    status, told = run(tmp_path, "tests")
    assert (status, "no plugin below" in told) == (0, False)
