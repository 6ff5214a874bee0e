"""Whatever a plugin does to its process, the one that asked goes on, and knows what happened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dagstack_plugins import SuiteResult, run_contract_suite

CHECKS = ["manifest", "boundaries", "lifecycle"]


def suite(
    folder: Path, code: str, *, manifest: str = "", timeout: float = 6, checks: list[str] = CHECKS
) -> SuiteResult:
    made = folder / "hostile"
    made.mkdir()
    base = '[plugin]\nname = "hostile"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'
    (made / "dagstack.toml").write_text(base + manifest)
    (made / "plugin.py").write_text(code)
    return run_contract_suite(manifest=made, checks=checks, timeout=timeout)


def hook(body: str, imports: str = "import os, sys, signal, ctypes, time, threading") -> str:
    return f"{imports}\n\n\nclass Hostile:\n    def execute(self, args):\n        {body}\n        return 1\n"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("os._exit(3)", "exited with status 3 in hook 'execute'"),
        ("os._exit(0)", "exited with status 0 in hook 'execute'"),
        ("sys.exit('enough')", "tries to end its host: SystemExit: enough"),
        ("raise KeyboardInterrupt", "tries to end its host: KeyboardInterrupt"),
        ("ctypes.string_at(0)", "was killed by SIGSEGV in hook 'execute'"),
        ("os.abort()", "was killed by SIGABRT in hook 'execute'"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL in hook 'execute'"),
        ("os.kill(0, signal.SIGKILL)", "was killed by SIGKILL in hook 'execute'"),
    ],
)
def test_a_process_that_dies_is_a_failed_check_with_its_place(tmp_path: Path, body: str, told: str) -> None:
    result = suite(tmp_path, hook(body), checks=["boundaries", "lifecycle"])
    _, boundaries, lifecycle = result
    assert boundaries.status == "failed"
    assert told in result.format_failures()
    [found] = boundaries.violations
    assert "registry.get_plugin('tool', 'hostile').execute(" in found.evidence["call"]
    if "SIGKILL" not in told:
        assert (Path(str(found.file)).name, found.line) == ("plugin.py", 6)
    if "host" not in told:
        assert (lifecycle.status, "see `boundaries`" in lifecycle.reason) == ("not_proven", True)


@pytest.mark.parametrize(
    "body",
    ["while True: pass", "time.sleep(1000)", "threading.Lock().acquire() and threading.Event().wait()"],
)
def test_one_that_hangs_is_ended_in_time_and_says_where(tmp_path: Path, body: str) -> None:
    begun = time.monotonic()
    result = suite(tmp_path, hook(body), timeout=2, checks=["boundaries"])
    assert time.monotonic() - begun < 20
    assert "did not end within 2 s in hook 'execute'" in result.format_failures()
    assert "plugin.py:6" in result.format_failures()


EXECUTES = """
    def execute(self, args):
        return 1
"""
EXITS_IN_SETUP = f"""
import os


class Hostile:
    def setup(self):
        os._exit(1)
{EXECUTES}
"""
FAILS_IN_SETUP = f"""
class Hostile:
    def setup(self):
        raise OSError("no disk")
{EXECUTES}
"""
HANGS_IN_TEARDOWN = f"""
import time


class Hostile:
    def teardown(self):
        time.sleep(99)
{EXECUTES}
"""


@pytest.mark.parametrize(
    ("code", "home", "told"),
    [
        ("import os\nos._exit(1)\n", "manifest", "exited with status 1 while it was loaded"),
        ("import time\ntime.sleep(99)\n", "manifest", "did not end within 2 s while it was loaded"),
        ("raise BaseException('no')\n", "manifest", "BaseException: no"),
        (EXITS_IN_SETUP, "lifecycle", "exited with status 1 in setup"),
        (FAILS_IN_SETUP, "lifecycle", "could not be started: OSError: no disk"),
        (HANGS_IN_TEARDOWN, "lifecycle", "did not end within 2 s in teardown"),
    ],
)
def test_one_that_fails_outside_of_hooks_fails_one_check(tmp_path: Path, code: str, home: str, told: str) -> None:
    result = suite(tmp_path, code, timeout=2)
    assert [one.check for one in result if one.status == "failed"] == [home]
    assert told in result.format_failures()
    assert all(f"`{home}`" in one.reason for one in result if one.status == "not_proven")


@pytest.mark.parametrize(
    "body",
    [
        r"os.write(1, b'\xff\xfe\0' * 1000)",
        r"os.write(2, b'\x1b[2J' * 1000)",
        "print('x' * 100_000)",
        "sys.stdout.close(); sys.stderr.close()",
        "os.close(1); os.close(2); os.close(0)",
        "os.closerange(3, 1000)",
    ],
)
def test_what_it_prints_or_closes_reaches_nobody(tmp_path: Path, body: str, capfd: pytest.CaptureFixture[str]) -> None:
    result = suite(tmp_path, hook(body), checks=["manifest", "boundaries"])
    assert result.results[0].status == "passed"
    assert capfd.readouterr() == ("", "")


def test_one_that_fills_the_disk_is_ended(tmp_path: Path) -> None:
    needs = '[plugin.resources]\nrequired = ["tmpdir"]\n'
    code = """
