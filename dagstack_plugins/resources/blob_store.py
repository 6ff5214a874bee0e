"""The resource ``blob_store``: what its keys and values may be, and what goes wrong with it."""

from __future__ import annotations

import re
from typing import Final

from dagstack_plugins.wording import shown

MAX_KEY_BYTES: Final = 1024

_CONTENT_TYPE: Final = re.compile(r"(?! )[\x20-\x7e]{1,255}(?<! )")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # exactly Unicode's category Cc


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


class BlobStoreError(OSError):
    """A store could not do what it was asked: it is full, out of reach, or refuses.

    A change was not made, unless the message says otherwise, or a server's answer was lost, which may have made it.
    What went wrong below is the ``__cause__``; its ``errno``, if it has one, is this error's too.

    .. versionadded:: 0.1
    """

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno

    def __reduce__(self) -> tuple[type[BlobStoreError], tuple[str, int | None]]:
        return type(self), (str(self), self.errno)


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


def checked_data(data: bytes | bytearray | memoryview) -> bytes:
    """The bytes of a blob, as they are now; a caller who changes its buffer later does not change the blob.

    Raises:
        TypeError: it is not bytes.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a blob is bytes, got {type(data).__name__}: encode it first, as in text.encode()")
    return bytes(data)


def check_content_type(content_type: str | None) -> None:
    """Refuse what no store could keep: a content type is ``None``, or up to 255 printable ASCII characters.

    Raises:
        TypeError: it is not a string.
        ValueError: it has other characters, too many, or a space at either end.
    """
    if content_type is None:
        return
    if not isinstance(content_type, str):
        raise TypeError(f"a content type is a str, got {type(content_type).__name__}: {shown(content_type)}")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValueError(
            f"{shown(content_type)} is not a content type: give up to 255 printable ASCII characters, as 'text/plain'"
        )


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is no string; any string is one, though no key may begin with it.

    Raises:
        TypeError: it is not a string.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix of keys is a str, got {type(prefix).__name__}: {shown(prefix)}")
