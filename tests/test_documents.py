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
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
COMMANDS = {
    ".venv/bin/python": [sys.executable],
    ".venv/bin/dagstack-plugins": [sys.executable, "-m", "dagstack_plugins"],
    # Into the page's own folder, from which `run` lets Python import; what is needed to build is there.
    ".venv/bin/pip": [sys.executable, "-m", "pip", "--no-cache-dir", "--disable-pip-version-check"],
}
INSTALL = ["--no-build-isolation", "--no-deps", "--target", ".site"]


def run(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(folder / ".site")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def written(page: str, folder: Path, *, until: int | None = None, since: int = 0) -> None:
    """Write the files that a page shows between two places."""
    for found in FILE.finditer(PAGES[page].read_text("utf-8"), since, sys.maxsize if until is None else until):
        file = folder / found[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found[2], encoding="utf-8")


def typed(page: str, folder: Path) -> None:
    """Do what a reader does from top to bottom: what comes later finds what files and commands before it wrote."""
    text, place = PAGES[page].read_text("utf-8"), 0
    for session in SESSION.finditer(text):
        written(page, folder, since=place, until=session.start())
        place = session.start()
        program, *arguments = shlex.split(session[1])
        more = INSTALL if arguments[:1] == ["install"] else []
        code, said, errors = run([*COMMANDS[program], *arguments, *more], folder)
        assert (code, said) == (0, session[2]), errors
    written(page, folder, since=place)


@pytest.mark.parametrize("page", PAGES)
def test_commands_print_what_is_shown_and_then_the_code_runs(page: str, tmp_path: Path) -> None:
    typed(page, tmp_path)
    program = "\n".join(CODE.findall(PAGES[page].read_text("utf-8")))
    assert run([sys.executable, "-W", "error", "-c", program], tmp_path)[0::2] == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = LINK.findall(PAGES[page].read_text("utf-8"))
    assert links
    assert [(link, anchor) for link, anchor in links if not leads(PAGES[page], link, anchor)] == []


def leads(page: Path, link: str, anchor: str) -> bool:
    target = page.parent / link if link else page
    if not anchor:
        return target.exists()
    headings = HEADING.findall(target.read_text("utf-8"))
    return anchor in {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize(
    ("page", "passed"),
    [
        ("resources.md", 3),
        ("contract.md", 2),
        ("tutorial.md", 5),
        ("testing.md", 6),
        ("middleware.md", 1),
        ("units.md", 11),
    ],
)
def test_the_tests_of_a_page_pass(page: str, passed: int, tmp_path: Path) -> None:
    typed(page, tmp_path)
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    code, said, errors = run(pytest_alone, tmp_path)
    assert code == 0, said + errors
    assert said.splitlines()[-1].startswith(f"{passed} passed")


def test_every_page_was_looked_at() -> None:
    assert {page: len(FILE.findall(path.read_text("utf-8"))) for page, path in PAGES.items()} == {
        "README.md": 7,
        "cluster.md": 4,
        "coming-from.md": 0,
        "configuration.md": 4,
        "contract-matrix.md": 0,
        "contract.md": 1,
        "dag.md": 6,
        "dependencies.md": 5,
        "design.md": 0,
        "dispatch.md": 2,
        "editors.md": 2,
        "hosts.md": 4,
        "middleware.md": 6,
        "packages.md": 0,
        "plugins.md": 5,
        "remote.md": 6,
        "resources.md": 4,
        "testing.md": 6,
        "trust.md": 2,
        "tutorial.md": 9,
        "typed-kinds.md": 2,
        "units.md": 3,
    }
    assert {page: len(SESSION.findall(path.read_text("utf-8"))) for page, path in PAGES.items()} == {
        **dict.fromkeys(PAGES, 0),
        "README.md": 4,
        "cluster.md": 1,
        "configuration.md": 2,
        "dag.md": 2,
        "dependencies.md": 3,
        "packages.md": 1,
        "plugins.md": 1,
        "trust.md": 2,
        "tutorial.md": 7,
        "typed-kinds.md": 3,
    }
