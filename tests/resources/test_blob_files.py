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
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import BlobNotFound, BlobStoreError, FileBlobStore
from dagstack_plugins.durable import sync_folder
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
    for work in (store.put("a", b"2"), store.delete("a")):
        with pytest.raises(BlobStoreError, match="is closed"):
            await work
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


ON_A_SMALL_DISK = """
import asyncio, json, os, resource, subprocess, sys
from dagstack_plugins import BlobStoreError, FileBlobStore
root, read_only, may_mount = sys.argv[1:]
def mount(*options): subprocess.run(["mount", *options], check=True)
if may_mount == "True":
    mount("-t", "tmpfs", "-o", "size=1m", "none", root)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
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
    if may_mount == "False":
        return
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
    """A small tmpfs where one may be mounted, otherwise a limit on the size of files."""
    small, read_only = tmp_path / "small", tmp_path / "read_only"
    small.mkdir()
    read_only.mkdir()
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else [])]
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)]
    may_mount = (
        shutil.which("unshare") is not None and not subprocess.run([*alone, *mount], capture_output=True).returncode
    )
    program = [sys.executable, "-c", ON_A_SMALL_DISK, str(small), str(read_only), str(may_mount)]
    done = subprocess.run([*(alone if may_mount else ()), *program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    full, full_new, keys, parts, *refused = json.loads(done.stdout)
    code = errno.ENOSPC if may_mount else errno.EFBIG
    assert full[0].startswith(f"the blob 'a' was not stored in {small}: {os.strerror(code)}")
    assert (full[1], full_new[1], keys, parts) == (code, code, ["a", "b"], [])
    for message, why in refused:
        assert message.startswith(f"the blob store {read_only} can't be opened: Read-only file system")
        assert message.endswith("that this user may write to")
        assert why == errno.EROFS
    assert len(refused) == may_mount


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


# --- what others do at the same time


async def test_a_delete_that_was_given_up_changes_nothing(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued behind others it would come late, and take what was put meanwhile."""
    await store.put("a", b"old")
    go_on = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, go_on.wait)
    deleting, putting = asyncio.ensure_future(store.delete("a")), asyncio.ensure_future(store.put("a", b"lost"))
    await asyncio.sleep(0)
    deleting.cancel()
    putting.cancel()
    await asyncio.wait([deleting, putting])
    go_on.set()
    await busy
    assert await store.get("a") == b"old"


