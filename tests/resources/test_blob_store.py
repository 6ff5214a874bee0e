from __future__ import annotations

import asyncio
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from dagstack_plugins import BlobNotFound, BlobStore, InMemoryBlobStore, MemoryBlobStore
from dagstack_plugins.resources.blob_store import check_key

GOOD = [
    "a",
    "a/b",
    "a/b/c.txt",
    "ä/漢字",
    "back\\slash",
    "..\\x",
    "...",
    ".hidden",
    "a b",
    "x" * 1024,
    "é" * 512,
    "a\u2028b",
]
BAD = {
    "": "''",
    "/a": "starts with '/'",
    "a/": "''",
    "a//b": "''",
    ".": r"'\.'",
    "..": r"'\.\.'",
    "a/./b": r"'\.'",
    "a/../b": r"'\.\.'",
    "a\nb": "character at 1 is a control character",
    "a\x00": "character at 1 is a control character",
    "\x85": "character at 0 is a control character",
    "x" * 1025: "1,025 bytes",
    "é" * 513: "1,026 bytes",
    "a\ud800": "surrogate",
}


@pytest.mark.parametrize("key", GOOD)
def test_good_keys(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", BAD, ids=ascii)
def test_bad_keys_are_refused_with_the_reason(key: str) -> None:
    with pytest.raises(ValueError, match=BAD[key]) as caught:
        check_key(key)
    assert len(str(caught.value)) < 300


def test_a_key_that_is_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="a blob key is a str, got bytes"):
        check_key(b"a")  # type: ignore[arg-type]


@given(st.text(st.sampled_from("a./\\\n\x7f é"), max_size=8))
def test_the_rules_said_another_way(key: str) -> None:
    """A key is what splits into segments that all are names, none of them holding a control character."""
    lawful = all(segment not in ("", ".", "..") and segment.isprintable() for segment in key.split("/"))
    try:
        check_key(key)
    except ValueError:
        assert not lawful
    else:
        assert lawful


async def test_every_method_holds_to_the_rules() -> None:
    store = InMemoryBlobStore()
    for call in (store.put("../a", b""), store.get("../a"), store.delete("../a"), store.exists("../a")):
        with pytest.raises(ValueError, match="not a blob key"):
            await call


def test_both_names_are_one_store() -> None:
    assert MemoryBlobStore is InMemoryBlobStore
    assert isinstance(InMemoryBlobStore(), BlobStore)


async def test_a_missing_key_is_told_readably() -> None:
    store = InMemoryBlobStore()
    with pytest.raises(KeyError) as caught:
        await store.get("a/b")
    assert isinstance(caught.value, BlobNotFound)
    assert caught.value.key == "a/b"
    assert str(caught.value).startswith("no blob is stored under the key 'a/b'")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


async def test_deleting_what_is_not_there_is_silent() -> None:
    await InMemoryBlobStore().delete("a")


async def test_a_key_and_keys_below_it_live_side_by_side() -> None:
    store = InMemoryBlobStore()
    await store.put("a", b"1")
    await store.put("a/b", b"2")
    assert await store.list() == ["a", "a/b"]
    await store.delete("a")
    assert await store.get("a/b") == b"2"


async def test_the_store_keeps_a_copy() -> None:
    store, data = InMemoryBlobStore(), bytearray(b"abc")
    await store.put("a", data)
    data[0] = 0
    assert await store.get("a") == b"abc"


@pytest.mark.parametrize("data", ["text", 5, None, [1]])
async def test_only_bytes_are_blobs(data: object) -> None:
    store = InMemoryBlobStore()
    with pytest.raises(TypeError, match="a blob is bytes"):
        await store.put("a", data)  # type: ignore[arg-type]
    assert not await store.exists("a")


async def test_the_content_type_can_be_asserted() -> None:
    store = InMemoryBlobStore()
    await store.put("a", b"", content_type="image/png")
    assert await store.content_type("a") == "image/png"
    await store.put("a", b"")
    assert await store.content_type("a") is None
    with pytest.raises(BlobNotFound):
        await store.content_type("b")


async def test_many_threads_at_once() -> None:
    store = InMemoryBlobStore()

    def work(worker: int) -> None:
        async def steps() -> None:
            for number in range(50):
                await store.put(f"{worker}/{number}", b"x")
                assert len(await store.list(f"{worker}/")) == number + 1

        asyncio.run(steps())

    await asyncio.gather(*(asyncio.to_thread(work, worker) for worker in range(8)))
    assert len(await store.list()) == 400


KEYS = st.lists(st.sampled_from(["a", "b", "ab", "ä", "..."]), min_size=1, max_size=3).map("/".join)


class BlobsAreADictionary(RuleBasedStateMachine):
    """Whatever is done to a store, it answers like a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.store = InMemoryBlobStore()
        self.model: dict[str, bytes] = {}

    @rule(key=KEYS, data=st.binary())
    def put(self, key: str, data: bytes) -> None:
        asyncio.run(self.store.put(key, data))
        self.model[key] = data

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        asyncio.run(self.store.delete(key))
        self.model.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert asyncio.run(self.store.exists(key)) == (key in self.model)
        if key in self.model:
            assert asyncio.run(self.store.get(key)) == self.model[key]
        else:
            with pytest.raises(BlobNotFound):
                asyncio.run(self.store.get(key))

    @rule(prefix=KEYS | st.sampled_from(["", "a/", "/"]))
    def list(self, prefix: str) -> None:
        assert asyncio.run(self.store.list(prefix)) == sorted(key for key in self.model if key.startswith(prefix))


TestBlobsAreADictionary = BlobsAreADictionary.TestCase
