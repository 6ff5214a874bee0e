"""The stores without a server do what every store has to do; and the suite finds those that don't."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from functools import cache
from typing import Any

import pytest

from dagstack_plugins import FileBlobStore, InMemoryBlobStore
from dagstack_plugins.contract import blob_store_suite


@cache
def shared_folder() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    return folder


TestInMemoryBlobStore = blob_store_suite(InMemoryBlobStore)
TestFileBlobStore = blob_store_suite(lambda: FileBlobStore(shared_folder()))


class Forgetful(InMemoryBlobStore):
    async def get(self, key: str) -> bytes:
        return (await super().get(key))[:1000]


class Unsorted(InMemoryBlobStore):
    async def list(self, prefix: str = "") -> Any:
        return (await super().list(prefix))[::-1]


class BySegments(InMemoryBlobStore):
    async def list(self, prefix: str = "") -> Any:
        whole = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        return [key for key in await super().list() if key.startswith(whole)]


class AllInOneCase(InMemoryBlobStore):
    async def put(self, key: str, data: Any, *, content_type: str | None = None) -> None:
        await super().put(key.lower(), data, content_type=content_type)


class Lenient(InMemoryBlobStore):
    async def put(self, key: str, data: Any, *, content_type: str | None = None) -> None:
        if not key.startswith("/"):
            await super().put(key, data, content_type=content_type)


class Untyped(InMemoryBlobStore):
    async def put(self, key: str, data: Any, *, content_type: str | None = None) -> None:
        await super().put(key, data)


class InPieces(InMemoryBlobStore):
    async def put(self, key: str, data: Any, *, content_type: str | None = None) -> None:
        if isinstance(data, bytes) and len(data) > 1000:
            await super().put(key, data[:1000])
            await asyncio.sleep(0)
        await super().put(key, data, content_type=content_type)


class NoneForMissing(InMemoryBlobStore):
    async def get(self, key: str) -> Any:
        return await super().get(key) if await self.exists(key) else None


class ClosedOnce(InMemoryBlobStore):
    closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class RaisesKeyError(InMemoryBlobStore):
    async def get(self, key: str) -> bytes:
        if not await self.exists(key):
            raise KeyError(key)
        return await super().get(key)


class StrictDelete(InMemoryBlobStore):
    async def delete(self, key: str) -> None:
        await self.get(key)
        await super().delete(key)


class Sync(InMemoryBlobStore):
    def list(self, prefix: str = "") -> Any:
        return []


SHARED: dict[str, Any] = {}


class ListsItsOwnOnly(InMemoryBlobStore):
    """Where others read what it put, it does not see what they put."""

    async def get(self, key: str) -> bytes:
        return SHARED[key] if key in SHARED else await super().get(key)

    async def exists(self, key: str) -> bool:
        return key in SHARED

    async def put(self, key: str, data: Any, *, content_type: str | None = None) -> None:
        await super().put(key, data)
        SHARED[key] = bytes(data)

    async def delete(self, key: str) -> None:
        SHARED.pop(key, None)
        await super().delete(key)


class NoExists(InMemoryBlobStore):
    exists = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("store", "test", "message"),
    [
        (Forgetful, "test_blobs_may_be_empty_or_large", "came back changed"),
        (Unsorted, "test_many_keys_are_listed_in_order", "the keys of many blobs are not sorted"),
        (
            BySegments,
            "test_a_prefix_is_the_beginning_of_a_text",
            "the keys with the prefix 'a': 2 missing",
        ),
        (RaisesKeyError, "test_a_missing_key_is_not_found", r"expected BlobNotFound\(key\), got KeyError"),
        (StrictDelete, "test_what_was_deleted_is_gone", r"delete\(\) of a missing key raised .*is to be silent"),
        (Sync, "test_what_was_put_can_be_got", r"list\(\) gave nothing to await: write `async def list`"),
        (NoExists, "test_what_was_put_can_be_got", r"has no method exists\(\)"),
        (
            AllInOneCase,
            "test_every_lawful_key_is_a_key",
            "the keys: 2 missing, .'A', 'C:colon'.; 1 too many",
        ),
        (
            Lenient,
            "test_every_other_key_is_refused",
            "a key with a root, '/etc/passwd': expected ValueError, got no error",
        ),
        (Untyped, "test_content_types_are_kept", "the content type: found None"),
        (InPieces, "test_one_key_has_one_writers_bytes", "a mixture"),
        (NoneForMissing, "test_a_missing_key_is_not_found", "raised nothing"),
        (ListsItsOwnOnly, "test_another_one_sees_the_same", "the keys after another store put one: 1 missing"),
        (ClosedOnce, "test_closing_twice_does_no_harm", "assert not True"),
    ],
)
def test_the_suite_finds_a_store_that_does_otherwise(store: Any, test: str, message: str) -> None:
    suite = blob_store_suite(store, largest=2**17)
    with pytest.raises(AssertionError, match=message) as caught:
        getattr(suite(), test)()
    assert str(caught.value.__notes__[0]).startswith("the rule: ")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("given", [InMemoryBlobStore(), FileBlobStore, "store"])
def test_what_opens_no_store_is_refused_at_once(given: Any) -> None:
    with pytest.raises(TypeError, match=r"without arguments, got .*: write blob_store_suite\(lambda: MyStore\(…\)\)"):
        blob_store_suite(given)


def test_a_store_may_be_opened_in_every_way() -> None:
    opened: list[str] = []

    class Async:
        async def __aenter__(self) -> InMemoryBlobStore:
            opened.append("async with")
            return InMemoryBlobStore()

        async def __aexit__(self, *error: object) -> None:
            opened.append("closed")

    blob_store_suite(Async)().test_what_was_put_can_be_got()  # type: ignore[arg-type, attr-defined]
    assert opened == ["async with", "closed"]


def test_what_a_test_put_is_deleted_after_it() -> None:
    shared = InMemoryBlobStore()
    asyncio.run(shared.put("mine", b"1"))
    suite: Any = blob_store_suite(lambda: shared)
    suite().test_every_lawful_key_is_a_key()
    assert asyncio.run(shared.list()) == ["mine"]
