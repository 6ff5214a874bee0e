"""The resource ``blob_store``: what a key may be, and a store in memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagstack_plugins.resources.protocols import Keys

MAX_KEY_BYTES = 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # exactly Unicode's category Cc


class BlobNotFound(KeyError):
    """Nothing is stored under a key.

    Args:
        key: the key that was asked for.

    .. versionadded:: 0.1
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:  # KeyError would show the bare repr of the key
        return f"no blob is stored under the key {self.key!r}: put() it first, or ask exists()"


def check_key(key: str) -> None:
    """Refuse what is not a blob key; every store holds to the same rules, so that a plugin can move between them.

    A key has up to 1,024 bytes in UTF-8, no control characters, and no empty, ``.`` or ``..`` segments between its
    slashes (so it neither starts nor ends with one). A backslash is a letter like any other.

    Args:
        key: what was given as a key.

    Raises:
        TypeError: it is not a string.
        ValueError: it breaks a rule; the message says which.
    """
    if not isinstance(key, str):
        raise TypeError(f"a blob key is a str, got {type(key).__name__}: {key!r}")
    if fault := _fault_of(key):
        raise ValueError(f"{key if len(key) <= 80 else key[:80] + '…'!r} is not a blob key: {fault}")


def _fault_of(key: str) -> str | None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        return f"the character at {error.start} is half of a surrogate pair and has no UTF-8 form"
    if size > MAX_KEY_BYTES:
        return f"it has {size:,} bytes in UTF-8, {MAX_KEY_BYTES:,} are the most"
    if control := _CONTROL.search(key):
        return f"the character at {control.start()} is a control character ({control[0]!r})"
    if key.startswith("/"):
        return "it starts with '/'; keys have no root, leave the slash out"
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            return f"{segment!r} cannot be a segment between slashes"
    return None


class InMemoryBlobStore:
    """Blobs in a dictionary, for tests and development.

    Example:
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
            content_type: their MIME type, for ``content_type()``.

        Raises:
            TypeError: ``data`` is not bytes.
            ValueError: ``key`` breaks a rule.
        """
        check_key(key)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a blob is bytes, got {type(data).__name__}: encode it first, as in text.encode()")
        self._blobs[key] = bytes(data), content_type

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
        return sorted(key for key in tuple(self._blobs) if key.startswith(prefix))

    async def exists(self, key: str) -> bool:
        """Whether something is stored under ``key``.

        Raises:
            ValueError: ``key`` breaks a rule.
        """
        check_key(key)
        return key in self._blobs

    def content_type(self, key: str) -> str | None:
        """The MIME type that came with the blob, for assertions in tests.

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

    def __repr__(self) -> str:
        return f"<InMemoryBlobStore with {len(self._blobs)} blobs>"


MemoryBlobStore = InMemoryBlobStore
