from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from dagstack_plugins.checkpoints import Checkpoint, CheckpointStore, FileCheckpoints, MemoryCheckpoints
from dagstack_plugins.checkpoints_sqlite import SqliteCheckpoints
from dagstack_plugins.errors import CheckpointConflict, PluginRegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "files", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CheckpointStore]:
    if request.param == "sqlite":
        with closing(SqliteCheckpoints(tmp_path / "checkpoints.db")) as store:
            yield store
    else:
        yield MemoryCheckpoints() if request.param == "memory" else FileCheckpoints(tmp_path / "checkpoints")


def only_file(root: Path) -> Path:
    (file,) = root.rglob("*.jsonl")
    return file


# --- what every store does


def test_a_key_never_saved_loads_nothing(store: CheckpointStore) -> None:
    assert isinstance(store, CheckpointStore)
    assert store.load("chunker/text", "cursor") == (None, 0)
    assert store.list("chunker/text") == []


def test_versions_count_up_for_each_key(store: CheckpointStore) -> None:
    checkpoint = Checkpoint(store, "chunker/text")
    assert [checkpoint.save("a", number) for number in range(3)] == [1, 2, 3]
    assert checkpoint.save("b", None) == 1
    assert checkpoint.load("a") == (2, 3)
    assert checkpoint.load("b") == (None, 1)
    assert checkpoint.list() == ["a", "b"]


def test_scopes_do_not_see_each_other(store: CheckpointStore) -> None:
    one, other = Checkpoint(store, "chunker/text"), Checkpoint(store, "chunker-text")
    one.save("a", 1)
    assert other.load("a") == (None, 0)
    assert other.save("a", 2) == 1
    assert (one.load("a"), other.list()) == ((1, 1), ["a"])


def test_what_is_loaded_is_a_copy(store: CheckpointStore) -> None:
    checkpoint, state = Checkpoint(store, "chunker/text"), {"done": [1]}
    checkpoint.save("a", state)
    state["done"].append(2)
    loaded, _ = checkpoint.load("a")
    loaded["done"].append(3)
    assert checkpoint.load("a") == ({"done": [1]}, 1)


ODD_KEYS = [
    "", ".", "..", "/", "../../etc/passwd", "a/b", "a\\b", "C:\\x", "con", "NUL.txt", "A", "a", "é", "e\u0301", "漢字",
    "x" * 300, "漢" * 300, "a\nb", "a\x00b", "\ud800", "*?", "-", "a ", "a.",
]  # fmt: skip


def test_any_string_is_a_key(store: CheckpointStore) -> None:
    checkpoint = Checkpoint(store, "chunker/text")
    for key in ODD_KEYS:
        assert checkpoint.save(key, key) == 1
    assert checkpoint.list() == sorted(ODD_KEYS)
    for key in ODD_KEYS:
        assert checkpoint.load(key) == (key, 1)


def test_any_string_is_a_scope(store: CheckpointStore) -> None:
    for scope in ODD_KEYS:
        assert store.save(scope, "key", scope) == 1
    for scope in ODD_KEYS:
        assert store.load(scope, "key") == (scope, 1)


def test_a_key_of_another_type_is_refused(store: CheckpointStore) -> None:
    with pytest.raises(TypeError, match="a checkpoint's key is a str, got int: 5"):
        store.save("chunker/text", 5, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a checkpoint's key is a str"):
        store.load("chunker/text", None)  # type: ignore[arg-type]


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"rows": [1, {2, 3}]}, TypeError, r"\$\.rows\[1\] is a set: save list"),
        ((1, 2), TypeError, r"\$ is a tuple: save list"),
        ({"a": {"b": (1,)}}, TypeError, r"\$\.a\.b is a tuple"),
        ({"a": object()}, TypeError, r"\$\.a is a object"),
        ([b"x"], TypeError, r"\$\[0\] is a bytes"),
        ({"a": {1: "x"}}, TypeError, r"\$\.a has the key 1"),
        ({None: 1}, TypeError, r"\$ has the key None"),
        ([0.5, math.nan], ValueError, r"no form for nan at \$\[1\]"),
        ({"a": -math.inf}, ValueError, r"no form for -inf at \$\.a"),
        (LOOP, ValueError, "contains itself"),
    ],
)
def test_a_state_that_is_no_json_is_refused_with_its_path(
    store: CheckpointStore, state: Any, error: type[Exception], message: str
) -> None:
    checkpoint = Checkpoint(store, "chunker/text")
    checkpoint.save("a", "before")
    for save in (checkpoint.save, lambda key, value: store.save("chunker/text", key, value)):
        with pytest.raises(error, match=message):
            save("a", state)
    assert checkpoint.load("a") == ("before", 1)
    assert checkpoint.list() == ["a"]


