"""What is shipped fits its protocol: for mypy, which reads this file in CI, and at run time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    BlobStore,
    Clock,
    DeterministicRng,
    DirectoryResource,
    FileBlobStore,
    FrozenClock,
    HttpClient,
    HttpResponse,
    HttpxClient,
    InMemoryBlobStore,
    PluginContext,
    RandomRng,
    ResourceRegistry,
    Rng,
    S3BlobStore,
    ScopedTempDir,
    StubHttpClient,
    SystemClock,
    TempDir,
)


@pytest.fixture
def tmpdir_resource() -> Iterator[ScopedTempDir]:
    made = ScopedTempDir()
    yield made
    made.close()


def test_each_part_fits_its_protocol(tmp_path: Path, tmpdir_resource: ScopedTempDir) -> None:
    clocks: list[Clock] = [SystemClock(), FrozenClock()]
    rngs: list[Rng] = [RandomRng(), DeterministicRng(seed=1)]
    clients: list[HttpClient] = [HttpxClient(), StubHttpClient()]
    file_store = FileBlobStore(tmp_path / "blobs")
    s3_store = S3BlobStore("bucket", region="r", access_key_id="a", secret_access_key="b")
    stores: list[BlobStore] = [InMemoryBlobStore(), file_store, s3_store]
    folders: list[TempDir] = [tmpdir_resource, DirectoryResource(tmp_path)]
    fits: list[tuple[Any, Any]] = [(Clock, clocks), (Rng, rngs), (HttpClient, clients), (BlobStore, stores)]
    for protocol, parts in [*fits, (TempDir, folders)]:
        for part in parts:
            assert isinstance(part, protocol)
            others = {Clock, Rng, HttpClient, BlobStore} - {protocol}
            assert not any(isinstance(part, other) for other in others)
    file_store.close()


def test_what_lacks_something_does_not_fit() -> None:
    class HalfAClock:
        def now(self) -> str:
            return "now"

    class SyncStore:
        def get(self, key: str) -> bytes:
            return b""

    clock: Clock = HalfAClock()  # type: ignore[assignment]
    store: BlobStore = SyncStore()  # type: ignore[assignment]
    assert not isinstance(clock, Clock)
    assert not isinstance(store, BlobStore)


class Page:
    """A plugin as its author types it."""

    def setup(self, ctx: PluginContext) -> None:
        self.http: HttpClient = ctx.resources.http_client
        self.blobs: BlobStore = ctx.resources.blob_store

    async def fetch(self, url: str) -> int:
        answer: HttpResponse = await self.http.get(url, headers={"accept": "text/plain"})
        await self.blobs.put("page", answer.text().encode(), content_type="text/plain")
        kept: list[str] = await self.blobs.list()
        length: int = len(await self.blobs.get(kept[0]))
        return length


def test_a_plugin_typed_by_protocols_runs(
    plugin_context: PluginContext, stub_http: StubHttpClient, plugin_resources: ResourceRegistry
) -> None:
    stub_http.on("GET", "https://a/", text="hello")
    page = Page()
    page.setup(plugin_context)
    assert asyncio.run(page.fetch("https://a/")) == 5
    name: str = plugin_resources.names()[0]
    assert name == "blob_store"