@pytest.mark.parametrize("change", ["put", "delete"])
async def test_a_change_that_is_being_made_is_waited_for_however_often_it_is_cancelled(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await store.put("a", b"old")
    reached, go_on = threading.Event(), threading.Event()
    name = {"put": "replace", "delete": "unlink"}[change]
    system = getattr(os, name)

    def slow(path: str, *more: str) -> None:
        if not path.endswith(".part") or change == "put":
            reached.set()
            go_on.wait(10)
        system(path, *more)

    monkeypatch.setattr(os, name, slow)
    changing = asyncio.ensure_future(store.put("a", b"new") if change == "put" else store.delete("a"))
    await asyncio.to_thread(reached.wait, 10)
    for _ in range(5):
        changing.cancel()
        await asyncio.sleep(0.01)
    assert not changing.done()
    go_on.set()
    await asyncio.wait([changing])
    assert changing.cancelled()
    monkeypatch.setattr(os, name, system)
    await store.put("a", b"newer")
    assert await store.get("a") == b"newer"


def test_openers_never_sweep_what_the_living_write(tmp_path: Path) -> None:
    def work(worker: int) -> None:
        async def main() -> None:
            for number in range(40):
                store = FileBlobStore(tmp_path)
                await asyncio.gather(*(store.put(f"{worker}/{number}/{piece}", b"x") for piece in range(3)))
                store.close()

        asyncio.run(main())

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    store = FileBlobStore(tmp_path)
    assert len(asyncio.run(store.list())) == 6 * 40 * 3
    store.close()
    assert list((tmp_path / "writing").iterdir()) == []


async def test_folders_come_and_go_under_many_writers(store: FileBlobStore) -> None:
    """Two levels of them, which each delete removes and each put makes again."""

    async def come_and_go(name: str) -> None:
        for _ in range(150):
            await store.put(f"q/x/{name}", b"x")
            await store.delete(f"q/x/{name}")

    await asyncio.gather(*map(come_and_go, "abcdefgh"))
    assert await store.list() == []


async def test_closing_waits_for_what_is_under_way(store: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        reached.set()
        go_on.wait(10)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    putting = asyncio.ensure_future(store.put("a", b"1"))
    await asyncio.to_thread(reached.wait, 10)
    store.close()
    with pytest.raises(BlobStoreError, match="is closed"):
        await store.put("b", b"1")
    monkeypatch.setattr(os, "fsync", fsync)
    other = FileBlobStore(store.root)
    go_on.set()
    await putting
    assert await other.list() == ["a"]
    other.close()
    assert [file for file in files(store) if file.startswith("writing")] == []


async def test_a_large_folder_is_listed_whole_while_its_files_are_replaced(tmp_path: Path) -> None:
    """On tmpfs, where it can be had, a file that is replaced changes its place in the folder."""
    shared = Path("/dev/shm")
    root = tempfile.mkdtemp(dir=shared if shared.is_dir() else tmp_path)
    store = FileBlobStore(root)
    names = [f"{number:04}" for number in range(3000)]
    for name in names:
        file = store.root / "keys" / f"={name}"
        file.write_bytes(b'dagstack blob 1 {"content_type": null}\n')
    stop = threading.Event()

    def disturb(worker: int) -> None:
        part = store.root / f"part{worker}"
        while not stop.is_set():
            for name in names[worker::3]:
                part.write_bytes(b'dagstack blob 1 {"content_type": null}\n')
                part.replace(store.root / "keys" / f"={name}")
                if stop.is_set():
                    break

    threads = [threading.Thread(target=disturb, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            assert await store.list() == names
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        store.close()
        shutil.rmtree(root)


# --- power cuts


def test_a_folder_that_is_gone_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a relative path too, whose last folder above is the working directory."""
    monkeypatch.chdir(tmp_path)
    sync_folder("gone/deeper")
    sync_folder(tmp_path / "gone" / "deeper")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, to tell which folder is synchronised")
async def test_a_blob_is_there_to_stay_with_all_folders_above_it(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another writer made them, and was killed before it synchronised them."""
    (store.root / "keys" / "+a" / "+b").mkdir(parents=True)
    synchronised: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synchronised.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(store.root)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    await store.put("a/b/c", b"1")
    assert synchronised[0].startswith("writing/")
    assert synchronised[1:] == ["keys/+a/+b", "keys/+a", "keys"]
    synchronised.clear()
    FileBlobStore(store.root).close()
    assert synchronised == ["."]
    synchronised.clear()
    await store.put("a/b/d", b"1")
    assert synchronised[1:] == ["keys/+a/+b"]
    synchronised.clear()
    await store.delete("a/b/c")
    await store.delete("a/b/c")
    assert synchronised == ["keys/+a/+b"] * 2
    await store.delete("a/b/d")
    (store.root / "keys" / "+a" / "+b").mkdir(parents=True)  # by another one, likely with the same numbers
    synchronised.clear()
    await store.put("a/b/c", b"1")
    assert synchronised[1:] == ["keys/+a/+b", "keys/+a", "keys"]


@posix
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
async def test_folders_that_cannot_be_synchronised(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    if code == errno.EIO:
        with pytest.raises(BlobStoreError, match=r"'a' was stored in .*, but may not outlast a power cut: Input"):
            await store.put("a", b"new")
        assert await store.get("a") == b"new"
        with pytest.raises(BlobStoreError, match=r"was deleted from .*, but may come back after a power cut"):
            await store.delete("a")
    else:
        other = FileBlobStore(store.root / "another")
        await other.put("a", b"new")
        await other.delete("a")
        other.close()


# --- forks

DAEMON = """
import asyncio, os, sys, time
from dagstack_plugins import FileBlobStore
store = FileBlobStore(sys.argv[1])
if os.fork():
    os._exit(0) if sys.argv[2] == "exits at once" else sys.exit(0)
os.setsid()
fsync = os.fsync
def slow(descriptor):
    os.fsync = fsync
    print("writing", flush=True)
    sys.stdin.readline()
    fsync(descriptor)
os.fsync = slow
asyncio.run(store.put("a", b"whole"))
print("done", flush=True)
"""


@posix
@pytest.mark.parametrize("how", ["exits", "exits at once"])
def test_a_fork_goes_on_writing_after_its_parent(tmp_path: Path, how: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", DAEMON, tmp_path, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    assert parent.stdout.readline() == b"writing\n"
    parent.wait()
    store = FileBlobStore(tmp_path)
    parent.stdin.write(b"\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == b"done\n"
    assert asyncio.run(store.get("a")) == b"whole"
    store.close()
    parent.stdin.close()
    parent.stdout.close()


REFUSED_FORK = """
import asyncio, os, shutil, sys
from dagstack_plugins import BlobStoreError, FileBlobStore
store = FileBlobStore(sys.argv[1])
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
shutil.rmtree(sys.argv[1] + "/writing")
try:
    asyncio.run(store.put("a", b"1"))
except BlobStoreError as error:
    print(error, flush=True)
os._exit(0)
"""


@posix
def test_a_fork_that_cannot_write_is_told_so(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", REFUSED_FORK, tmp_path], capture_output=True, text=True)
    assert done.stdout.startswith(f"nothing can be written to {tmp_path}: No such file"), done.stderr


KILLED_FORK = """
import asyncio, os, signal, sys
from dagstack_plugins import FileBlobStore
store = FileBlobStore(sys.argv[1])
child = os.fork()
if not child:
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    asyncio.run(store.put("a", b"1"))
os.waitpid(child, 0)
other = FileBlobStore(sys.argv[1])
print([name for name in os.listdir(sys.argv[1] + "/writing") if name.endswith(".part")])
"""


@posix
def test_what_a_killed_fork_left_is_swept_though_its_parent_lives(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_FORK, tmp_path], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# --- what is not ours


async def test_strange_files_among_the_long_keys(store: FileBlobStore) -> None:
    await store.put("x" * 500, b"1")
    (store.root / "long" / ".DS_Store").write_bytes(b"\x00")
    digest = store.root / "long" / f"={'0' * 64}"
    digest.write_bytes(b'dagstack blob 1 {"content_type": null}\n')
    assert await store.list() == ["x" * 500]
    digest.write_bytes(b"dagstack blob 1 {broken\n")
    with pytest.raises(BlobStoreError, match="is not a file that a FileBlobStore wrote"):
        await store.list()


async def test_what_cannot_be_looked_at_is_not_said_to_be_missing(store: FileBlobStore) -> None:
    (store.root / "keys" / "+a").write_text("not a folder")
    for work in (store.exists("a/b"), store.get("a/b"), store.put("a/b", b""), store.delete("a/b")):
        with pytest.raises(BlobStoreError, match=r"'a/b' .*Not a directory") as caught:
            await work
        assert caught.value.errno == errno.ENOTDIR
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.errno) == (str(caught.value), errno.ENOTDIR)


@pytest.mark.parametrize("root", ["", None, 3])
def test_a_root_that_is_no_path_is_refused(root: Any) -> None:
    with pytest.raises(ValueError, match=r"FileBlobStore\(root=.*\): give the path of a folder"):
        FileBlobStore(root)


@pytest.mark.parametrize("root", ["~nosuchuser/x", "a\x00b"])
def test_a_root_that_makes_no_sense_is_refused(root: str) -> None:
    with pytest.raises(BlobStoreError, match="can't be opened"):
        FileBlobStore(root)


@pytest.mark.parametrize("given", ["text/plain\n", "tëxt", "", " text/plain", "text/plain ", "x" * 256])
async def test_content_types_that_no_store_could_keep(store: FileBlobStore, given: str) -> None:
    with pytest.raises(ValueError, match="is not a content type"):
        await store.put("a", b"", content_type=given)
    with pytest.raises(TypeError, match="a content type is a str"):
        await store.put("a", b"", content_type=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a prefix of keys is a str, got NoneType"):
        await store.list(None)  # type: ignore[arg-type]
    assert await store.list() == []


async def test_files_that_others_read_are_replaced_after_a_while(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where what is open can't be replaced."""
    monkeypatch.setattr("dagstack_plugins.durable._PATIENCE", (0.001, 0.001))
    refusals, replace = [PermissionError(13, "in use"), PermissionError(13, "in use")], os.replace

    def busy(*names: str) -> None:
        if refusals:
            raise refusals.pop()
        replace(*names)

    monkeypatch.setattr(os, "replace", busy)
    await store.put("a", b"1")
    assert await store.get("a") == b"1"
    refusals += [PermissionError(13, "in use")] * 3
    with pytest.raises(BlobStoreError, match="was not stored"):
        await store.put("a", b"2")
