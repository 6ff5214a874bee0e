"""FileBlobStore: what a folder adds to the rules of every blob store."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import BlobNotFound, BlobStoreError, FileBlobStore
from dagstack_plugins.resources.blob_names import keys_below, name_of
from dagstack_plugins.resources.blob_store import check_key

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and permissions")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileBlobStore]:
    store = FileBlobStore(tmp_path / "blobs")
    yield store
    store.close()


def files(store: FileBlobStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


LAWFUL_KEYS = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=4).filter(
        lambda segment: segment not in (".", "..")
    ),
    min_size=1,
    max_size=2,
).map("/".join)


@given(LAWFUL_KEYS)
def test_a_files_name_is_plain_and_stays_below_the_root(key: str) -> None:
    check_key(key)
    name = name_of(key)
    assert name is not None
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.%/+=")
    assert not {"", ".", ".."} & set(name.split("/"))
    assert not any(segment.endswith(".") for segment in name.split("/"))
    assert all(segment[0] == "+" for segment in name.split("/")[:-1])


@given(st.sets(LAWFUL_KEYS, max_size=8))
def test_different_keys_have_different_names_on_any_file_system(keys: set[str]) -> None:
    assert len({name.casefold() for key in keys if (name := name_of(key))}) == len(keys)


def test_names_are_read_back_to_keys(tmp_path: Path) -> None:
    keys = ["a", "a/b", "É/ü.txt", "con", "x.", "a b/c%d"]
    for key in keys:
        file = tmp_path / str(name_of(key))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert sorted(keys_below(tmp_path, "")) == sorted(keys)
    assert list(keys_below(tmp_path, "a/")) == ["a/b"]
    assert list(keys_below(tmp_path, "nothing/here/")) == []


async def test_files_of_others_are_no_blobs(store: FileBlobStore) -> None:
    await store.put("a", b"1")
    for name in ("=A", "README", "=%zz", "=a%62", ".DS_Store"):
        (store.root / "keys" / name).write_text("not ours")
    (store.root / "keys" / "lost+found").mkdir()
    assert await store.list() == ["a"]


async def test_a_file_that_somebody_changed_is_told(store: FileBlobStore) -> None:
    await store.put("a", b"1")
    (store.root / "keys" / "=a").write_bytes(b"something else")
    with pytest.raises(BlobStoreError, match=r"keys/=a is not a file that a FileBlobStore wrote"):
        await store.get("a")


async def test_what_was_put_is_there_for_the_next_one(store: FileBlobStore) -> None:
    await store.put("a", b"1", content_type="text/plain")
    await store.put("x" * 1000, b"2")
    store.close()
    with_another = FileBlobStore(store.root)
    assert await with_another.list() == ["a", "x" * 1000]
    assert (await with_another.get("a"), await with_another.content_type("a")) == (b"1", "text/plain")
    with_another.close()


async def test_a_copy_opens_the_same_folder(store: FileBlobStore) -> None:
    await store.put("a", b"1")
    copy = pickle.loads(pickle.dumps(store))
    assert await copy.get("a") == b"1"
    copy.close()


async def test_folders_go_with_their_last_blob(store: FileBlobStore) -> None:
    await store.put("a/b/c", b"1")
    await store.put("a/d", b"2")
    await store.delete("a/b/c")
    assert [path.name for path in (store.root / "keys" / "+a").iterdir()] == ["=d"]
    await store.delete("a/d")
    assert list((store.root / "keys").iterdir()) == []


async def test_a_closed_store_writes_no_more_and_reads_on(store: FileBlobStore) -> None:
    await store.put("a", b"1")
    store.close()
    store.close()
    with pytest.raises(BlobStoreError, match="is closed"):
        await store.put("a", b"2")
    assert await store.get("a") == b"1"


async def test_the_event_loop_goes_on_meanwhile(store: FileBlobStore) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await store.put("a", bytes(8 * 2**20))
    turning.cancel()
    assert turns > 2


# --- callers that give up


async def test_a_put_that_was_given_up_changes_nothing(store: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.put("a", b"old")
    reached, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        reached.set()
        go_on.wait(10)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    putting = asyncio.create_task(store.put("a", b"new"))
    await asyncio.to_thread(reached.wait, 10)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    monkeypatch.setattr(os, "fsync", fsync)
    await store.put("a", b"newer")
    go_on.set()
    while any(name.endswith(".part") for name in files(store)):
        await asyncio.sleep(0.01)
    assert await store.get("a") == b"newer"


async def test_a_put_that_is_given_up_too_late_is_waited_for(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    replace = os.replace

    def slow(*names: str) -> None:
        reached.set()
        go_on.wait(10)
        replace(*names)

    monkeypatch.setattr(os, "replace", slow)
    putting = asyncio.create_task(store.put("a", b"new"))
    await asyncio.to_thread(reached.wait, 10)
    putting.cancel()
    await asyncio.sleep(0.05)
    assert not putting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await store.get("a") == b"new"


# --- disks that refuse


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_root_that_is_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BlobStoreError, match=r"the blob store .*file.* can't be opened: Not a directory"):
        FileBlobStore(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "kept"


IN_A_MOUNT = """
import asyncio, json, os, subprocess, sys
from dagstack_plugins import BlobStoreError, FileBlobStore
root, read_only = sys.argv[1:]
def mount(*options): subprocess.run(["mount", *options], check=True)
mount("-t", "tmpfs", "-o", "size=1m", "none", root)
store = FileBlobStore(root)
told = []
async def main():
    await store.put("a", b"old" * 1000, content_type="text/plain")
    for key in ("a", "new/key"):
        try:
            await store.put(key, bytes(2**21))
        except BlobStoreError as error:
            told.append([str(error), error.errno])
    await store.put("b", b"small")
    assert await store.get("a") == b"old" * 1000, "lost"
    told.append(await store.list())
    told.append(sorted(name for name in os.listdir(root + "/writing") if name.endswith(".part")))
    mount("--bind", "-r", root, read_only)
    try:
        FileBlobStore(read_only)
    except BlobStoreError as error:
        told.append([str(error), error.errno])
