"""The example, run as its users run it: as a program."""

from __future__ import annotations

import ast
import ctypes
import functools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

pytest.importorskip("rich", reason="the program shows its tables with rich, from the extra `cli`")

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "code_indexer"
STORES = ("sqlite", "jsonl")
SKIPPED = {"test", "tests", "site-packages", "__pycache__"}
MANIFEST = 'runtime = "in_process"\ncore_version = ">=0.1.0,<1.0.0"\nversion = "1.0.0"\n'

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and shells")


def environment(store: str | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTACK_")}
    chosen = {"DAGSTACK_ACTIVE_INDEX_STORE": store} if store else {}
    return {**kept, **chosen, "PYTHONPATH": str(ROOT), "COLUMNS": "300", "PYTHONUTF8": "1"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(PROGRAM), *map(str, arguments)]


def run(
    *arguments: str | Path,
    store: str | None = None,
    expect: int = 0,
    cwd: Path | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments),
        env=environment(store),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=before,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """What the last lines say: indexed, unchanged, removed, broken."""
    told = re.search(
        r"ndexed ([\d,]+) files in [\d.]+ s; ([\d,]+) unchanged, ([\d,]+) removed, ([\d,]+) broken", done.stdout
    )
    assert told, done.stdout
    numbers = [int(number.replace(",", "")) for number in told.groups()]
    return dict(zip(("indexed", "unchanged", "removed", "broken"), numbers, strict=True))


def contents(index: Path, store: str) -> dict[str, Any]:
    """The entries of an index, read without the program: path to language, problem and symbols."""
    if store == "jsonl":
        entries = {}
        for line in (index / "index.jsonl").read_text().splitlines():
            change = json.loads(line)
            if "gone" in change:
                entries.pop(change["gone"], None)
                continue
            file = change["file"]
            symbols = [(s["line"], s["kind"], s["name"]) for s in change["symbols"]]
            entries[file["path"]] = (file["language"], file.get("problem"), file["counts"], sorted(symbols))
        return entries
    database = sqlite3.connect(index / "index.sqlite")
    try:
        rows = database.execute("SELECT path, language, problem, counts FROM files").fetchall()
        symbols = database.execute("SELECT path, line, kind, name FROM symbols").fetchall()
    finally:
        database.close()
    by_path: dict[str, list[Any]] = {row[0]: [] for row in rows}
    for path, *symbol in symbols:
        by_path[path].append(tuple(symbol))
    return {
        path: (language, json.loads(problem) if problem else None, json.loads(counts), sorted(by_path[path]))
        for path, language, problem, counts in rows
    }


def plugin(folder: Path, kind: str, name: str, code: str, extra: str = "") -> Path:
    """Write a plugin; returns the folder to hand to ``--plugins``."""
    home = folder / name
    home.mkdir(parents=True)
    (home / "dagstack.toml").write_text(f'[plugin]\nname = "{name}"\nkind = "{kind}"\n{MANIFEST}{extra}')
    (home / "plugin.py").write_text(dedent(code))
    return folder


def recorder(folder: Path, record: Path, *, pause: float = 0.0) -> Path:
    """A listener that writes down which files are indexed, and slows the run down."""
    code = f"""
        import time

        class Recorder:
            def file_indexed(self, event):
                time.sleep({pause})
                with open({str(record)!r}, "a") as file:
                    file.write(event.path + "\\n")
    """
    return plugin(folder, "index_listener", "recorder", code)


def recorded(record: Path) -> list[str]:
    lines = record.read_text().splitlines() if record.exists() else []
    record.unlink(missing_ok=True)
    return sorted(lines)


def small_tree(folder: Path, files: int = 12) -> Path:
    for number in range(files):
        home = folder / f"part{number % 4}"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"module{number}.py").write_text(
            f"def function_{number}():\n    pass\n\nclass Class{number}:\n    pass\n"
        )
    return folder


# --- Real input: the standard library ---------------------------------------------------------------------------------


