"""PostgresCheckpoints, beside a real server."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import CheckpointConflict, PluginRegistryError, PostgresCheckpoints, checkpoints_postgres
from dagstack_plugins.conformance import CheckpointStoreConformance
from tests.units.postgres import PASSWORD, Server, Wire, psycopg, running
from tests.waiting import until

Opened = Callable[..., PostgresCheckpoints]

ISOLATIONS = pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def table() -> str:
    return f"t_{uuid.uuid4().hex}"


@pytest.fixture
def opened(server: Server, table: str) -> Iterator[Opened]:
    """``opened(table=…, **changes to conninfo)``: a store that is closed at the end."""
    stores = []

    def open_one(table: str = table, **given: str | int) -> PostgresCheckpoints:
        stores.append(PostgresCheckpoints(server.conninfo(**given), table=table))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    wire = Wire(server)
    yield wire
    wire.close()


@pytest.fixture
def role(server: Server) -> str:
    """A role that may log in, and nothing else."""
    name = f"r_{uuid.uuid4().hex}"
    server.run(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
    return name


class TestPostgresCheckpoints(CheckpointStoreConformance):
    @pytest.fixture(autouse=True)
    def stores(self, opened: Opened) -> None:
        self.opened = opened

    def make_store(self, folder: Path) -> PostgresCheckpoints:
        return self.opened(f"t_{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}")


# --- texts


@pytest.mark.parametrize("key", ["\x00", "a\x00b", "\ud800", "😀", "y" * 100_000, "%s", "{table}", "\\", '"'])
def test_scopes_and_keys_are_any_text(opened: Opened, key: str) -> None:
    store = opened()
    assert store.save(key, key, {key: key}) == 1
    assert store.load(key, key) == ({key: key}, 1)
    assert store.list(key) == [key]
    assert store.list(key, key[:1]) == [key]


def test_a_key_beyond_what_an_index_takes_is_told_from_its_like(opened: Opened) -> None:
    store = opened()
    long = [os.urandom(5000).hex() + end for end in ("a", "b")]  # nothing to compress
    assert [store.save("scope", key, key[-1]) for key in long] == [1, 1]
    assert [store.load("scope", key)[0] for key in long] == ["a", "b"]


def test_keys_are_sorted_as_python_does(opened: Opened) -> None:
    store, keys = opened(), ["b", "B", "a", "ä", "_", "10", "9", "😀", "\uffff"]
    for key in keys:
        store.save("scope", key, 0)
    assert store.list("scope") == sorted(keys)


def test_half_a_surrogate_pair_begins_no_whole_one(opened: Opened) -> None:
    store = opened()
    for key in ("\ud83d", "\ud83d!", "😀"):
        store.save("scope", key, 0)
    assert store.list("scope", "\ud83d") == ["\ud83d", "\ud83d!"]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_the_encoding_of_a_database_is_of_no_matter(server: Server, opened: Opened, table: str, encoding: str) -> None:
    server.run(f"CREATE DATABASE {table} ENCODING '{encoding}' TEMPLATE template0")
    for client in ("SQL_ASCII", "UTF8"):
        store = opened(dbname=table, client_encoding=client)
        store.save(client, "世界", {"é": "\x00"})
        assert store.load(client, "世界") == ({"é": "\x00"}, 1)
        assert store.list(client) == ["世界"]


@pytest.mark.parametrize("wrong", ["1", 1.0, b"1"])
def test_what_is_no_version_is_refused(opened: Opened, wrong: Any) -> None:
    store = opened()
    store.save("scope", "key", 0)
    with pytest.raises(TypeError, match="expected is a version, an int, or None; got "):
        store.save("scope", "key", 1, wrong)
    assert store.load("scope", "key") == (0, 1)


@pytest.mark.parametrize("expected", [-1, 3, 2**70])
def test_a_version_that_is_not_there_is_a_conflict(opened: Opened, expected: int) -> None:
    store = opened()
    for found in (0, 1):
        with pytest.raises(CheckpointConflict, match=f"is at version {found}, and {expected} was expected") as caught:
            store.save("scope", "key", "x", expected)
        assert (caught.value.expected, caught.value.found) == (expected, found)
        store.save("scope", "key", "y")


def test_the_texts_of_a_call_are_texts(opened: Opened) -> None:
    store = opened()
    calls: list[Callable[[], Any]] = [
        lambda: store.save("scope", 1, 0),  # type: ignore[arg-type]
        lambda: store.load(b"scope", "key"),  # type: ignore[arg-type]
        lambda: store.list(None),  # type: ignore[arg-type]
        lambda: store.list("scope", 1),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"a checkpoint's (scope|key|prefix) is a str, got "):
            call()


def test_a_row_that_somebody_wrote_by_hand_is_told(server: Server, opened: Opened, table: str) -> None:
    store = opened()
    store.save("scope", "key", 0)
    server.run(f"UPDATE {table} SET state = 'no json'")
    with pytest.raises(PluginRegistryError, match=rf"{table} \(host=.*\): JSONDecodeError: Expecting value"):
        store.load("scope", "key")
    assert store.save("scope", "key", 1) == 2


# --- many at once


WRITER = """
import os, sys
from dagstack_plugins import CheckpointConflict, PostgresCheckpoints
store = PostgresCheckpoints(sys.argv[1], table=sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
done = 0
for version in range(60):
    try:
        store.save("scope", "key", [os.getpid(), version], version)
        done += 1
    except CheckpointConflict as conflict:
        assert conflict.expected == version != conflict.found
print(done)
store.close()
"""


@ISOLATIONS
def test_of_processes_that_go_on_from_one_version_one_does(
    server: Server, opened: Opened, table: str, isolation: str
) -> None:
    """The table is made by whichever of them is first."""
    command = [sys.executable, "-c", WRITER, server.conninfo(options=isolated(isolation)), table]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    done = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sum(done) == opened().load("scope", "key")[1] >= 1


@ISOLATIONS
def test_versions_count_up_whoever_saves(opened: Opened, isolation: str) -> None:
    def save(number: int) -> list[int]:
        store = opened(options=isolated(isolation))
        together.wait(20)
        return [store.save("scope", "key", number) for _ in range(15)]

    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        versions = [version for saved in pool.map(save, range(4)) for version in saved]
    assert sorted(versions) == list(range(1, 61))


def test_one_store_serves_many_threads_on_one_connection(server: Server, opened: Opened, table: str) -> None:
    store = opened(application_name=table)
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda number: store.save("scope", "key", number), range(80)))
    assert sorted(versions) == list(range(1, 81))
    assert connections(server, table) == 1


def test_a_table_that_many_make_at_once(opened: Opened) -> None:
    def save(table: str) -> int:
        store = opened(table)
        together.wait(20)
        return store.save("scope", "key", 0)

    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(8):
            name = f"t_{uuid.uuid4().hex}"
            assert sorted(pool.map(save, [name] * 4)) == [1, 2, 3, 4]


def isolated(isolation: str) -> str:
    return "-c default_transaction_isolation=" + isolation.replace(" ", r"\ ")


def connections(server: Server, name: str) -> int:
    """How many there are to the server under the name of an application."""
    ((count,),) = server.run(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'")
    return int(count)


def terminate(server: Server) -> None:
    """End all connections, and wait until they have ended."""
    clients = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    assert server.run(f"SELECT pg_terminate_backend(pid, 10000) {clients}")


def raises_for_ever(server: Server, table: str, sqlstate: str) -> None:
    """From now on, whoever saves is told the same."""
    server.run(f"""
        CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'not now' USING ERRCODE = '{sqlstate}'; END $$
    """)
    server.run(f"CREATE TRIGGER t BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_f()")


def test_a_save_that_is_always_overtaken_is_given_up(
    server: Server, opened: Opened, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    store.save("scope", "key", 0)
    raises_for_ever(server, table, "40001")
    monkeypatch.setattr(checkpoints_postgres, "_PATIENCE", 0.05)
    with pytest.raises(PluginRegistryError, match=r"SerializationFailure: not now$"):
        store.save("scope", "key", 1)
    assert store.load("scope", "key") == (0, 1)


def test_locks_are_waited_for_as_long_as_conninfo_says(server: Server, opened: Opened, table: str) -> None:
    store = opened(options="-c lock_timeout=20ms")
    store.save("scope", "key", 0)
    with psycopg.connect(server.conninfo()) as other:
        other.execute(f"LOCK TABLE {table}")
        with pytest.raises(PluginRegistryError, match=r"LockNotAvailable: canceling statement due to lock timeout$"):
            store.save("scope", "key", 1, 1)
    assert store.save("scope", "key", 1, 1) == 2


# --- connections that break


@pytest.mark.parametrize("how", ["INT", "QUIT"])
def test_a_server_that_was_restarted_between_two_calls_is_no_error(server: Server, opened: Opened, how: Any) -> None:
    store = opened()
    store.save("scope", "key", "first")
    server.restart(how)
    assert store.save("scope", "key", "second", 1) == 2
    server.restart(how)
    assert store.load("scope", "key") == ("second", 2)
    server.restart(how)
    assert store.list("scope") == ["key"]
    server.restart(how)
    assert store.save("scope", "key", "third") == 3


def test_a_connection_that_was_ended_between_two_calls_is_no_error(server: Server, opened: Opened) -> None:
    store = opened()
    for version in range(2):
        assert store.save("scope", "key", version, version if version % 2 else None) == version + 1
        terminate(server)
        assert store.load("scope", "key") == (version, version + 1)
        terminate(server)


def test_a_conflict_is_one_after_a_restart_too(server: Server, opened: Opened) -> None:
    """However far others have come: nothing was on its way when the connection broke."""
    store = opened()
    for number in range(4):
        store.save("scope", "key", number)
    terminate(server)
    with pytest.raises(CheckpointConflict, match="is at version 4, and 1 was expected"):
        store.save("scope", "key", "x", 1)


def test_a_server_that_is_gone_is_told_and_found_again(server: Server, opened: Opened) -> None:
    store = opened()
    store.save("scope", "key", 0)
    server.stop()
    try:
        for call in (lambda: store.save("scope", "key", 1, 1), lambda: store.load("scope", "key")):
            with pytest.raises(
                PluginRegistryError, match="nobody answers there: look whether the server is up"
            ) as told:
                call()
            assert "not known" not in str(told.value)
    finally:
        server.start()
    assert store.save("scope", "key", 1, 1) == 2


@pytest.mark.parametrize("loses", ["query", "answer", "end"])
@pytest.mark.parametrize("expected", [None, 0])
def test_a_first_save_counts_once_where_the_connection_breaks(
    opened: Opened, wire: Wire, loses: Any, expected: int | None
) -> None:
    store = opened(host="127.0.0.1", port=wire.port)
    store.list("scope")
    wire.loses = loses
    assert store.save("scope", "key", "state", expected) == 1
    assert wire.loses == ""
    assert store.load("scope", "key") == ("state", 1)


@pytest.mark.parametrize("loses", ["query", "answer", "end"])
@pytest.mark.parametrize("expected", [None, 2])
def test_a_save_counts_once_where_the_connection_breaks(
    opened: Opened, wire: Wire, loses: Any, expected: int | None
) -> None:
    store = opened(host="127.0.0.1", port=wire.port)
    for _ in range(2):
        store.save("scope", "key", "before")
    wire.loses = loses
    assert store.save("scope", "key", "state", expected) == 3
    assert wire.loses == ""
    assert store.load("scope", "key") == ("state", 3)
    assert store.save("scope", "key", "state", 3) == 4


@pytest.mark.parametrize("loses", ["query", "answer", "end"])
def test_reading_goes_on_where_the_connection_breaks(opened: Opened, wire: Wire, loses: Any) -> None:
    store = opened(host="127.0.0.1", port=wire.port)
    store.save("scope", "key", "state")
    wire.loses = loses
    assert store.load("scope", "key") == ("state", 1)
    wire.loses = loses
    assert store.list("scope") == ["key"]


def test_others_who_save_while_the_connection_breaks_make_a_conflict(opened: Opened, wire: Wire) -> None:
    """The query never arrived, and the version after the one expected is theirs."""
    store, other = opened(host="127.0.0.1", port=wire.port), opened()
    store.save("scope", "key", "before")
    wire.loses, wire.meanwhile = "query", lambda: other.save("scope", "key", "theirs")
    with pytest.raises(CheckpointConflict, match="is at version 2, and 1 was expected"):
        store.save("scope", "key", "ours", 1)
    assert store.load("scope", "key") == ("theirs", 2)


@pytest.mark.parametrize(("loses", "version"), [("query", 3), ("answer", 3)])
def test_an_outcome_that_others_have_saved_over_is_not_known(
    opened: Opened, wire: Wire, loses: Any, version: int
) -> None:
    store, other = opened(host="127.0.0.1", port=wire.port), opened()

    def others() -> None:
        while other.save("scope", "key", "theirs") < version:
            pass

    store.save("scope", "key", "before")
    wire.loses, wire.meanwhile = loses, others
    with pytest.raises(PluginRegistryError) as told:
        store.save("scope", "key", "ours", 1)
    assert type(told.value) is PluginRegistryError
    assert "others have saved since: it is at version 3, and whether version 2 was this one is not known" in str(
        told.value
    )
    assert store.load("scope", "key") == ("theirs", 3)


def test_without_a_version_expected_the_last_one_wins(opened: Opened, wire: Wire) -> None:
    store, other = opened(host="127.0.0.1", port=wire.port), opened()
    store.save("scope", "key", "before")
    wire.loses, wire.meanwhile = "answer", lambda: other.save("scope", "key", "theirs")
    assert store.save("scope", "key", "ours") == 4
    assert store.load("scope", "key") == ("ours", 4)


@pytest.mark.parametrize("expected", [None, 1])
def test_an_outcome_is_not_known_if_the_server_does_not_come_back(
    opened: Opened, wire: Wire, expected: int | None
) -> None:
    store, other = opened(host="127.0.0.1", port=wire.port), opened()
    store.save("scope", "key", "before")
    wire.loses, wire.meanwhile = "answer", wire.close
    with pytest.raises(PluginRegistryError, match=r"whether 'key' was saved is not known, load it to see$"):
        store.save("scope", "key", "ours", expected)
    assert other.load("scope", "key") == ("ours", 2)


def test_a_server_that_falls_over_does_not_know_half_a_save(server: Server, opened: Opened) -> None:
    """Crashes at any moment of a save: what was told is there, and at most one state that was not."""
    store, told = opened(), 0

    def save_for_ever() -> None:
        nonlocal told
        while True:
            told = store.save("scope", "key", told + 1, told)

    for _ in range(4):
        crash = threading.Timer(0.15, server.stop, ["QUIT"])
        crash.start()
        with pytest.raises(PluginRegistryError) as error:
            save_for_ever()
        assert not isinstance(error.value, CheckpointConflict)
        crash.join()
        server.start()
        state, version = store.load("scope", "key")
        assert state == version
        assert version in (told, told + 1)
        told = version


FORKS = """
import os, sys
from dagstack_plugins import PostgresCheckpoints
store = PostgresCheckpoints(sys.argv[1], table=sys.argv[2])
store.save("scope", "parent", 0)
children = []
for number in range(3):
    if not (child := os.fork()):
        for version in range(20):
            assert store.save("scope", f"child {number}", version, version) == version + 1
        store.close()
        sys.exit()
    children.append(child)
for version in range(1, 40):
    assert store.save("scope", "parent", version, version) == version + 1
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
assert store.save("scope", "parent", "end") == 41
with store._line().lock:  # as where a thread saves while another one forks
    if not (child := os.fork()):
        assert store.load("scope", "parent") == ("end", 41)
        store.close()
        sys.exit()
assert os.waitpid(child, 0)[1] == 0
print(store.list("scope"))
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_a_connection_of_its_own(server: Server, table: str) -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, server.conninfo(), table]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['child 0', 'child 1', 'child 2', 'parent']\n"


