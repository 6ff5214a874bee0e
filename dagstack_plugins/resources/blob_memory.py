"""A ``blob_store`` in memory, for tests and development."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagstack_plugins.resources.blob_store import (
    BlobNotFound,
    check_content_type,
    check_key,
    check_prefix,
    checked_data,
)

if TYPE_CHECKING:
    from dagstack_plugins.resources.protocols import Keys


class InMemoryBlobStore:
    """Blobs in a dictionary, for tests and development.

    Examples:
        >>> import asyncio
        >>> async def main():
        ...     store = InMemoryBlobStore()
        ...     await store.put("pages/1", b"one")
        ...     return await store.list("pages/"), await store.get("pages/1")
        >>> asyncio.run(main())
        (['pages/1'], b'one')

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        # Each method does one dictionary operation, and those are atomic: threads need no lock.
        self._blobs: dict[str, tuple[bytes, str | None]] = {}

    async def put(self, key: str, data: bytes | bytearray | memoryview, *, content_type: str | None = None) -> None:
        """Store a copy of ``data``, in place of what was there.

        Args:
            key: where; ``check_key`` tells the rules.
            data: the bytes.
            content_type: their MIME type, which ``content_type`` tells.

        Raises:
            TypeError: ``data`` is not bytes.
            ValueError: ``key`` or ``content_type`` breaks a rule.
        """
        check_key(key)
        check_content_type(content_type)
        self._blobs[key] = checked_data(data), content_type

    async def get(self, key: str) -> bytes:
        """What is stored under ``key``.

        Raises:
            BlobNotFound: nothing is.
            ValueError: ``key`` breaks a rule.
        """
        return self._find(key)[0]

    async def delete(self, key: str) -> None:
        """Forget what is stored under ``key``; silent if nothing is.

        Raises:
            ValueError: ``key`` breaks a rule.
        """
        check_key(key)
        self._blobs.pop(key, None)

    async def list(self, prefix: str = "") -> Keys:
        """The keys that start with the string ``prefix``, sorted."""
        check_prefix(prefix)
        return sorted(key for key in tuple(self._blobs) if key.startswith(prefix))

    async def exists(self, key: str) -> bool:
        """Whether something is stored under ``key``.

        Raises:
            ValueError: ``key`` breaks a rule.
        """
        check_key(key)
        return key in self._blobs

    async def content_type(self, key: str) -> str | None:
        """The content type that came with the blob, ``None`` if none did.

        Raises:
            BlobNotFound: nothing is stored under ``key``.
            ValueError: ``key`` breaks a rule.
        """
        return self._find(key)[1]

    def _find(self, key: str) -> tuple[bytes, str | None]:
        check_key(key)
        try:
            return self._blobs[key]
        except KeyError:
            raise BlobNotFound(key) from None

    def for_worker(self, _worker: str) -> object:
        """Refuse to go to a worker process: what is put there would not be here, and the other way round.

        Raises:
            TypeError: always.
        """
        raise TypeError("blobs in memory can't be shared with a worker process; lend it a FileBlobStore")

    def __repr__(self) -> str:
        return f"<InMemoryBlobStore with {len(self._blobs)} blobs>"


MemoryBlobStore = InMemoryBlobStore