class Fills:
    def execute(self, args, ctx):
        with open(ctx.resources.tmpdir.path / "big", "wb", buffering=0) as big:
            while True:
                big.write(bytes(2**24))
"""
    result = suite(tmp_path, code, manifest=needs, timeout=20, checks=["boundaries"])
    assert "wrote more than 256 MiB in hook 'execute'" in result.format_failures()


def test_one_that_makes_processes_leaves_none(tmp_path: Path) -> None:
    marker = f"contract-{os.getpid()}"
    code = (
        "import subprocess, sys\n\n\nclass Spawns:\n    def execute(self, args):\n"
        f"        code = 'import os, time; os.setsid(); time.sleep(600)  # {marker}'\n"
        "        subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n        return 1\n"
    )
    suite(tmp_path, code, checks=["boundaries"])
    until = time.monotonic() + 5
    while time.monotonic() < until and _running(marker):
        time.sleep(0.1)
    assert not _running(marker)


def _running(marker: str) -> list[psutil.Process]:
    return [
        one for one in psutil.process_iter(["cmdline"]) if any(marker in part for part in one.info["cmdline"] or ())
    ]


def test_a_plugin_that_kills_its_parent_ends_the_server_and_the_next_one_is_tested_all_the_same(tmp_path: Path) -> None:
    code = hook("os.kill(os.getppid(), signal.SIGKILL)")
    result = suite(tmp_path, code, checks=["boundaries"])
    assert "the process killed the process that it was forked from in hook 'execute'" in result.format_failures()
    (tmp_path / "again").mkdir()
    assert suite(tmp_path / "again", hook("pass"), checks=["boundaries"]).ok


def test_a_plugin_that_takes_its_folder_away(tmp_path: Path) -> None:
    code = hook("import shutil; shutil.rmtree(os.path.dirname(__file__), ignore_errors=True)")
    result = suite(tmp_path, code, checks=["ambient_state"])
    assert (tmp_path / "hostile/plugin.py").exists(), "the suite lets nothing be removed outside its own folder"
    assert not result.ok


def test_a_folder_that_nobody_may_write_to(tmp_path: Path) -> None:
    made = tmp_path / "hostile"
    assert suite(tmp_path, hook("pass"), checks=["manifest"]).ok
    before = sorted(path.name for path in made.iterdir())
    assert before == ["dagstack.toml", "plugin.py"]
    made.chmod(0o555)
    try:
        result = run_contract_suite(manifest=made)
    finally:
        made.chmod(0o755)
    assert result.ok, result.format_failures()
    assert sorted(path.name for path in made.iterdir()) == before


def test_when_the_host_is_killed_the_tested_process_goes_too_and_what_it_wrote(tmp_path: Path) -> None:
    marker = f"hangs-{os.getpid()}"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    made = tmp_path / marker
    made.mkdir()
    base = f'[plugin]\nname = "{marker}"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'
    (made / "dagstack.toml").write_text(base)
    (made / "plugin.py").write_text(
        hook(f"open({str(temporary / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    )
    program = (
        f"from dagstack_plugins import run_contract_suite as run; run(manifest={str(made)!r}, checks=['boundaries'])"
    )
    host = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(temporary)})
    until = time.monotonic() + 30
    while time.monotonic() < until and not ((temporary / "pid").exists() and (temporary / "pid").read_text()):
        time.sleep(0.05)
    tested = int((temporary / "pid").read_text())
    host.kill()
    host.wait()
    while time.monotonic() < until and (psutil.pid_exists(tested) or list(temporary.glob("dagstack-contract-*"))):
        time.sleep(0.05)
    assert not psutil.pid_exists(tested)
    assert list(temporary.glob("dagstack-contract-*")) == []