INTERRUPTED = """
import signal, sys, threading
from dagstack_plugins import PostgresCheckpoints
store = PostgresCheckpoints(sys.argv[1], table=sys.argv[2])
store.save("scope", "key", 0)
print("ready", flush=True)
sys.stdin.readline()
try:
    print("saving", flush=True)
    store.save("scope", "key", 1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
print(store.load("scope", "key"), store.save("scope", "key", 2, 1))
store.close()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_who_is_interrupted_can_go_on(server: Server, table: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, server.conninfo(), table]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        with psycopg.connect(server.conninfo()) as other:
            other.execute(f"LOCK TABLE {table}")
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.stdout.readline() == "saving\n"
            until(lambda: bool(server.run("SELECT 1 FROM pg_locks WHERE NOT granted")))
            program.send_signal(signal.SIGINT)
            assert program.stdout.readline() == "interrupted\n"
        assert program.communicate("\n", timeout=30)[0] == "(0, 1) 2\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs SIGALRM")
def test_a_connection_whose_answer_nobody_awaited_is_used_no_more(server: Server, opened: Opened, table: str) -> None:
    """Hosts may limit how long a call takes by a signal."""

    def give_up(*_: object) -> None:
        raise TimeoutError("enough")

    store = opened()
    store.save("scope", "key", 0)
    before = signal.signal(signal.SIGALRM, give_up)
    with psycopg.connect(server.conninfo()) as other:
        other.execute(f"LOCK TABLE {table}")
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with pytest.raises(TimeoutError, match="enough"):
                store.save("scope", "key", 1)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert store.save("scope", "other key", 0) == 1


def test_a_store_that_was_closed_opens_again(server: Server, opened: Opened, table: str) -> None:
    store = opened(application_name=table)
    store.close()
    store.save("scope", "key", 0)
    assert connections(server, table) == 1
    store.close()
    store.close()
    until(lambda: connections(server, table) == 0)
    assert store.load("scope", "key") == (0, 1)


# --- tables and roles


def test_a_table_in_a_schema(server: Server, opened: Opened, table: str) -> None:
    server.run(f'CREATE SCHEMA "{table}-Ä"')
    store = opened(f"{table}-Ä.Check$points")
    assert store.save("scope", "key", 0) == 1
    assert server.run(f'SELECT scope, key, state FROM "{table}-Ä"."Check$points"') == [('"scope"', '"key"', "0")]
    with pytest.raises(PluginRegistryError, match="create the schema, or correct table="):
        opened(f"{table}-ä.checkpoints").load("scope", "key")


@pytest.mark.parametrize(
    "table",
    [
        *("", ".", "a.", ".a", "a.b.c", "a b", 'a"b', "a'b", "1a", "a;b", "a%s", "{a}", "a\n", "a\0", "\ud800"),
        *("x" * 64, "é" * 32, None, 5, b"a"),
    ],
)
def test_a_name_that_is_none_is_refused(table: Any) -> None:
    with pytest.raises(ValueError, match=r"^table=.*: give a name, or schema.name, of letters"):
        PostgresCheckpoints("", table=table)


def test_a_role_that_may_make_no_table_uses_the_one_there(
    server: Server, opened: Opened, table: str, role: str
) -> None:
    store = opened(user=role, password="p")
    for call in (lambda: store.save("scope", "key", 0), lambda: store.load("scope", "key")):
        with pytest.raises(PluginRegistryError, match="is not there, and this role may not make it") as told:
            call()
    (statement,) = (part for part in str(told.value).partition("granted: ")[2:])
    server.run(statement)
    with pytest.raises(PluginRegistryError, match="the role needs SELECT, INSERT and UPDATE on the table"):
        store.save("scope", "key", 0)
    server.run(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {role}")
    assert store.save("scope", "key", 0, 0) == 1
    assert store.save("scope", "key", 1) == 2
    assert store.save("scope", "key", 2, 2) == 3
    assert (store.load("scope", "key"), store.list("scope")) == ((2, 3), ["key"])


def test_a_role_that_may_only_look_can_look(server: Server, opened: Opened, table: str, role: str) -> None:
    opened().save("scope", "key", 0)
    server.run(f"GRANT SELECT ON {table} TO {role}")
    store = opened(user=role, password="p")
    assert (store.load("scope", "key"), store.list("scope")) == ((0, 1), ["key"])
    with pytest.raises(PluginRegistryError, match="InsufficientPrivilege: permission denied for table"):
        store.save("scope", "key", 1)


OTHERS = {
    "a table": "CREATE TABLE {0} (scope TEXT, key TEXT)",
    "a table like ours, without its key": """
        CREATE TABLE {0} (scope_digest BYTEA, key_digest BYTEA, scope TEXT, key TEXT, version BIGINT, state TEXT,
            save_id UUID)
    """,
    "an index": "CREATE TABLE {0}_t (a int); CREATE INDEX {0} ON {0}_t (a)",
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_another_ones_is_left_alone(server: Server, opened: Opened, table: str, what: str) -> None:
    server.run(OTHERS[what].format(table))
    store = opened()
    with pytest.raises(PluginRegistryError, match=r"is another one's.*: give a table= of its own"):
        store.save("scope", "key", 0)


def test_a_table_that_was_dropped_is_made_again(server: Server, opened: Opened, table: str) -> None:
    store = opened()
    store.save("scope", "key", 0)
    server.run(f"DROP TABLE {table}")
    assert store.load("scope", "key") == (None, 0)
    assert store.save("scope", "key", 0, 0) == 1


def test_a_server_that_is_only_read_from_is_told(opened: Opened) -> None:
    opened().save("scope", "key", 0)
    store = opened(options="-c default_transaction_read_only=on")
    assert store.load("scope", "key") == (0, 1)
    with pytest.raises(PluginRegistryError, match="this server is only read from; target_session_attrs=read-write"):
        store.save("scope", "key", 1)


# --- servers that can't be reached


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"password": "wrong"}, "FATAL: password authentication failed for user .*; look at user and password"),
        ({"user": "nobody"}, "FATAL: password authentication failed for user .*; look at user and password"),
        ({"password": ""}, "no password supplied; conninfo names no password"),
        ({"dbname": "nope"}, 'FATAL: database "nope" does not exist; create the database, or correct dbname'),
        ({"host": "127.0.0.1", "port": 9}, "Connection refused; nobody answers there: look whether the server is up"),
        ({"host": "127.0.0.1,127.0.0.1", "port": "9,10"}, "port: '9', .*port: '10', .*; nobody answers there"),
        ({"host": "/nowhere"}, "No such file or directory; nobody answers there: look whether the server is up"),
        ({"host": "nosuch.invalid"}, "failed to resolve host .*; look at host in conninfo"),
        ({"host": "a..b"}, "UnicodeError: .*; look at host in conninfo"),
        ({"connect_timeout": "soon"}, "bad value for connect_timeout: 'soon'"),
        ({"sslmode": "perhaps"}, 'invalid sslmode value: "perhaps"'),
        ({"service": "nosuch"}, 'service "nosuch" not found'),
    ],
)
def test_what_is_wrong_with_a_connection_is_told(opened: Opened, table: str, given: dict[str, Any], told: str) -> None:
    store = opened(**given)
    for call in (lambda: store.save("s", "k", 0), lambda: store.load("s", "k"), lambda: store.list("s")):
        with pytest.raises(
            PluginRegistryError, match=rf"^checkpoints in the table {table} \(.*\): \w+: .*{told}"
        ) as error:
            call()
        assert "\n" not in str(error.value)
        assert "t0p" not in "".join(traceback.format_exception(error.value))


def test_a_host_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    """After our own limit, or the one that conninfo says."""

    def load(store: PostgresCheckpoints) -> None:
        with pytest.raises(PluginRegistryError, match="timeout expired; nobody answers there"):
            store.load("scope", "key")

    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as pool:
        address: dict[str, Any] = {"host": "127.0.0.1", "port": silent.getsockname()[1]}
        monkeypatch.setattr(checkpoints_postgres, "_UNLESS_SAID", {"connect_timeout": "2"})
        stores = [opened(**address)]
        monkeypatch.setattr(checkpoints_postgres, "_UNLESS_SAID", {"connect_timeout": "40"})
        stores.append(opened(**address, connect_timeout="2"))
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
        stores.append(opened(**address))
        list(pool.map(load, stores, timeout=20))


# --- what hosts give


@pytest.mark.parametrize(
    "conninfo",
    [
        "host=h password=t0p secret",
        "password='t0p",
        "hots=t0p",
        "t0p",
        "postgresql+psycopg://u:t0p@h/d",
        "postgresql://u:t0p",
        "postgresql://u:1234567",
        "postgresql://u:t0p@t0p@h/d",
        "postgresql://u:t0p/t0p@h/d",
        "postgresql://u:12/t0p@h/d",
        "postgres://u:%t0p@h/d",
        "host=u:t0p@h",
        "dbname=postgresql://u:t0p@h/d",
        "host=h port=t0p",
        "host=h password=t0p\0",
        "host=h password=t0p\ud800",
    ],
)
def test_a_conninfo_that_is_none_is_refused_and_not_shown(conninfo: str) -> None:
    with pytest.raises(ValueError, match=r"^conninfo is no connection string of PostgreSQL: ") as error:
        PostgresCheckpoints(conninfo)
    told = "".join(traceback.format_exception_only(error.value))
    assert "t0p" not in told
    assert "1234567" not in told
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize("conninfo", [None, 5, b"host=t0p", {"password": "t0p"}])
def test_a_conninfo_is_a_string(conninfo: Any) -> None:
    with pytest.raises(TypeError, match=f"^conninfo is a str, got {type(conninfo).__name__}$"):
        PostgresCheckpoints(conninfo)


@pytest.mark.parametrize(
    ("conninfo", "shown"),
    [
        ("", ""),
        (f"host=h user=u password='{PASSWORD[:3]}'", "host=h user=u"),
        (
            "postgresql://us%40er:t0p@h1:1,h2:2/d?sslpassword=t0p&sslmode=require",
            "host=h1,h2 port=1,2 dbname=d user=us@er",
        ),
        ("postgresql://h/d?host=/run/x&user=u&password=t0p&options=-c%20a%3Dt0p", "host=/run/x dbname=d user=u"),
        ("service=app host=@abstract", "service=app host=@abstract"),
    ],
)
def test_of_a_conninfo_no_secret_is_shown(conninfo: str, shown: str) -> None:
    assert repr(PostgresCheckpoints(conninfo)) == f"PostgresCheckpoints({shown!r}, table='dagstack_checkpoints')"


def test_an_address_with_what_is_escaped_connects(server: Server, opened: Opened, table: str) -> None:
    from urllib.parse import quote

    address = f"postgresql://postgres:{quote(PASSWORD, safe='')}@/postgres?host={quote(str(server.folder), safe='')}"
    store = PostgresCheckpoints(address, table=table)
    assert store.save("scope", "key", 0) == 1
    store.close()
    assert opened().load("scope", "key") == (0, 1)


def test_without_psycopg_the_error_says_what_to_install() -> None:
    program = (
        "import sys, json; sys.modules['psycopg'] = None\n"
        "import dagstack_plugins\n"
        "try:\n    dagstack_plugins.PostgresCheckpoints('')\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'dagstack-plugins[postgres]'" in json.loads(done.stdout)
