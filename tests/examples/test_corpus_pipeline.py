"""The example, run as its users run it, killed as nobody wishes to be, and run again."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry

pytest.importorskip("rich", reason="the program shows bars with rich, from the extra `cli`")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="plugins work in processes of their own, which need POSIX")

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "corpus_pipeline"
LIBRARY = Path(sysconfig.get_path("stdlib"))
SKIPPED = {"__pycache__", "site-packages", "node_modules"}
Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTACK_")}
    units = str(folder / "units.db")
    return {**kept, "DAGSTACK_UNITS": units, "PYTHONPATH": str(ROOT), "COLUMNS": "300", "PYTHONUTF8": "1"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(PROGRAM), *map(str, arguments)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the program to its end: ``run(*arguments, expect=status)``."""

    def running(*arguments: object, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        env = {**environment(tmp_path), **more}
        done = subprocess.run(
            command(*arguments), cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program, or another one; what runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def started(*given: object, program: list[str] | None = None, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*(program or command()), *map(str, given)],
            cwd=tmp_path,
            env={**environment(tmp_path), **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def until(holds: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert process is None or process.poll() is None, "it ended before that"
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


def ended(process: subprocess.Popen[str], expect: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == expect, out + err
    assert "Traceback" not in err
    return out, err


def known(out: str) -> tuple[int, int]:
    """How many units were done before, and of how many."""
    told = re.search(r"(\d+) of (\d+) units of work were done before", out)
    assert told, out
    return int(told[1]), int(told[2])


def contents(index: Path) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
    """An index, read line by line: its files, and, for each word, how often it is in which of them."""
    lines = index.read_text("utf-8").split("\n")
    count = json.loads(lines[0])["files"]
    files = [json.loads(line) for line in lines[1 : count + 1]]
    assert lines.pop() == ""
    words: dict[str, dict[str, int]] = {}
    for line in lines[count + 1 :]:
        word, _, pairs = line.partition("\t")
        words[word] = {files[int(place)]["path"]: int(times) for place, times in (p.split(":") for p in pairs.split())}
    return files, words


def counted(corpus: Path, paths: list[str]) -> dict[str, dict[str, int]]:
    """The same words, counted in the simplest way."""
    words: dict[str, dict[str, int]] = defaultdict(dict)
    for path in paths:
        text = (corpus / path).read_text("utf-8").casefold()
        spaced = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text)
        for word, times in Counter(spaced.split()).items():
            if 2 <= len(word) <= 40:
                words[word][path] = times
    return dict(words)


def write(corpus: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = corpus / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return corpus


def small(corpus: Path) -> Path:
    """A corpus of a dozen texts that share some words."""
    texts = {f"part{number % 3}/text{number}.txt": f"common words{number} " * (number + 1) for number in range(12)}
    return write(corpus, texts)


# --- What comes out ---------------------------------------------------------------------------------------------------


def test_texts_are_found_and_what_is_none_is_told(tmp_path: Path, run: Run) -> None:
    corpus = write(
        tmp_path / "corpus",
        {
            "greek.md": "# Über Straßen\n\nSTRASSEN roll a stone; the stone rolls back.\n",
            "deep/er/module.py": '#!/usr/bin/env python\n"""Rolls stones."""\nimport os\n\nstone = "stone"\n',
            "plain.py": "import os\n\n# A stone\n",
            "copy/greek.md": "# Über Straßen\n\nSTRASSEN roll a stone; the stone rolls back.\n",
            "empty.txt": "",
            "esc.txt": "\x1b[31mpebble",
            "zeros.bin": b"stone\0stone",
            "latin.txt": "stone caf\xe9".encode("latin-1"),
            "__pycache__/stone.txt": "stone",
            "new\nline.txt": "moss",
        },
    )
    (corpus / "link.txt").symlink_to("greek.md")
    os.mkfifo(corpus / "pipe")
    with (corpus / "large.txt").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)

    done = run(corpus, "--partitions", 3)

    assert "indexed 7 texts, 16 words" in done.stdout
    assert "left out: 1 larger than 16 MiB, 2 not text; corpus_index/left_out.txt has their names" in done.stdout
    assert (tmp_path / "corpus_index/left_out.txt").read_text().splitlines() == [
        "large.txt\tlarger than 16 MiB",
        "latin.txt\tnot text",
        "zeros.bin\tnot text",
    ]
    files, words = contents(tmp_path / "corpus_index/index")
    texts = [file["path"] for file in files if "left_out" not in file]
    assert words == counted(corpus, texts)
    assert sorted(texts) == [
        "copy/greek.md", "deep/er/module.py", "empty.txt", "esc.txt", "greek.md", "new\nline.txt", "plain.py"
    ]  # fmt: skip
    assert {file["path"]: file["title"] for file in files if "title" in file} == {
        "copy/greek.md": "Über Straßen",
        "deep/er/module.py": "Rolls stones.",
        "empty.txt": "",
        "esc.txt": "31mpebble",
        "greek.md": "Über Straßen",
        "new\nline.txt": "moss",
        "plain.py": "A stone",
    }
    for file in files:
        if "sha256" in file:
            assert file["sha256"] == hashlib.sha256((corpus / file["path"]).read_bytes()).hexdigest()

    assert [line[8:] for line in run("search", "Stone").stdout.splitlines()] == [
        "copy/greek.md  Über Straßen",
        "greek.md  the same",
        "deep/er/module.py  Rolls stones.",
        "plain.py  A stone",
    ]
    assert run("search", "strassen?", "--best", 1).stdout.endswith("greek.md  the same\n")
    assert run("search", "moss").stdout == "  2.08  new\\nline.txt  moss\n"
    run("search", "boulder", expect=1)


def test_the_library_is_indexed_as_a_simple_loop_does_however_it_is_parted(tmp_path: Path, run: Run) -> None:
    run(LIBRARY, "--limit", 200, "--out", "two", "--partitions", 2)
    run(LIBRARY, "--limit", 200, "--out", "nine", "--partitions", 9, "--every", 7)

    assert (tmp_path / "two/index").read_bytes() == (tmp_path / "nine/index").read_bytes()
    files, words = contents(tmp_path / "two/index")
    assert [file["path"] for file in files] == sorted(library())[:200]
    texts = [file["path"] for file in files if "left_out" not in file]
    assert len(texts) > 150
    assert words == counted(LIBRARY, texts)
    assert list(words) == sorted(words)

    scores: dict[str, float] = defaultdict(float)
    for word in ("abstract", "class", "loop"):
        for path, times in words[word].items():
            scores[path] += (1 + math.log(times)) * math.log(1 + len(texts) / len(words[word]))
    best = sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:5]
    shown = run("search", "class", "--out", "two", "ABSTRACT", "--best", 5, "loop").stdout.splitlines()
    assert [line.split()[:2] for line in shown] == [[f"{score:.2f}", path] for path, score in best]


def library() -> Iterator[str]:
    for folder, names, files in os.walk(LIBRARY):
        names[:] = [name for name in names if name not in SKIPPED and not Path(folder, name).is_symlink()]
        yield from (Path(folder, n).relative_to(LIBRARY).as_posix() for n in files if not Path(folder, n).is_symlink())


# --- Killed and run again ---------------------------------------------------------------------------------------------

MOMENTS = {
    "at the first files": ("*/hashes.jsonl.pieces/3-000001", signal.SIGKILL),
    "while words are extracted": ("*/words.jsonl.pieces/3-000011", signal.SIGKILL),
    "while a partition is indexed": ("*/index.pieces/3-000006", signal.SIGKILL),
    "while all is merged": ("all-*/index.pieces/3-000004", signal.SIGKILL),
    "by Ctrl-C": ("*/words.jsonl.pieces/3-000003", signal.SIGINT),
}


def test_killed_at_any_moment_and_run_again_it_comes_to_the_same(
    tmp_path: Path, run: Run, start: Callable[..., subprocess.Popen[str]]
) -> None:
    arguments = [LIBRARY, "--limit", 160, "--every", 3, "--partitions", 2]
    expected = run(*arguments, "--out", "expected")
    before: dict[str, dict[Path, int]] = {}
    for moment, (sign, how) in MOMENTS.items():  # one after the other, so that each has the processors for itself
        work = tmp_path / moment / "work"
        process = start(*arguments, "--out", moment, DAGSTACK_UNITS=f"{moment}.db")
        until(lambda work=work, sign=sign: next(work.glob(sign), None), process)
        process.send_signal(how)
        _, err = ended(process, 130 if how == signal.SIGINT else -how)
        if how == signal.SIGINT:
            typed = shlex.join(["python", *command(*arguments, "--out", moment)[1:]])
            assert err.splitlines()[-1] == f"interrupted; this goes on from here: {typed}"
        assert not (tmp_path / moment / "index").exists()
        before[moment] = made(work)

    again = {moment: start(*arguments, "--out", moment, DAGSTACK_UNITS=f"{moment}.db") for moment in MOMENTS}
    for moment, process in again.items():
        out, err = ended(process)
        assert (tmp_path / moment / "index").read_bytes() == (tmp_path / "expected/index").read_bytes(), moment
        # The summary is the same, but for the time and the units.
        assert out.splitlines()[1:-1] == expected.stdout.replace("expected", moment).splitlines()[1:-1]
        assert ("begun 2 times" in err) == (MOMENTS[moment][1] == signal.SIGKILL)
        assert known(out)[0] <= len(before[moment])
        after = made(tmp_path / moment / "work")
        assert before[moment].items() <= after.items(), "what was done was done again"
        assert len(after) == known(out)[1] == 7
        assert not list((tmp_path / moment).rglob("*.pieces"))
    assert len(before["while all is merged"]) == 6


def made(work: Path) -> dict[Path, int]:
    """What stages made, with a number that is another one if it was made again."""
    names = ("hashes.jsonl", "words.jsonl", "index")
    return {file: file.stat().st_ino for file in work.glob("*/*") if file.name in names}


# --- Run again later --------------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing_and_says_so(tmp_path: Path, run: Run) -> None:
    corpus = small(tmp_path / "corpus")
    first = run(corpus, "--partitions", 3)
    assert known(first.stdout) == (0, 10)
    inodes = made(tmp_path / "corpus_index/work"), (tmp_path / "corpus_index/index").stat().st_ino

    second = run(corpus, "--partitions", 3, "--every", 1)

    assert second.stdout.splitlines()[0] == "nothing new: 12 texts, 13 words; all 10 units of work were done before"
    assert second.stderr == ""
    assert inodes == (made(tmp_path / "corpus_index/work"), (tmp_path / "corpus_index/index").stat().st_ino)


def test_what_changed_redoes_its_partition_alone(tmp_path: Path, run: Run) -> None:
    corpus = small(tmp_path / "corpus")
    run(corpus, "--partitions", 3)
    folders = sorted((tmp_path / "corpus_index/work").iterdir())
    text = corpus / "part1/text1.txt"
    before = text.stat()
    text.write_text(text.read_text().replace("common", "unique"))
    os.utime(text, ns=(before.st_atime_ns, before.st_mtime_ns))  # as some tools do

    assert known(run(corpus, "--partitions", 3).stdout) == (6, 10)

    assert run("search", "unique").stdout.endswith("part1/text1.txt  unique words1 unique words1\n")
    now = sorted((tmp_path / "corpus_index/work").iterdir())
    assert len(now) == len(folders)
    assert len({*now} - {*folders}) == 2  # the partition's and that of the whole
    text.unlink()
    run(corpus, "--partitions", 3)
    run("search", "unique", expect=1)


@pytest.mark.parametrize("lost", ["corpus_index", "corpus_index/index", "units.db"])
def test_what_was_lost_is_made_again(tmp_path: Path, run: Run, lost: str) -> None:
    corpus = small(tmp_path / "corpus")
    run(corpus, "--partitions", 2)
    expected = (tmp_path / "corpus_index/index").read_bytes()
    for file in tmp_path.glob(f"{lost}*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    run(corpus, "--partitions", 2)

    assert (tmp_path / "corpus_index/index").read_bytes() == expected
    assert len(run("search", "common", "--best", 100).stdout.splitlines()) == 12


def test_units_of_an_earlier_listing_are_cancelled(
    tmp_path: Path, run: Run, start: Callable[..., subprocess.Popen[str]]
) -> None:
    corpus = small(tmp_path / "corpus")
    process = start(corpus, "--partitions", 2, "--workers", 0)
    until(lambda: len(units(tmp_path)) == 6, process)
    process.kill()
    (corpus / "part0/text0.txt").write_text("other")

    run(corpus, "--partitions", 2)

    states = Counter((unit.state, unit.hook) for unit in units(tmp_path))
    assert states == {
        **{("succeeded", stage): 2 for stage in ("hash", "extract", "index")},
        **{("cancelled", stage): 1 for stage in ("hash", "extract", "index")},
        ("succeeded", "merge"): 1,
    }
    run("search", "other")


def units(tmp_path: Path) -> list[Any]:
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    config = {"path": str(tmp_path / "units.db"), "workers": 0}
    with registry.running(PluginContext({"orchestrator": {"local": config}})):
        return registry.units.list()


# --- Elsewhere, and meanwhile -----------------------------------------------------------------------------------------


def test_a_worker_elsewhere_does_it_and_counts_what_vanished(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    corpus = small(tmp_path / "corpus")
    host = start(corpus, "--partitions", 2, "--workers", 0)
    until(lambda: len(list((tmp_path / "corpus_index/work").glob("all-*"))) == 1, host)
    (corpus / "part2/text5.txt").unlink()
    worker = [sys.executable, "-m", "dagstack_plugins", "units", "worker", str(PROGRAM / "plugins")]
    start("--file", tmp_path / "units.db", program=worker)

    out, _ = ended(host)

    assert "indexed 11 texts, 12 words" in out
    assert "left out: 1 vanished" in out
    assert (tmp_path / "corpus_index/left_out.txt").read_text() == "part2/text5.txt\tvanished\n"


@pytest.fixture
def stages() -> Iterator[Any]:
    """The plugin, started."""
    registry = PluginRegistry()
    registry.add_hookspecs(PROGRAM / "kinds")
    registry.discover(PROGRAM / "plugins")
    with registry.running():
        yield registry.get_plugin("corpus_stages", "text")


def test_a_file_that_changes_between_stages_is_left_out(tmp_path: Path, stages: Any) -> None:
    corpus = write(tmp_path / "corpus", {"a.txt": "one", "b.txt": "two", "c.txt": "three"})
    (tmp_path / "files").write_text('{"path": "a.txt"}\n{"path": "b.txt"}\n{"path": "c.txt"}\n')
    given = {"partition": "00", "corpus": str(corpus), "made": "1"}
    hashed = stages.hash(**given, source=str(tmp_path / "files"), target=str(tmp_path / "hashes"))
    assert hashed.to_dict() == {"files": 3, "left_out": {}}
    (corpus / "a.txt").write_text("uno")
    (corpus / "b.txt").unlink()

    extracted = stages.extract(**given, source=str(tmp_path / "hashes"), target=str(tmp_path / "words"))

    assert extracted.to_dict() == {"files": 1, "left_out": {"changed meanwhile": 1, "vanished": 1}}


def test_a_machine_without_the_corpus_indexes_nothing(tmp_path: Path, stages: Any) -> None:
    (tmp_path / "files").write_text('{"path": "a.txt"}\n')
    paths = {"source": str(tmp_path / "files"), "target": str(tmp_path / "hashes")}
    with pytest.raises(Exception, match=r"the corpus .*/nowhere is no folder on this machine"):
        stages.hash(partition="00", corpus=str(tmp_path / "nowhere"), made="1", **paths)
    assert not (tmp_path / "hashes").exists()


def test_the_samples_of_the_contract_are_what_the_stages_make(tmp_path: Path, stages: Any) -> None:
    sample = PROGRAM / "plugins/text/sample"
    given = {"partition": "00", "corpus": str(sample), "made": "1"}
    for stage, source, target in (
        ("hash", "files.jsonl", "hashes.jsonl"),
        ("extract", "hashes.jsonl", "words.jsonl"),
        ("index", "words.jsonl", "index"),
    ):
        getattr(stages, stage)(**given, source=str(sample / "work" / source), target=str(tmp_path / target))
        assert (tmp_path / target).read_bytes() == (sample / "work" / target).read_bytes()


# --- As a program -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["nowhere"], 2, "nowhere is not a folder"),
        (["file"], 2, "file is not a folder"),
        (["corpus", "--out", "corpus"], 2, "the index needs a folder of its own"),
        (["corpus", "--out", "file"], 1, "no index can be written: [Errno 20] Not a directory"),
        (["corpus", "--limit", "0"], 2, "argument --limit: '0' is not a number from 1 on"),
        (["corpus", "--workers", "-1"], 2, "argument --workers: '-1' is not a number from 0 on"),
        (["corpus", "--every", "x"], 2, "argument --every: 'x' is not a number from 1 on"),
        (["empty"], 1, "there are no files in "),
        (["search"], 2, "the following arguments are required: WORD"),
        (["search", "?!"], 2, "there is no word in that"),
        (["search", "x"], 2, "there is no index in "),
        (["search", "x", "--out", "damaged"], 2, "damaged/index is no index: "),
    ],
)
def test_it_says_what_is_wrong(tmp_path: Path, run: Run, arguments: list[str], status: int, told: str) -> None:
    write(tmp_path, {"corpus/a.txt": "word", "file": "", "damaged/index": '{"files": 2}\n{}\n'})
    (tmp_path / "empty").mkdir()
    done = run(*arguments, expect=status)
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ("ftp://host", "DAGSTACK_UNITS names a ftp:// address"),
        ("/proc/no/units.db", "units of work can't be kept in /proc/no/units.db"),
    ],
)
def test_it_says_what_is_wrong_with_the_orchestrator(tmp_path: Path, run: Run, units: str, told: str) -> None:
    done = run(small(tmp_path / "corpus"), expect=1, DAGSTACK_UNITS=units)
    assert told in done.stderr


def test_what_fails_is_told_and_tried_again_by_the_next_run(tmp_path: Path, run: Run) -> None:
    corpus = small(tmp_path / "corpus")
    run(corpus, "--partitions", 1, DAGSTACK_UNITS="others.db")
    (folder,) = (tmp_path / "corpus_index/work").glob("00-*")
    for target in ("hashes.jsonl", "words.jsonl", "index"):
        (folder / target).unlink()
    (folder / "hashes.jsonl.pieces").write_text("a file where a folder should be")

    done = run(corpus, "--partitions", 1, expect=1)

    assert "00   hash     failed, begun 3 times" in done.stderr
    assert "hash of 00: unit " in done.stderr
    assert "FileExistsError" in done.stderr
    (folder / "hashes.jsonl.pieces").unlink()
    assert known(run(corpus, "--partitions", 1).stdout) == (0, 4)


def test_bars_fit_a_narrow_terminal(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(small(tmp_path / "corpus"), "--partitions", 1),
        cwd=tmp_path,
        env={**environment(tmp_path), "COLUMNS": "60", "LINES": "20", "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = drained(master)
    assert process.wait(60) == 0
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    assert any(re.match(r"all +━+ +100% ", line) for line in lines)
    assert any("12 files" in line for line in lines)
    assert max(map(len, lines)) <= 60


def drained(descriptor: int) -> str:
    found = b""
    while select.select([descriptor], [], [], 60)[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # nobody writes any more
            break
        found += piece
    os.close(descriptor)
    return found.decode()


def test_the_readme_shows_what_is_seen(tmp_path: Path) -> None:
    """Commands are typed as they stand, but for less of the library; numbers, and what is found, may differ."""
    readme = (PROGRAM / "README.md").read_text("utf-8")
    sessions = re.findall(r"^```console\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(sessions) == 2
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    env = {**environment(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"}
    del env["DAGSTACK_UNITS"]
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/corpus_pipeline").symlink_to(PROGRAM)
    for session in sessions:
        for typed, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
            if "KILL" in typed:  # who knows how far that comes on this machine
                continue
            shorter = re.sub(r"corpus_pipeline(?! search)", "corpus_pipeline --limit 300", typed)
            done = subprocess.run(
                ["bash", "-c", shorter], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False
            )
            assert done.returncode == 0, typed + done.stderr
            assert masked(done.stdout) == masked(shown), typed


def masked(text: str) -> list[str]:
    """Lines without what another version of the library changes: numbers, what is found, what is no text."""
    lines = ["hit" if re.match(r" *\d+\.\d\d  ", line) else line for line in text.splitlines()]
    lines = [re.sub(r"(?<=left out: )[^;]*", "some", line) for line in lines]
    return [re.sub(r"\d[\d,.]*", "#", line) for line in lines]