@functools.cache
def standard_library() -> tuple[dict[str, list[tuple[int, str]]], set[str]]:
    """Each module's functions and classes by its syntax tree, and the modules that have none, being broken."""
    root = Path(sysconfig.get_path("stdlib"))
    found, broken = {}, set()
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in SKIPPED and not Path(folder, name).is_symlink()]
        for path in (Path(folder, name) for name in files if name.endswith(".py")):
            if path.is_symlink():
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                broken.add(path.relative_to(root).as_posix())
                continue
            wanted = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            found[path.relative_to(root).as_posix()] = sorted(
                (node.lineno, node.name) for node in ast.walk(tree) if isinstance(node, wanted)
            )
    return found, broken


def python_row(out: str) -> tuple[int, int]:
    """Functions and classes that the table of languages tells of."""
    row = re.search(r"^python +[\d,]+ +[\d,]+ +(.*)$", out, re.MULTILINE)
    assert row, out
    told = {noun.strip(): int(count.replace(",", "")) for count, noun in re.findall(r"([\d,]+) ([a-z ]+)", row[1])}
    classes = told.pop("classes")
    return sum(told.values()), classes


def totals(entries: dict[str, Any]) -> tuple[int, int]:
    kinds = [kind for language, _, _, symbols in entries.values() if language == "python" for _, kind, _ in symbols]
    return len(kinds) - kinds.count("class"), kinds.count("class")


@pytest.mark.parametrize("store", STORES)
def test_the_standard_library_is_indexed_as_its_syntax_trees_say(tmp_path, store):
    index = tmp_path / "index"
    arguments = (sysconfig.get_path("stdlib"), "--index", index, "--skip", "test", "--skip", "tests")

    first = run(*arguments, store=store)

    expected, broken = standard_library()
    entries = contents(index, store)
    whole = {
        path: symbols for path, (_, problem, _, symbols) in entries.items() if path.endswith(".py") and not problem
    }
    assert whole.keys() == expected.keys()
    for path, symbols in whole.items():
        assert sorted((line, name.rpartition(".")[2]) for line, _, name in symbols) == expected[path]
    assert all(f"  {path}" in first.stdout for path in broken)
    assert python_row(first.stdout) == totals(entries)

    second = summary(run(*arguments, store=store))
    assert second["indexed"] == 0
    assert second["unchanged"] == summary(first)["indexed"]

    found = run("search", "getmembers", "--root", arguments[0], "--index", index, store=store).stdout.splitlines()
    line = next(line for line, name in expected["inspect.py"] if name == "getmembers")
    assert found[0].startswith(f"inspect.py:{line} function getmembers")


# --- Runs after the first ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
def test_a_run_reads_exactly_what_changed(tmp_path, store):
    tree, record = small_tree(tmp_path / "tree"), tmp_path / "record"
    arguments = (tree, "--plugins", recorder(tmp_path / "plugins", record))
    run(*arguments, store=store)
    assert len(recorded(record)) == 12

    run(*arguments, store=store)
    assert recorded(record) == []

    (tree / "part1" / "module1.py").write_text("def changed():\n    pass\n")
    (tree / "part2" / "module2.py").unlink()
    (tree / "part0" / "added.py").write_text("def added():\n    pass\n")
    told = summary(run(*arguments, store=store))

    assert recorded(record) == ["part0/added.py", "part1/module1.py"]
    assert told == {"indexed": 2, "unchanged": 10, "removed": 1, "broken": 0}
    entries = contents(tree / ".code_index", store)
    assert "part2/module2.py" not in entries
    assert entries["part1/module1.py"][3] == [(1, "function", "changed")]
    run("search", "function_1", "--root", tree, store=store)
    run("search", "function_2", "--root", tree, store=store, expect=1)


def test_a_change_that_keeps_size_and_modification_time_is_seen(tmp_path):
    tree, record = small_tree(tmp_path / "tree"), tmp_path / "record"
    arguments = (tree, "--plugins", recorder(tmp_path / "plugins", record))
    run(*arguments)
    recorded(record)
    module = tree / "part1" / "module1.py"
    before = module.stat()
    module.write_text(module.read_text().replace("function_1", "funktion_1"))
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))

    run(*arguments)

    assert recorded(record) == ["part1/module1.py"]


