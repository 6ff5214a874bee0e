"""What the README and the guides show is what a reader gets: files are written, commands typed, code run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {page.name: page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
FILE = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SESSION = re.compile(r"^```console\n\$ (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`\n\n)^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")
COMMANDS = {
    ".venv/bin/python": [sys.executable],
    ".venv/bin/dagstack-plugins": [sys.executable, "-m", "dagstack_plugins"],
}
SESSIONS = [(page, *found) for page, path in PAGES.items() for found in SESSION.findall(path.read_text("utf-8"))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each page a folder with every file that it shows."""
    folders = {}
    for page, path in PAGES.items():
        folders[page] = tmp_path_factory.mktemp("reader")
        for name, text in FILE.findall(path.read_text("utf-8")):
            file = folders[page] / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return folders


def run(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_commands_print_what_is_shown_and_then_the_code_runs(folders: dict[str, Path], page: str) -> None:
    """From top to bottom, as a reader types it: what commands write, later ones and the code find."""
    for _, command, output in (session for session in SESSIONS if session[0] == page):
        program, *arguments = shlex.split(command)
        code, said, errors = run([*COMMANDS[program], *arguments], folders[page])
        assert (code, said) == (0, output), errors
    program = "\n".join(CODE.findall(PAGES[page].read_text("utf-8")))
    assert run([sys.executable, "-W", "error", "-c", program], folders[page])[0::2] == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = LINK.findall(PAGES[page].read_text("utf-8"))
    assert links
    assert [link for link in links if not (PAGES[page].parent / link).exists()] == []


@pytest.mark.parametrize(("page", "passed"), [("resources.md", 3), ("contract.md", 2)])
def test_the_tests_of_a_page_pass(folders: dict[str, Path], page: str, passed: int) -> None:
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    code, said, errors = run(pytest_alone, folders[page])
    assert code == 0, said + errors
    assert said.splitlines()[-1].startswith(f"{passed} passed")


def test_every_page_was_looked_at() -> None:
    assert {page: len(FILE.findall(path.read_text("utf-8"))) for page, path in PAGES.items()} == {
        "README.md": 7,
        "contract-matrix.md": 0,
        "contract.md": 1,
        "editors.md": 2,
        "hosts.md": 6,
        "packages.md": 0,
        "plugins.md": 5,
        "resources.md": 4,
        "trust.md": 2,
        "typed-kinds.md": 2,
    }
    assert len(SESSIONS) == 11
