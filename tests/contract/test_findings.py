"""What findings say of the place, the difference and the cause; and what is a library's doing, and no finding."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dagstack_plugins import SuiteResult, run_contract_suite
from dagstack_plugins.contract.differences import difference, text_difference

BASE = '[plugin]\nname = "found"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'


def suite(folder: Path, code: str, *checks: str, more: str = "", timeout: float = 30) -> SuiteResult:
    made = folder / "found"
    made.mkdir()
    (made / "dagstack.toml").write_text(BASE + more)
    (made / "plugin.py").write_text(code)
    return run_contract_suite(manifest=made, checks=checks, timeout=timeout)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (1, 1, ""),
        (1, "1", '$ is 1 and "1"'),
        (1, 1.0, "$ is 1 and 1.0"),
        ({"a": [{"b": None}]}, {"a": [{"b": 0}]}, "$.a[0].b is null and 0"),
        ({"a": 1}, {"a": 1, "b": 2}, "$.b is not there and 2"),
        ([1, 2], [1], "$[1] is 2 and not there"),
        ({"a": 1, "b": 1}, {"b": 1, "a": 1}, "$ has its keys in another order: a, b and b, a"),
        ({"o": {"p": 1}}, {"o": [1]}, '$.o is {"p": 1} and [1]'),
        ("x" * 200 + "a", "x" * 200 + "b", f'$ is "…{"x" * 20}a" and "…{"x" * 20}b"'),
    ],
)
def test_where_two_answers_differ(one: object, other: object, told: str) -> None:
    assert difference(one, other) == told


def test_where_two_texts_differ_that_are_no_json() -> None:
    assert text_difference('{"a": 1}', '{"a": 2}') == "$.a is 1 and 2"
    assert text_difference("ValueError", "KeyError") == '$ is "ValueError" and "KeyError"'


def test_a_difference_is_told_however_long_the_answers_are(tmp_path: Path) -> None:
    code = """
class Long:
    def execute(self, args):
        return {"padding": "x" * 5000, "found": {"words": ["same", repr(object())]}}
"""
    [failed] = suite(tmp_path, code, "ambient_state").failures
    told = str(failed)
    assert 'answers otherwise in another process: $.value.found.words[1] is "<object object at ' in told


def test_two_things_of_one_line_are_told_both_and_one_of_them_once(tmp_path: Path) -> None:
    code = """
import os, random, time
class Both:
    def execute(self, args):
        return [time.time(), time.time_ns(), random.random(), os.environ["HOME"]]
"""
    [failed] = suite(tmp_path, code, "ambient_state").failures
    assert [one.finding.what for one in failed.violations] == ["clock", "randomness", "environment"]


def test_of_a_class_the_attribute_is_named(tmp_path: Path) -> None:
    code = """
class Counts:
    calls = 0

    def execute(self, args):
        Counts.calls += 1
        return 1
"""
    [failed] = suite(tmp_path, code, "ambient_state").failures
    [found] = failed.violations
    assert "changes 'Counts.calls'" in str(found)
    assert found.line == 2


def test_a_setup_that_fails_is_told_with_its_line_and_what_to_give_it(tmp_path: Path) -> None:
    code = """
class Needs:
    def setup(self, ctx):
        ctx.config["url"]

    def execute(self, args):
        return 1
"""
    [failed] = suite(tmp_path, code, "lifecycle").failures
    [found] = failed.violations
    assert "could not be started: KeyError: 'url'" in str(found)
    assert (Path(str(found.file)).name, found.line) == ("plugin.py", 4)
    assert "[plugin.contract.config]" in found.advice


def test_errors_on_every_input_are_told_with_the_line(tmp_path: Path) -> None:
    code = "class Refuses:\n    def execute(self, args):\n        raise ValueError(args['n'])\n"
    [unproven] = suite(tmp_path, code, "boundaries").failures
    assert "calls raised, the last one KeyError: 'n'" in unproven.reason
    assert "plugin.py, line 3" in unproven.reason


def test_a_hook_that_hangs_is_waited_for_in_two_checks_and_not_in_all(tmp_path: Path) -> None:
    told = tmp_path / "hung"
    code = f"""
