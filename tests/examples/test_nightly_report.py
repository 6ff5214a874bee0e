"""The example as its README runs it, alone and with a person at the gate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

EXAMPLE = Path(__file__).parents[2] / "examples/nightly_report"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COMMAND = [sys.executable, "-m", "dagstack_plugins", "dag"]
ENVIRONMENT = {**os.environ, "PYTHONUTF8": "1"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "examples/nightly_report"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.html", "__pycache__"))
    return tmp_path


def test_it_draws_what_its_readme_shows(copy: Path) -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"```console\n\$ dagstack-plugins dag show \S+\n(.*?)```", text, re.S)
    command = [*COMMAND, "show", "examples/nightly_report/pipeline.yaml"]
    done = subprocess.run(command, cwd=copy, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == shown


def test_a_night_without_a_person(copy: Path) -> None:
    command = [*COMMAND, "run", "examples/nightly_report/pipeline.yaml", "--approve", "approve"]
    subprocess.run(command, cwd=copy, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    page = (copy / "examples/nightly_report/report.html").read_text("utf-8")
    assert "155 orders were counted, 7 were not." in page
    assert page == (copy / "examples/nightly_report/draft.html").read_text("utf-8")
    assert page.count("<svg") == 2
    assert "<td>it is there twice<td>2" in page
    assert ">2026-01</text>" in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_person_approves_in_a_browser(copy: Path) -> None:
    command = [*COMMAND, "run", "examples/nightly_report/pipeline.yaml", "--dashboard", "--port", "0"]
    with subprocess.Popen(
        command, cwd=copy, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().removeprefix("Dashboard: ").strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                page = browser.new_page()
                page.goto(url)
                expect(page.locator("#waiting-gates")).to_contain_text("Look at draft.html beside the pipeline.")
                expect(page.locator("#title")).to_have_text("nightly_report")
                page.get_by_role("button", name="Approve approve").click()
                expect(page.locator("#status")).to_have_text("succeeded")
                expect(page.locator("#notice")).to_contain_text("The program has ended")
                page.goto((copy / "examples/nightly_report/report.html").as_uri())
                expect(page.locator("svg")).to_have_count(2)
                browser.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