def test_another_version_of_a_plugin_reads_its_files_anew(tmp_path):
    tree, record = small_tree(tmp_path / "tree"), tmp_path / "record"
    (tree / "notes.txt").write_text("word\n")
    (tree / "list.csv").write_text("a,b\n")
    folder = recorder(tmp_path / "plugins", record)
    code = """
        class Csv:
            def index(self, text):
                return {"language": "csv", "symbols": [{"line": 1, "kind": "column", "name": text.split(",")[0]}]}
    """
    run(tree, "--plugins", folder)
    recorded(record)

    plugin(folder, "indexer", "csv", code, 'supports_extensions = ["csv"]\n')
    run(tree, "--plugins", folder)
    assert recorded(record) == ["list.csv"]

    manifest = folder / "csv" / "dagstack.toml"
    manifest.write_text(manifest.read_text().replace('version = "1.0.0"\n', 'version = "1.0.1"\n'))
    run(tree, "--plugins", folder)
    assert recorded(record) == ["list.csv"]
    assert contents(tree / ".code_index", "sqlite")["list.csv"][3] == [(1, "column", "a")]


def wait_for(condition, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def saved(index: Path, store: str) -> int:
    try:
        if store == "jsonl":
            return (index / "index.jsonl").read_bytes().count(b"\n")
        database = sqlite3.connect(f"file:{index / 'index.sqlite'}?mode=ro", uri=True)
        try:
            return int(database.execute("SELECT count(*) FROM files").fetchone()[0])
        finally:
            database.close()
    except (OSError, sqlite3.OperationalError):
        return 0


@posix_only
@pytest.mark.parametrize("store", STORES)
def test_killed_midway_and_run_again_the_index_is_whole(tmp_path, store):
    tree = small_tree(tmp_path / "tree", 450)
    slow = recorder(tmp_path / "plugins", tmp_path / "record", pause=0.004)
    index, clean = tmp_path / "index", tmp_path / "clean"
    process = subprocess.Popen(
        command(tree, "--index", index, "--plugins", slow), env=environment(store), stdout=subprocess.DEVNULL
    )
    wait_for(lambda: saved(index, store) >= 100, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = saved(index, store)
    assert 100 <= kept < 450

    told = summary(run(tree, "--index", index, store=store))
    run(tree, "--index", clean, store=store)

    assert told == {"indexed": 450 - kept, "unchanged": kept, "removed": 0, "broken": 0}
    assert contents(index, store) == contents(clean, store)
    assert run("search", "n", "--root", tree, "--index", index, store=store).stdout == (
        run("search", "n", "--root", tree, "--index", clean, store=store).stdout
    )


@posix_only
def test_ctrl_c_keeps_what_is_done(tmp_path):
    tree, record = small_tree(tmp_path / "tree", 300), tmp_path / "record"
    slow = recorder(tmp_path / "plugins", record, pause=0.01)
    process = subprocess.Popen(
        command(tree, "--plugins", slow), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(record.exists, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Interrupted" in out
    assert "Traceback" not in err
    done = len(recorded(record))
    assert 0 < done < 300
    assert saved(tree / ".code_index", "sqlite") == done

    assert summary(run(tree))["indexed"] == 300 - done


def test_a_torn_last_line_is_left_out_and_written_over(tmp_path):
    tree = small_tree(tmp_path / "tree")
    run(tree, store="jsonl")
    index = tree / ".code_index" / "index.jsonl"
    whole = index.read_bytes()
    index.write_bytes(whole[:-40])

    told = summary(run(tree, store="jsonl"))

    assert told == {"indexed": 1, "unchanged": 11, "removed": 0, "broken": 0}
    assert len(contents(tree / ".code_index", "jsonl")) == 12


def test_lines_that_no_longer_count_are_swept_out(tmp_path):
    tree = small_tree(tmp_path / "tree", 150)
    run(tree, store="jsonl")
    for _ in range(3):
        for path in tree.rglob("*.py"):
            path.write_text(path.read_text() + "\n")
        run(tree, store="jsonl")

    lines = (tree / ".code_index" / "index.jsonl").read_text().count("\n")

    assert 150 <= lines <= 2 * 150 + 100
    assert len(contents(tree / ".code_index", "jsonl")) == 150


def test_a_damaged_database_is_put_aside(tmp_path):
    tree = small_tree(tmp_path / "tree")
    run(tree)
    (tree / ".code_index" / "index.sqlite").write_bytes(b"no database at all" * 100)

    done = run(tree)

    assert summary(done)["indexed"] == 12
    assert "damaged" in done.stdout
    assert (tree / ".code_index" / "index.damaged").exists()


# --- Files of all sorts -----------------------------------------------------------------------------------------------


def entries_of(tree: Path) -> dict[str, Any]:
    run(tree, store="jsonl")
    return contents(tree / ".code_index", "jsonl")


def test_each_file_comes_to_the_indexer_that_fits(tmp_path):
    (tmp_path / "tool").write_text("#!/usr/bin/env python3\ndef main(): ...\n")
    (tmp_path / "script").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "page.MD").write_text("# Title\n```\n# no\n```\nUnder\n-----\n- item\n---\n")
    (tmp_path / "data.json").write_text('{\n"a": {"inner": 1},\n"b": [1]}')
    (tmp_path / "conf.toml").write_text('top = """\n[no]\n"""\n[tool.x]\nkey = 1\n[[list]]\n')
    (tmp_path / "notes.txt").write_text("three short words\n")
    (tmp_path / "image.py").write_bytes(b"\x89PNG\0\0\0")
    (tmp_path / "empty").write_bytes(b"")

    entries = entries_of(tmp_path)

    assert {path: entry[0] for path, entry in entries.items()} == {
        "tool": "python",
        "script": "text",
        "page.MD": "markdown",
        "data.json": "json",
        "conf.toml": "toml",
        "notes.txt": "txt",
        "image.py": "data",
        "empty": "text",
    }
    assert entries["tool"][3] == [(2, "function", "main")]
    assert entries["page.MD"][3] == [(1, "heading", "Title"), (5, "heading", "Under")]
    assert entries["data.json"][3] == [(2, "key", "a"), (3, "key", "b")]
    assert entries["conf.toml"][3] == [(1, "key", "top"), (4, "table", "tool.x"), (6, "table", "list")]
    assert entries["notes.txt"][2] == {"word": 3}


def test_functions_methods_and_classes_wherever_they_stand(tmp_path):
    (tmp_path / "deep.py").write_text(
        dedent("""\
            class A:
                if True:
                    async def m(self):
                        def inner(): ...
            try:
                async def f(): ...
            except E:
                class B:
                    def m(self): ...
            match x:
                case 1:
                    def g(): ...
        """)
    )

    assert entries_of(tmp_path)["deep.py"][3] == [
        (1, "class", "A"),
        (3, "async method", "A.m"),
        (4, "function", "A.m.inner"),
        (6, "async function", "f"),
        (8, "class", "B"),
        (9, "method", "B.m"),
        (12, "function", "g"),
    ]


def test_text_is_cleaned_before_it_is_read(tmp_path):
    as_found = {
        "byte_order_mark.py": b"\xef\xbb\xbfdef f():\r\n    pass\r\n\r\ndef g(): pass\r\n",
        "carriage_returns.py": b"def f():\r    pass\r\rdef g(): pass\r",
        "utf_16.py": "def f():\n    pass\n\ndef g(): pass\n".encode("utf-16"),
        "declared_encoding.py": b"# coding: latin-1\ndef f(): '\xe9'\n\ndef g(): pass\n",
        "end_of_file_mark.py": b"def f():\n    pass\n\ndef g(): pass\n\x1a",
    }
    for name, data in as_found.items():
        (tmp_path / name).write_bytes(data)

    entries = entries_of(tmp_path)

    assert entries.keys() == as_found.keys()
    for name, (_, problem, _, symbols) in entries.items():
        assert problem is None, name
        assert [symbol[2] for symbol in symbols] == ["f", "g"], name
        assert symbols[1][0] == 4, name


def test_links_caches_and_environments_are_passed_over(tmp_path):
    tree = small_tree(tmp_path / "tree", 1)
    for name in (".git", "node_modules", "__pycache__", "generated"):
        (tree / name).mkdir()
        (tree / name / "x.py").write_text("def no(): ...\n")
    (tree / "my_env").mkdir()
    (tree / "my_env" / "pyvenv.cfg").write_text("")
    (tree / "my_env" / "x.py").write_text("def no(): ...\n")
    if os.name == "posix":
        (tree / "loop").symlink_to(tree)
        (tree / "link.py").symlink_to(tree / "part0" / "module0.py")
    index = tree / "my_index"

    run(tree, "--skip", "gener*", "--index", index, store="jsonl")
    run(tree, "--skip", "gener*", "--index", index, store="jsonl")

    assert list(contents(index, "jsonl")) == ["part0/module0.py"]


# --- What is broken ---------------------------------------------------------------------------------------------------


def test_broken_files_are_listed_until_they_are_mended(tmp_path):
    tree = small_tree(tmp_path / "tree")
    (tree / "wrong.py").write_text("x = 1\ndef (:\n")
    (tree / "wrong.json").write_text('{"a": 1,\nb}')
    (tree / "wrong.toml").write_text("a = 1\nb =\n")
    (tree / "wrong.txt").write_bytes(b"caf\xe9\n")
    (tree / "deep.json").write_text("[" * 100_000)

    first, second = run(tree), run(tree)

    for done in (first, second):
        assert "Broken files (5)" in done.stdout
        assert "  wrong.py:2: " in done.stdout
        assert "  wrong.json:2: " in done.stdout
        assert "  wrong.toml:2: " in done.stdout
        assert "  wrong.txt: not UTF-8 (byte 0xe9 at offset 3)" in done.stdout
        assert "  deep.json: " in done.stdout
    assert summary(first)["indexed"] == 16
    assert summary(second) == {"indexed": 0, "unchanged": 16, "removed": 0, "broken": 5}
    log = (tree / ".code_index" / "run.log").read_text()
    assert log.count("broken: wrong.py:2: ") == 2

    (tree / "wrong.py").write_text("x = 1\n")
    (tree / "wrong.txt").write_text("café\n", encoding="utf-8")
    assert summary(run(tree)) == {"indexed": 2, "unchanged": 15, "removed": 0, "broken": 3}


def test_a_file_that_vanishes_midway_is_reported_and_leaves_the_index(tmp_path):
    tree = small_tree(tmp_path / "tree")
    run(tree)
    victim = tree / "part3" / "module3.py"
    victim.write_text("changed = True\n")
    code = f"""
        import os

        class Remover:
            def started(self, event):
                os.unlink({str(victim)!r})
    """

    done = run(tree, "--plugins", plugin(tmp_path / "plugins", "index_listener", "remover", code))

    assert "  part3/module3.py: no such file or directory" in done.stdout
    assert summary(done) == {"indexed": 0, "unchanged": 11, "removed": 1, "broken": 1}
    assert "part3/module3.py" not in contents(tree / ".code_index", "sqlite")


def bound_by_permissions() -> None:
    """Take from root, in Linux containers mostly, what lets it read everything: two capabilities, before it runs on."""
    if sys.platform == "linux" and os.geteuid() == 0:
        drop, override, read_search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        for capability in (override, read_search):
            assert ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0) == 0


@posix_only
def test_what_may_not_be_read_is_reported_and_tried_again(tmp_path):
    tree = small_tree(tmp_path / "tree")
    secret, closed = tree / "secret.py", tree / "closed"
    secret.write_text("def hidden(): ...\n")
    closed.mkdir()
    secret.chmod(0)
    closed.chmod(0)
    try:
        done = run(tree, before=bound_by_permissions)
        assert "  secret.py: permission denied" in done.stdout
        assert "  closed: permission denied" in done.stdout
    finally:
        secret.chmod(0o600)
        closed.chmod(0o700)
    assert summary(run(tree))["indexed"] == 1


@posix_only
def test_a_name_that_is_not_unicode_is_reported(tmp_path):
    tree = small_tree(tmp_path / "tree")
    try:
        (tree / os.fsdecode(b"caf\xe9.py")).write_text("x = 1\n")
    except OSError:
        pytest.skip("the file system takes only Unicode names")
    done = run(tree)
    assert "its name is not Unicode" in done.stdout
    assert summary(done)["indexed"] == 12


def test_broken_plugins_are_reported_and_the_run_goes_on(tmp_path):
    tree = small_tree(tmp_path / "tree")
    (tree / "data.abc").write_text("some words\n")
    (tree / "data.xyz").write_text("some words\n")
    (tree / "data.end").write_text("some words\n")
    folder = tmp_path / "plugins"
    plugin(folder, "indexer", "no_python", "class (:\n")
    plugin(folder, "indexer", "no_class", "x = 1\n")
    plugin(folder, "indexer", "no_manifest", "x = 1\n", "colour = 3\n")
    plugin(
        folder,
        "index_metrics",
        "no_start",
        "class A:\n    def setup(self, ctx): 1 / 0\n    def measure(self, files): ...\n",
    )
    plugin(
        folder,
        "indexer",
        "falls",
        "class A:\n    def index(self, text): return 1 / 0\n",
        'supports_extensions = ["abc"]\n',
    )
    plugin(
        folder,
        "indexer",
        "lies",
        "class A:\n    def index(self, text): return {'a': 1}\n",
        'supports_extensions = ["xyz"]\n',
    )
    leaves = "import sys\n\nclass A:\n    def index(self, text): sys.exit(3)\n"
    plugin(folder, "indexer", "leaves", leaves, 'supports_extensions = ["end"]\n')
    plugin(folder, "index_metrics", "bad_sums", "class A:\n    def measure(self, files): return 1 / 0\n")
    plugin(
        folder, "index_listener", "deaf", "class A:\n    def started(self, event): raise RuntimeError('cannot hear')\n"
    )

    plugin(
        folder,
        "index_listener",
        "lasting",
        "class A:\n    def finished(self, event): ...\n    def teardown(self): raise RuntimeError('cannot stop')\n",
    )

    done = run(tree, "--plugins", folder)

    out = done.stdout
    left_out = out.partition("Plugins left out (4)")[2].partition("\n\n")[0]
    assert all(name in left_out for name in ("no_python", "no_class", "no_manifest", "no_start"))
    assert re.search(r"  data\.abc: ZeroDivisionError: division by zero \(plugin\.py:2\).*falls", out)
    assert re.search(r"  data\.xyz: PayloadInvalid: .*lies", out)
    assert re.search(r"  data\.end: .*leaves.*SystemExit", out)
    told = out.partition("Warnings (3)")[2].partition("\n\n")[0]
    assert all(word in told for word in ("bad_sums", "cannot hear", "cannot stop"))
    assert "Languages" in out
    assert done.stderr == ""
    assert summary(done) == {"indexed": 12, "unchanged": 0, "removed": 0, "broken": 3}

    mended = folder / "falls" / "plugin.py"
    mended.write_text("class A:\n    def index(self, text): return {'language': 'abc', 'symbols': []}\n")
    assert summary(run(tree, "--plugins", folder))["indexed"] == 1


def test_of_two_plugins_with_one_name_the_first_stays(tmp_path):
    tree = small_tree(tmp_path / "tree")
    code = "class A:\n    def index(self, text): return {'language': 'mine', 'symbols': []}\n"
    done = run(tree, "--plugins", plugin(tmp_path / "plugins", "indexer", "python", code))
    assert re.search(r"Plugins left out \(1\)\n  indexer/python: ", done.stdout)
    assert "Warnings" not in done.stdout
    assert "12 classes" in done.stdout


def test_a_plugin_of_higher_priority_takes_a_file_type_over(tmp_path):
    tree = small_tree(tmp_path / "tree")
    code = "class A:\n    def index(self, text): return {'language': 'mine', 'symbols': []}\n"
    extra = 'priority = 10\nsupports_extensions = [".py"]\n'
    run(tree)
    done = run(tree, "--plugins", plugin(tmp_path / "plugins", "indexer", "mine", code, extra))
    assert summary(done)["indexed"] == 12
    assert re.search(r"^mine +12 ", done.stdout, re.MULTILINE)


# --- The command line -------------------------------------------------------------------------------------------------


def test_search_finds_parts_in_any_case_and_puts_exact_names_first(tmp_path):
    (tmp_path / "a.py").write_text("def find_all(): ...\nclass Search:\n    def find(self):\n        'Looks for it.'\n")
    (tmp_path / "b.py").write_text("x = 1\ndef FIND(): ...\n")
    for store in STORES:
        run(tmp_path, store=store)
        found = run("search", "Find", "--root", tmp_path, store=store).stdout.splitlines()
        assert found == [
            "a.py:3 method Search.find  Looks for it.",
            "b.py:2 function FIND",
            "a.py:1 function find_all",
        ]
        assert run("search", "100%_", "--root", tmp_path, store=store, expect=1).stdout == ""


def test_a_folder_called_search_is_a_folder(tmp_path):
    small_tree(tmp_path / "search")
    assert summary(run("./search", cwd=tmp_path))["indexed"] == 12
    assert "WORD" in run("search", cwd=tmp_path, expect=2).stderr


def test_misuse_is_told(tmp_path):
    assert "no index at" in run("search", "x", "--root", tmp_path, expect=2).stderr
    assert "is not a folder" in run(tmp_path / "nowhere", expect=2).stderr
    assert "is not a folder" in run(tmp_path, "--plugins", tmp_path / "nowhere", expect=2).stderr
    wrong = run(tmp_path, store="nonesuch", expect=1).stderr
    assert "nonesuch" in wrong
    assert "sqlite" in wrong
    assert "a folder of its own" in run(tmp_path, "--index", tmp_path, expect=2).stderr
    (tmp_path / "file").write_text("")
    assert "--index" in run(tmp_path, "--index", tmp_path / "file" / "index", expect=1).stderr


@posix_only
def test_the_readme_does_what_it_says(tmp_path):
    """Its commands, typed one block after the other at the root of a repository that holds the program."""
    shutil.copytree(PROGRAM, tmp_path / "examples" / "code_indexer", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    tools = tmp_path / "node_modules"
    tools.mkdir()
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tools / "python").chmod(0o755)
    env = environment() | {"PATH": f"{tools}:{os.environ['PATH']}"}
    readme = (PROGRAM / "README.md").read_text()
    blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    printed = []
    for language, block in blocks:
        if language == "sh":
            done = subprocess.run(
                ["sh", "-ec", block], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False
            )
            assert done.returncode == 0, block + done.stdout + done.stderr
            printed.append(done.stdout)

    output = without_line_numbers("".join(printed))
    promised = [block for language, block in blocks if language == "text" and not block.startswith("Languages")]
    assert len(promised) == 2
    for line in without_line_numbers("".join(promised)).splitlines():
        assert line in output.splitlines()
    assert "Broken files" not in output
    with_yaml = next(out for out in printed if "kind_api_version" in out)
    assert re.search(r"^yaml +5 .* keys", with_yaml, re.MULTILINE)
    assert f"Indexed {5 + len(['dagstack.toml', 'plugin.py'])} files" in with_yaml


def without_line_numbers(text: str) -> str:
    return re.sub(r":\d+ ", ":0 ", text)


@posix_only
def test_a_store_in_a_process_of_its_own_keeps_the_same(tmp_path: Path) -> None:
    shutil.copytree(PROGRAM, tmp_path / "code", ignore=shutil.ignore_patterns(".code_index", "__pycache__"))
    found = {}
    for how in ([], ["--isolate", "index_store/sqlite"]):
        index = tmp_path / ("isolated" if how else "here")
        done = run(tmp_path / "code", "--index", index, *how)
        assert summary(done)["broken"] == 0
        words = run("search", "plugins", "--root", tmp_path / "code", "--index", index, *how).stdout
        again = run(tmp_path / "code", "--index", index, *how)
        assert summary(again)["indexed"] == 0
        found[bool(how)] = contents(index, "sqlite"), words, summary(done)
    assert found[True] == found[False]
    assert len(found[True][0]) > 20


def test_one_that_runs_in_process_alone_is_left_out_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    done = run(tmp_path, "--isolate", "index_store/jsonl")
    assert "plugin 'jsonl' of kind 'index_store' runs as in_process, but this host runs" in done.stdout + done.stderr
