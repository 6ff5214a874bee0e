"""What every checkpoint store does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.checkpoints import CheckpointStore
from dagstack_plugins.conformance.expected import raised_by
from dagstack_plugins.errors import CheckpointConflict

_STATES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1.5,
    "",
    "naïve 世界 \x00 \u2028",
    [],
    {},
    {"a": [1, {"b": None}], "": "no name"},
    [[[[[]]]]],
    2**53,
    "x" * 1_000_000,
)
_TEXTS: Final = ("", "a", "A", "a/b", "../a", "a b", "é", "e\u0301", "%", "_", "'; DROP TABLE states; --", "x" * 500)


class CheckpointStoreConformance:
    """Subclass it in a test module, named ``Test…``, and say how a store is made; pytest runs the rest.

    Examples:
        >>> from dagstack_plugins import FileCheckpoints
        >>> class TestFileCheckpoints(CheckpointStoreConformance):
        ...     def make_store(self, folder):
        ...         return FileCheckpoints(folder / "checkpoints")

    .. versionadded:: 0.1
    """

    def make_store(self, folder: Path) -> CheckpointStore:
        """A store, for each test; called again with the same folder, it is the same states that are opened anew.

        Args:
            folder: an empty folder of the test's own, of which each store may make what it likes: a place, a name.
        """
        raise NotImplementedError("say how a store is made: def make_store(self, folder)")

    is_kept: bool = True
    """Whether states outlive the store that saved them; false for those in memory."""

    def test_a_key_never_saved_has_version_0(self, tmp_path: Path) -> None:
        """Nothing was saved, so nothing is there."""
        store = self.make_store(tmp_path)
        assert isinstance(store, CheckpointStore)
        assert store.load("scope", "key") == (None, 0)
        assert store.list("scope") == []

    def test_what_is_saved_is_read_at_once(self, tmp_path: Path) -> None:
        """Read after write, whatever the state, and versions that count up by one."""
        store = self.make_store(tmp_path)
        for version, state in enumerate(_STATES, 1):
            assert store.save("scope", "key", state) == version
            assert store.load("scope", "key") == (state, version)

    def test_another_store_of_the_same_place_reads_it(self, tmp_path: Path) -> None:
        """Read after write, for whoever looks next."""
        if not self.is_kept:
            return
        self.make_store(tmp_path).save("scope", "key", {"row": 7})
        other = self.make_store(tmp_path)
        assert other.load("scope", "key") == ({"row": 7}, 1)
        assert other.save("scope", "key", {"row": 8}) == 2

    def test_scopes_and_keys_are_any_text(self, tmp_path: Path) -> None:
        """None of them is taken for another, and none has a meaning."""
        store = self.make_store(tmp_path)
        places = [(scope, key) for scope in _TEXTS for key in _TEXTS]
        for number, (scope, key) in enumerate(places):
            assert store.save(scope, key, number) == 1
        for number, (scope, key) in enumerate(places):
            assert store.load(scope, key) == (number, 1)
        for scope in _TEXTS:
            assert list(store.list(scope)) == sorted(_TEXTS)
            assert list(store.list(scope, "a")) == sorted(text for text in _TEXTS if text.startswith("a"))

    def test_a_state_is_a_copy(self, tmp_path: Path) -> None:
        """What the caller does with it afterwards changes nothing."""
        store = self.make_store(tmp_path)
        state = {"rows": [1]}
        store.save("scope", "key", state)
        state["rows"].append(2)
        loaded, _ = store.load("scope", "key")
        assert loaded == {"rows": [1]}
        loaded["rows"].append(3)
        assert store.load("scope", "key") == ({"rows": [1]}, 1)

    def test_a_state_is_saved_only_over_the_version_expected(self, tmp_path: Path) -> None:
        """Compare and swap: who comes too late changes nothing, and is told what is there."""
        store = self.make_store(tmp_path)
        assert store.save("scope", "key", "first", 0) == 1
        for expected in (0, 2):
            told = f"version 1 was there, {expected} was expected, and it was saved all the same"
            conflict = raised_by(told, CheckpointConflict, store.save, "scope", "key", "wrong", expected)
            assert (conflict.expected, conflict.found) == (expected, 1)
            assert store.load("scope", "key") == ("first", 1)
        assert store.save("scope", "key", "second", 1) == 2

    def test_of_many_who_go_on_from_one_version_one_does(self, tmp_path: Path) -> None:
        """Compare and swap, by threads at once, each with a store of its own where states are kept."""
        shared = self.make_store(tmp_path)
        together = threading.Barrier(4)

        def go_on(thread: int) -> int:
            store = self.make_store(tmp_path) if self.is_kept else shared
            done = 0
            together.wait(20)
            for version in range(20):
                try:
                    store.save("scope", "key", [thread, version], version)
                    done += 1
                except CheckpointConflict:
                    pass
            return done

        with ThreadPoolExecutor(4) as pool:
            done = sum(pool.map(go_on, range(4)))
        assert done == shared.load("scope", "key")[1] >= 1

    def test_what_is_no_json_is_refused_and_nothing_is_lost(self, tmp_path: Path) -> None:
        """The state before is still there."""
        store = self.make_store(tmp_path)
        store.save("scope", "key", "before")
        for state in ({1, 2}, float("nan"), {"a": object()}):
            told = f"{state!r} is no JSON, and it was saved"
            raised_by(told, (TypeError, ValueError), store.save, "scope", "key", state)
            assert store.load("scope", "key") == ("before", 1)