asyncio.run(main())
print(json.dumps(told))
"""


@posix
def test_a_disk_that_is_full_or_read_only_loses_nothing(tmp_path: Path) -> None:
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else [])]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare (util-linux), and the right to mount a small tmpfs")
    small, read_only = tmp_path / "small", tmp_path / "read_only"
    small.mkdir()
    read_only.mkdir()
    program = [sys.executable, "-c", IN_A_MOUNT, small, read_only]
    done = subprocess.run([*alone, *program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    full, full_new, keys, parts, refused = json.loads(done.stdout)
    assert full[0].startswith(f"the blob 'a' was not stored in {small}: No space left on device")
    assert (full[1], full_new[1], refused[1]) == (errno.ENOSPC, errno.ENOSPC, errno.EROFS)
    assert (keys, parts) == (["a", "b"], [])
    assert refused[0].startswith(f"the blob store {read_only} can't be opened: Read-only file system")
    assert refused[0].endswith("that this user may write to")


# --- writers that are killed

WRITER = """
import asyncio, sys
from dagstack_plugins import FileBlobStore
async def main():
    store = FileBlobStore(sys.argv[1])
    print("ready", flush=True)
    number = 0
    while True:
        number += 1
        byte = bytes([number % 256])
        await asyncio.gather(store.put("key/0", byte * 10), store.put("key/1", byte * 70_000))
asyncio.run(main())
"""


@posix
def test_writers_killed_at_any_moment_leave_each_key_whole(tmp_path: Path) -> None:
    """200 kills; a key has all of its old bytes, or all of its new ones."""
    chance = random.Random(7)
    keeper = FileBlobStore(tmp_path)
    asyncio.run(keeper.put("key/kept", b"kept"))
    left_behind = 0
    waiting = [_writer(tmp_path) for _ in range(4)]
    for _ in range(200):
        writer = waiting.pop(0)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.02))
        writer.kill()
        writer.communicate()
        waiting.append(_writer(tmp_path))
        for key, size in (("key/0", 10), ("key/1", 70_000)):
            data = asyncio.run(_read(keeper, key))
            assert data is None or data == data[:1] * size
        left_behind += any(file.suffix == ".part" for file in (tmp_path / "writing").iterdir())
    for writer in waiting:
        writer.kill()
        writer.communicate()
    assert left_behind > 10, "no kill hit a writer, so nothing was proved"
    assert asyncio.run(keeper.get("key/kept")) == b"kept"
    FileBlobStore(tmp_path).close()
    keeper.close()
    assert list((tmp_path / "writing").iterdir()) == []


def _writer(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, root], stdout=subprocess.PIPE)


async def _read(store: FileBlobStore, key: str) -> bytes | None:
    try:
        return await store.get(key)
    except BlobNotFound:
        return None


SLOW_WRITER = """
import asyncio, os, sys
from dagstack_plugins import FileBlobStore
fsync = os.fsync
def slow(descriptor):
    print("writing", flush=True)
    sys.stdin.readline()
    os.fsync = fsync
    fsync(descriptor)
store = FileBlobStore(sys.argv[1])
os.fsync = slow
asyncio.run(store.put("a", b"whole"))
"""


@posix
@pytest.mark.parametrize("fate", ["lives", "is stopped", "dies"])
def test_only_the_leftovers_of_the_dead_are_swept(tmp_path: Path, fate: str) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    if fate == "is stopped":
        writer.send_signal(signal.SIGSTOP)
    elif fate == "dies":
        writer.kill()
        writer.wait()
    store = FileBlobStore(tmp_path)
    left = [file for file in (tmp_path / "writing").iterdir() if file.suffix == ".part"]
    assert len(left) == (0 if fate == "dies" else 1)
    writer.send_signal(signal.SIGCONT)
    writer.communicate(b"\n")
    assert asyncio.run(store.list()) == ([] if fate == "dies" else ["a"])
    store.close()


def test_a_store_dropped_unclosed_gives_its_name_back(tmp_path: Path) -> None:
    FileBlobStore(tmp_path)
    assert list((tmp_path / "writing").iterdir()) == []


@posix
def test_a_fork_may_write_and_end_without_hurting_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys, dagstack_plugins\n"
        "store = dagstack_plugins.FileBlobStore(sys.argv[1])\n"
        "if os.fork() == 0:\n"
        "    asyncio.run(store.put('child', b'1'))\n"
        "    store.close()\n"
        "    os._exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "other = dagstack_plugins.FileBlobStore(sys.argv[1])\n"
        "assert len(list((other.root / 'writing').glob('*.lease'))) == 2\n"
        "asyncio.run(store.put('parent', b'1'))\n"
        "print(asyncio.run(other.list()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("['child', 'parent']\n", 0), done.stderr


@pytest.mark.parametrize("size", [0, 1, 4096])
async def test_a_buffer_may_change_as_soon_as_it_was_handed_over(store: FileBlobStore, size: int) -> None:
    data = bytearray(b"x" * size)
    putting: Any = asyncio.ensure_future(store.put("a", data))
    await asyncio.sleep(0)
    data[:] = b"y" * size
    await putting
    assert await store.get("a") == b"x" * size