def test_subclasses_of_json_types_are_json(store: CheckpointStore) -> None:
    checkpoint = Checkpoint(store, "chunker/text")
    checkpoint.save("a", OrderedDict(a=1))
    assert checkpoint.load("a") == ({"a": 1}, 1)


def test_a_plugins_state_is_checked_whatever_the_store() -> None:
    class Trusting(MemoryCheckpoints):
        def __init__(self) -> None:
            super().__init__()
            self.states: list[Any] = []

        def save(self, scope: str, key: str, state: Any) -> int:
            self.states.append(state)
            return len(self.states)

    store, state = Trusting(), [1]
    Checkpoint(store, "chunker/text").save("a", state)
    state.append(2)
    with pytest.raises(TypeError):
        Checkpoint(store, "chunker/text").save("a", {1})
    assert store.states == [[1]]


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Lets threads take turns so often that a missing lock shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_threads_get_a_version_each(store: CheckpointStore) -> None:
    checkpoint = Checkpoint(store, "chunker/text")
    with ThreadPoolExecutor(8) as pool:
        shares = pool.map(lambda thread: [checkpoint.save("a", [thread, n]) for n in range(100)], range(8))
    versions = {version: [thread, n] for thread, share in enumerate(shares) for n, version in enumerate(share)}
    assert sorted(versions) == list(range(1, 801))
    assert checkpoint.load("a") == (versions[800], 800)


def test_only_one_goes_on_from_a_state(store: CheckpointStore) -> None:
    assert store.save("s", "k", "first", 0) == 1
    with pytest.raises(CheckpointConflict, match="'k' is at version 1, and 0 was expected") as caught:
        store.save("s", "k", "also first", 0)
    assert (caught.value.expected, caught.value.found) == (0, 1)
    assert store.load("s", "k") == ("first", 1)
    assert Checkpoint(store, "s").save("k", "second", expected=1) == 2
    with pytest.raises(CheckpointConflict):
        Checkpoint(store, "s").save("k", "late", expected=1)
    assert Checkpoint(store, "s").save("k", "whatever was there") == 3


@pytest.mark.usefixtures("many_switches")
def test_of_many_who_go_on_from_a_state_one_does(store: CheckpointStore) -> None:
    def go_on(thread: int) -> int:
        done = 0
        for version in range(50):
            with suppress(CheckpointConflict):
                store.save("s", "k", [thread, version], version)
                done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(go_on, range(8))) == store.load("s", "k")[1] > 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_saved_is_what_is_loaded(state: Any) -> None:
    store = MemoryCheckpoints()
    store.save("s", "k", state)
    loaded, _ = store.load("s", "k")
    assert loaded == state
    assert json.dumps(loaded) == json.dumps(state)


KEYS = st.sampled_from(["", "a", "a/b", "A", "../x", "é"]) | st.text(max_size=5)
SCOPES = st.sampled_from(["chunker/text", "chunker-text", ".."])


