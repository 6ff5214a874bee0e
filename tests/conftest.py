"""What all tests share."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

NPM = Path(__file__).parent / "npm"
"""Programs of Node.js, and what they need."""

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

# Programs that were begun in the background ignore Ctrl-C, and hand that on; many tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_choice_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests chooses no plugins."""
    for name in [name for name in os.environ if name.startswith("DAGSTACK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def npm() -> Mapping[str, str]:
    """An environment with Node.js, and with the programs by others that the tests try this project against."""
    programs = NPM / "node_modules/.bin"
    if not programs.is_dir():
        pytest.skip("needs: npm ci --prefix tests/npm")
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if not name.startswith("dagstack"):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Callable[..., Path]:
    """Install a distribution: ``install(name, {entry point: value}, {file: text})``."""

    def write(
        name: str,
        entries: Mapping[str, str],
        files: Mapping[str, str],
        *,
        group: str = "dagstack.plugins",
        metadata: bool = True,
    ) -> Path:
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        told = {
            **files,
            f"{info.name}/entry_points.txt": f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()),
        }
        if metadata:
            told[f"{info.name}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        for path, text in told.items():
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return site

    return write


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may skip: a skip there hides a missing tool."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") and skipped:
        reporter.write_line(f"{len(skipped)} skipped, which CI does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
