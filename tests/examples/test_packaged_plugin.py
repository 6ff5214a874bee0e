"""The packaged plugin, as users meet it: built, installed by pip, found, called, uninstalled, gone."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import attrs
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/packaged_plugin"
CHUNK = ("call", "chunker", "chunk", "--installed", "--json", '{"text": "One.\\n\\nTwo.", "max_size": 5}')


@attrs.frozen
class Environment:
    """A fresh virtual environment, which sees this one's packages behind its own."""

    python: Path
    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Environment:
        venv.create(folder, with_pip=False, symlinks=True)
        python = folder / "bin/python"
        (site,) = folder.glob("lib/python*/site-packages")
        shared = [path for path in sys.path if path.endswith("site-packages")]
        lines = [f"import site; site.addsitedir({path!r})" for path in shared]
        (site / "shared.pth").write_text("\n".join(lines))
        return cls(python, folder)

    def pip(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.python, "-m", "dagstack_plugins", *arguments]
        unfolded = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, env=unfolded)

    def plugins(self) -> list[dict[str, Any]]:
        told = json.loads(self.command("list", "--installed", "--json").stdout)["plugins"]
        return [one for one in told if one["kind"] == "chunker"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, as building writes into the project's folder."""
    folder = tmp_path_factory.mktemp("project") / "packaged_plugin"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    return folder


@pytest.fixture(scope="module")
def wheel(project: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", project / "dist", project]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = (project / "dist").glob("*.whl")
    return made


@pytest.mark.parametrize("how", ["wheel", "editable"])
def test_it_is_installed_found_called_uninstalled_and_gone(tmp_path: Path, how: str, request: Any) -> None:
    environment = Environment.made(tmp_path / "venv")
    assert environment.plugins() == []
    if how == "wheel":
        environment.pip("install", "--no-deps", "--no-index", request.getfixturevalue("wheel"))
    else:
        project = request.getfixturevalue("project")
        environment.pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", project)
    [found] = environment.plugins()
    assert (found["name"], found["state"], found["version"]) == ("paragraph-chunker", "registered", "0.1.0")
    assert found["location"] == "paragraph_chunker.plugin:ParagraphChunker (distribution paragraph-chunker)"
    done = environment.command(*CHUNK)
    assert json.loads(done.stdout) == [{"text": "One.", "offset": 0}, {"text": "Two.", "offset": 6}], done.stderr
    environment.pip("uninstall", "--yes", "paragraph-chunker")
    assert environment.plugins() == []
    assert environment.command(*CHUNK).returncode == 1


def test_beside_a_folder_of_the_same_plugin_both_places_are_told(tmp_path: Path, wheel: Path) -> None:
    environment = Environment.made(tmp_path / "venv")
    environment.pip("install", "--no-deps", "--no-index", wheel)
    folder = tmp_path / "plugins/paragraph_chunker"
    shutil.copytree(EXAMPLE / "src/paragraph_chunker", folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = environment.command("check", "--installed", str(folder.parent))
    assert done.returncode == 1
    assert "two plugins are called 'paragraph-chunker' in kind 'chunker'" in done.stdout
    assert str(folder) in done.stdout
    assert "(distribution paragraph-chunker)" in done.stdout
    assert done.stdout.count("two plugins are called") == 1


def test_a_lock_holds_for_what_is_installed(tmp_path: Path, wheel: Path) -> None:
    environment = Environment.made(tmp_path / "venv")
    environment.pip("install", "--no-deps", "--no-index", wheel)
    assert environment.command("lock", "--installed").returncode == 0
    assert environment.command("check", "--locked", "--installed").returncode == 0
    (file,) = (tmp_path / "venv").glob("lib/python*/site-packages/paragraph_chunker/plugin.py")
    file.write_text(file.read_text() + "# changed\n")
    done = environment.command("check", "--locked", "--installed")
    assert (done.returncode, "its files were changed" in done.stdout) == (1, True)


def test_its_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-c", "/dev/null"]
    done = subprocess.run([*command, EXAMPLE / "tests"], capture_output=True, text=True, check=False, cwd=EXAMPLE)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 passed")


def test_the_readme_calls_it_as_this_test_does() -> None:
    (line,) = re.findall(r"^dagstack-plugins (call .*)$", (EXAMPLE / "README.md").read_text("utf-8"), re.M)
    assert tuple(shlex.split(line)) == CHUNK