class CheckpointsAreADictionary(RuleBasedStateMachine):
    """All stores answer like a dictionary of (state, version), also when they are opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.memory = MemoryCheckpoints()
        self.files = FileCheckpoints(self.folder.name)
        self.sqlite = SqliteCheckpoints(f"{self.folder.name}/checkpoints.db")
        self.model: dict[tuple[str, str], tuple[Any, int]] = {}

    @rule(scope=SCOPES, key=KEYS, state=JSON)
    def save(self, scope: str, key: str, state: Any) -> None:
        version = self.model.get((scope, key), (None, 0))[1] + 1
        self.model[scope, key] = state, version
        assert self.memory.save(scope, key, state) == version
        assert self.files.save(scope, key, state) == version
        assert self.sqlite.save(scope, key, state) == version

    @rule(scope=SCOPES, key=KEYS)
    def load(self, scope: str, key: str) -> None:
        expected = self.model.get((scope, key), (None, 0))
        assert self.memory.load(scope, key) == self.files.load(scope, key) == expected
        assert self.sqlite.load(scope, key) == expected

    @rule(scope=SCOPES, prefix=KEYS)
    def list(self, scope: str, prefix: str) -> None:
        expected = sorted(key for of, key in self.model if of == scope and key.startswith(prefix))
        assert self.memory.list(scope, prefix) == self.files.list(scope, prefix) == expected
        assert self.sqlite.list(scope, prefix) == expected

    @rule()
    def open_anew(self) -> None:
        self.files = FileCheckpoints(self.folder.name)
        self.sqlite.close()

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()


TestCheckpointsAreADictionary = CheckpointsAreADictionary.TestCase


# --- files


def test_nothing_is_written_before_the_first_save(tmp_path: Path) -> None:
    store = FileCheckpoints(tmp_path / "deep" / "root")
    store.load("s", "k")
    store.list("s")
    assert list(tmp_path.iterdir()) == []
    store.save("s", "k", 1)
    assert store.load("s", "k") == (1, 1)


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    FileCheckpoints("~/checkpoints").save("s", "k", 1)
    assert FileCheckpoints(tmp_path / "checkpoints").load("s", "k") == (1, 1)


def test_everything_stays_below_the_root(tmp_path: Path) -> None:
    store = FileCheckpoints(tmp_path / "root")
    for odd in ODD_KEYS:
        store.save(odd, odd, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["root"]
    depths = {len(file.relative_to(tmp_path / "root").parts) for file in tmp_path.rglob("*.jsonl")}
    assert depths == {2}
    assert all(len(os.fsencode(entry.name)) <= 100 for entry in tmp_path.rglob("*"))


@pytest.mark.parametrize("size", [0, 1, 20, -1, -2, -8])
def test_a_torn_file_is_named(tmp_path: Path, size: int) -> None:
    store = FileCheckpoints(tmp_path)
    store.save("chunker/text", "cursor", {"page": 1234})
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(PluginRegistryError, match="is damaged") as caught:
        store.load("chunker/text", "cursor")
    assert str(file) in str(caught.value)
    file.unlink()
    assert store.load("chunker/text", "cursor") == (None, 0)


def test_a_number_that_was_cut_short_is_no_state(tmp_path: Path) -> None:
    store = FileCheckpoints(tmp_path)
    store.save("s", "k", 1234)
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(PluginRegistryError, match="cut short"):
        store.load("s", "k")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\n1\n", b"[]\n1\n", b"{}\n1\n", b'{"scope": "s", "key": 5, "version": 1}\n1\n']
)
def test_a_file_without_a_header_is_named(tmp_path: Path, content: bytes) -> None:
    store = FileCheckpoints(tmp_path)
    store.save("s", "k", 1)
    file = only_file(tmp_path)
    file.write_bytes(content)
    for use in (lambda: store.load("s", "k"), lambda: store.save("s", "k", 2), lambda: store.list("s")):
        with pytest.raises(PluginRegistryError, match="its first line is no header; restore it, or delete it"):
            use()
    assert file.read_bytes() == content


def test_a_file_under_another_keys_name_is_named(tmp_path: Path) -> None:
    store = FileCheckpoints(tmp_path)
    store.save("s", "other", 1)
    content = only_file(tmp_path).read_bytes()
    only_file(tmp_path).unlink()
    store.save("s", "k", 1)
    only_file(tmp_path).write_bytes(content)
    with pytest.raises(PluginRegistryError, match="holds the key 'other'"):
        store.load("s", "k")


def test_what_a_crash_left_behind_is_ignored(tmp_path: Path) -> None:
    store = FileCheckpoints(tmp_path)
    store.save("s", "k", "old")
    only_file(tmp_path).with_suffix(".tmp").write_bytes(b"half of")
    assert store.list("s") == ["k"]
    assert store.load("s", "k") == ("old", 1)
    assert store.save("s", "k", "new") == 2
    assert store.load("s", "k") == ("new", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not replace a file that is open")
def test_who_reads_the_file_itself_sees_all_of_the_state_before(tmp_path: Path) -> None:
    store = FileCheckpoints(tmp_path)
    store.save("s", "k", "old")
    content = only_file(tmp_path).read_bytes()
    with only_file(tmp_path).open("rb") as stream:
        store.save("s", "k", "new")
        assert stream.read() == content


@pytest.mark.skipif(sys.platform == "win32", reason="the disk is made to seem full with POSIX limits")
def test_a_full_disk_leaves_the_state_before(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from dagstack_plugins.checkpoints import FileCheckpoints\n"
        "store = FileCheckpoints(sys.argv[1])\n"
        "store.save('s', 'k', 'old')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: store.save('s', 'k', 'x' * 10_000)\n"
        "except OSError: print(store.load('s', 'k'))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('old', 1)"
    assert list(tmp_path.rglob("*.tmp")) == []


def test_processes_get_a_version_each_and_never_read_half_a_state(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from dagstack_plugins.checkpoints import FileCheckpoints\n"
        "store = FileCheckpoints(sys.argv[1])\n"
        "for number in range(30):\n"
        "    print(store.save('s', 'k', [number] * 2000))\n"
        "    state, version = store.load('s', 'k')\n"
        "    assert len(set(state)) == 1 and len(state) == 2000 and version > number\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [writer.communicate(timeout=100)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    assert sorted(int(version) for lines in told for version in lines.split()) == list(range(1, 121))
    assert FileCheckpoints(tmp_path).load("s", "k")[1] == 120


def test_a_file_that_several_processes_make_at_once(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from dagstack_plugins import SqliteCheckpoints\n"
        "sys.stdin.readline()\n"
        "for number in range(15):\n"
        "    print(SqliteCheckpoints(f'{sys.argv[1]}/{number}.db').save('s', 'k', number))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    told = [writer.communicate(timeout=100)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 3
    assert [sorted(versions) for versions in zip(*told, strict=True)] == [["1", "2", "3"]] * 15


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in its place")
    with pytest.raises(PluginRegistryError, match=r"checkpoints in \S+file/checkpoints\.db: "):
        SqliteCheckpoints(tmp_path / "file" / "checkpoints.db").save("s", "k", 1)


def test_a_damaged_file_of_sqlite_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(PluginRegistryError, match=r"checkpoints\.db: DatabaseError: file is not a database"):
        SqliteCheckpoints(tmp_path / "checkpoints.db").load("s", "k")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX SIGKILL")
def test_a_killed_writer_leaves_a_whole_state_and_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from dagstack_plugins.checkpoints import FileCheckpoints\n"
        "store = FileCheckpoints(sys.argv[1])\n"
        "while True: print(store.save('s', 'k', ['x' * 1000] * 200), flush=True)"
    )
    store, last = FileCheckpoints(tmp_path), 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(5):
                writer.stdout.readline()
            writer.kill()
        state, version = store.load("s", "k")
        assert state == ["x" * 1000] * 200
        assert version >= last + 5
        last = store.save("s", "k", ["x" * 1000] * 200)
        assert last == version + 1