import time
class Hangs:
    def execute(self, args):
        open({str(told)!r}, "a").write("x")
        time.sleep(600)
"""
    result = suite(tmp_path, code, *dict.fromkeys(ALL_BUT_MANIFEST), timeout=2)
    assert told.read_text() == "xx"
    by_check = {one.check: one for one in result if one.hook != "get_schema"}
    assert by_check["boundaries"].status == "failed"
    assert "longer timeout" in str(by_check["boundaries"])
    for check in ("ambient_state", "resources", "lifecycle", "execution_model"):
        assert (by_check[check].status, "see `boundaries`" in by_check[check].reason) == ("not_proven", True)


ALL_BUT_MANIFEST = ("ambient_state", "boundaries", "resources", "lifecycle", "execution_model")


def test_standard_output_that_is_closed_is_told(tmp_path: Path) -> None:
    code = "import os\nclass Closes:\n    def execute(self, args):\n        os.close(1)\n        return 1\n"
    result = suite(tmp_path, code, "ambient_state")
    assert "changes the descriptor of standard output while hooks run" in result.format_failures()


def test_logging_for_the_host_is_told_with_what_to_do(tmp_path: Path) -> None:
    code = "import logging\nclass Logs:\n    def execute(self, args):\n        logging.info('x')\n        return 1\n"
    told = suite(tmp_path, code, "ambient_state").format_failures()
    assert "changes the root logger's handlers" in told
    assert "logging.getLogger(__name__)" in told


LIBRARY = """
import os, sys, warnings

warnings.filterwarnings("ignore", category=DeprecationWarning, module="nowhere")


class Importer:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None


sys.meta_path.append(Importer)


class Model:
    def __init_subclass__(cls):
        os.environ.get("PASTRY_DEBUG")
        os.environ.get(getattr(cls, "variable", "PASTRY_X"))
"""


@pytest.fixture
def pastry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is installed, as far as anybody can tell."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "pastry.py").write_text(LIBRARY)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])


@pytest.mark.usefixtures("pastry")
def test_what_a_library_does_to_itself_is_not_held_against_its_user(tmp_path: Path) -> None:
    code = """
class Cake:
    def execute(self, args):
        import pastry

        return pastry.__name__
"""
    assert suite(tmp_path, code, "ambient_state").ok
    (tmp_path / "two").mkdir()
    at_load = f"import pastry\nclass Base(pastry.Model):\n    pass\n{code}"
    result = suite(tmp_path / "two", at_load, "ambient_state")
    assert result.ok, result.format_failures()


@pytest.mark.usefixtures("pastry")
def test_what_a_library_is_led_to_is(tmp_path: Path) -> None:
    code = """
import warnings
import pastry


class Base(pastry.Model):
    variable = "HOME"


class Cake:
    def execute(self, args):
        warnings.simplefilter("ignore")
        return 1
"""
    result = suite(tmp_path, code, "ambient_state")
    told = result.format_failures()
    assert "uses os.environ['HOME'] while it is loaded" in told
    assert "plugin.py:6" in told
    assert "changes warnings.filters while hooks run" in told


def test_a_class_of_a_package_reads_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vendored"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "words.txt").write_text("a b")
    (package / "plugin.py").write_text(
        """
from pathlib import Path
from vendored.helper import seen


class Words:
    def execute(self, args):
        seen.append(1)
        return Path(__file__).with_name("words.txt").read_text().split()
"""
    )
    (package / "helper.py").write_text("seen = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    from vendored.plugin import Words  # type: ignore[import-not-found]

    manifest = {"name": "words", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
    result = run_contract_suite(Words, manifest, checks=["ambient_state"])
    [failed] = result.failures
    assert ["changes 'seen'" in str(one) for one in failed.violations] == [True, True]
    assert {Path(str(one.file)).name for one in failed.violations} == {"plugin.py", "helper.py"}
