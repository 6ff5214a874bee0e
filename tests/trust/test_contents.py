"""The hash over a plugin's files: the same for the same files, another one for any change."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins.contents import Contents

NAMES = st.text("ab.\\ é", min_size=1, max_size=3).filter(lambda name: name.strip(".") != "")
FILES = st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=5)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


@given(FILES, FILES)
def test_two_folders_have_one_hash_if_they_have_the_same_files(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        write(Path(first), one)
        write(Path(second), dict(reversed(other.items())))
        assert (Contents(Path(first)).hash == Contents(Path(second)).hash) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.py").write_bytes(b"2"),
        lambda folder: (folder / "a.py").rename(folder / "b.py"),
        lambda folder: (folder / "new.py").touch(),
        lambda folder: (folder / "inner/c.py").unlink(),
        lambda folder: (folder / "inner").rename(folder / "outer"),
        lambda folder: (folder / ".env").touch(),
        lambda folder: write(folder, {"build/x.py": b""}),
        lambda folder: write(folder, {"__pycache__/real.py": b""}),
    ],
)
def test_any_change_of_files_is_seen(tmp_path: Path, change: object) -> None:
    folder = write(tmp_path, {"a.py": b"1", "inner/c.py": b"3"})
    before = Contents(folder).hash
    change(folder)  # type: ignore[operator]
    assert Contents(folder).hash != before


def test_what_tools_write_changes_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.py": b"1"})
    before = Contents(folder).hash
    write(folder, {"__pycache__/a.cpython-311.pyc": b"x", ".git/HEAD": b"x", "inner/.mypy_cache/x": b"x"})
    (folder / "empty").mkdir()
    os.utime(folder / "a.py", (0, 0))
    assert Contents(folder).hash == before


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    plain, linked = tmp_path / "plain", tmp_path / "linked"
    write(plain, {"a.py": b"1", "inner/b.py": b"2"})
    (linked / "inner").mkdir(parents=True)
    (linked / "a.py").symlink_to(plain / "a.py")
    (linked / "inner/b.py").symlink_to("../../plain/inner/b.py")
    assert Contents(linked).hash == Contents(plain).hash
    (linked / "inner/round").symlink_to(linked)
    (linked / "nowhere").symlink_to("missing")
    assert Contents(linked).hash == Contents(plain).hash


def test_odd_trees(tmp_path: Path) -> None:
    folder = write(tmp_path / "odd", {"a.py": b"1"})
    before = Contents(folder).hash
    (folder / "loop").symlink_to("loop")
    assert Contents(folder).hash == before
    here = os.open(folder, os.O_RDONLY)
    try:
        for _ in range(1100):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    assert Contents(folder).readable_hash in (before, None)  # a path of that length may be too long to open
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.py": b"1"})
    before = Contents(folder).hash
    os.mkfifo(folder / "pipe")
    assert Contents(folder).hash == before


def test_it_is_what_sha256sum_makes_of_it(tmp_path: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    folder = write(tmp_path, {"b.py": b"1", "a/z.py": b"2", "a.py": b"3", "odd \\ name": b"4", "é": b"5"})
    command = "find -L . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    told = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert Contents(folder).hash == f"sha256:{told.split()[0]}"


def test_it_is_read_once(tmp_path: Path) -> None:
    contents = Contents(write(tmp_path, {"a.py": b"1"}))
    before = contents.hash
    (tmp_path / "a.py").write_bytes(b"2")
    assert contents.hash == before


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    contents = Contents(tmp_path, ("missing.py",))
    assert contents.readable_hash is None
    with pytest.raises(FileNotFoundError):
        contents.hash  # noqa: B018
