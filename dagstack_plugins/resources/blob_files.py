"""A ``blob_store`` in a folder: each blob is a file, there as a whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dagstack_plugins.durable import make_folder, move, remove, sync_folder, write
from dagstack_plugins.resources.blob_names import digest_of, keys_below, keys_of_digests, name_of
from dagstack_plugins.resources.blob_store import (
    BlobNotFound,
    BlobStoreError,
    check_content_type,
    check_key,
    check_prefix,
    checked_data,
)
from dagstack_plugins.resources.leases import Lease, living
from dagstack_plugins.wording import shown

if TYPE_CHECKING:
    from dagstack_plugins.resources.protocols import Keys

T = TypeVar("T")

_MAGIC: Final = b"dagstack blob 1 "
_PART: Final = ".part"
_REMEMBERED: Final = 10_000
"""Folders that are known to be on the disk."""


class FileBlobStore:
    """Blobs in the files of a folder.

    A blob is written to a file of its own, which takes the place of the old one once all of it has reached the disk:
    whoever is killed, and whenever, a key has its old bytes or its new ones. When ``put`` and ``delete`` are done,
    what they did outlasts a power cut (where folders can be synchronised, so not on Windows).

    Several stores may be open on one folder, in any number of threads and processes. A store that is opened sweeps up
    what the writers left behind that are no longer alive.

    Files are named after their keys; each begins with a line that tells the content type. All that touches the disk
    runs in the event loop's threads.

    Examples:
        >>> import asyncio, tempfile
        >>> async def main(folder):
        ...     store = FileBlobStore(folder)
        ...     await store.put("pages/1", b"one", content_type="text/plain")
        ...     found = await store.list("pages/"), await store.get("pages/1"), await store.content_type("pages/1")
        ...     store.close()
        ...     return found
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        (['pages/1'], b'one', 'text/plain')

    Args:
        root: the folder; made if it is missing. ``~`` is the home folder.

    Attributes:
        root: the same, absolute.

    Raises:
        BlobStoreError: the folder can't be made, or not be written to.
        ValueError: ``root`` is no path.

    .. versionadded:: 0.1
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = _root(root)
        self._named = self.root / "keys"
        self._long = self.root / "long"
        self._parts = self.root / "writing"
        self._numbers = itertools.count()
        self._settled: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._under_way = 0
        self._closed = False
        try:
            for folder in (self._named, self._long, self._parts):
                make_folder(folder)
            sync_folder(self.root)  # whoever made what is in it
            self._lease = Lease(self._parts)
            self._sweep()
        except (OSError, ValueError) as error:
            raise BlobStoreError(
                f"the blob store {self.root} can't be opened: {_told(error)}; its root is a folder that is there, or "
                "can be made, and that this user may write to",
                getattr(error, "errno", None),
            ) from error

    async def put(self, key: str, data: bytes | bytearray | memoryview, *, content_type: str | None = None) -> None:
        """Store ``data``, in place of what was there.

        If the caller gives up before all is written, nothing is changed.

        Args:
            key: where; ``check_key`` tells the rules.
            data: the bytes.
            content_type: their MIME type, which ``content_type`` tells.

        Raises:
            TypeError: ``data`` is not bytes.
            ValueError: ``key`` or ``content_type`` breaks a rule.
            BlobStoreError: the disk is full, or refuses; what was there is still there.
        """
        check_key(key)
        check_content_type(content_type)
        data = checked_data(data)
        with self._writing() as lease:
            turn = _Turn()
            await _in_thread(lambda: self._put(key, data, content_type, turn, lease), turn)

    async def get(self, key: str) -> bytes:
        """What is stored under ``key``.

        Raises:
            BlobNotFound: nothing is.
            ValueError: ``key`` breaks a rule.
            BlobStoreError: it can't be read.
        """
        check_key(key)
        return (await _in_thread(lambda: self._read(key)))[1]

    async def content_type(self, key: str) -> str | None:
        """The content type that came with the blob, ``None`` if none did; raises as ``get`` does."""
        check_key(key)
        told: str | None = (await _in_thread(lambda: self._read(key, head_only=True)))[0].get("content_type")
        return told

    async def delete(self, key: str) -> None:
        """Forget what is stored under ``key``; silent if nothing is.

        If the caller gives up before that is done, nothing is changed.

        Raises:
            ValueError: ``key`` breaks a rule.
            BlobStoreError: the disk refuses.
        """
        check_key(key)
        with self._writing():
            turn = _Turn()
            await _in_thread(lambda: self._delete(key, turn), turn)

    async def list(self, prefix: str = "") -> Keys:
        """The keys that start with the string ``prefix``, sorted.

        A key that is there all the while is listed once, whatever is written and deleted meanwhile.

        Raises:
            BlobStoreError: the folder can't be read.
        """
        check_prefix(prefix)
        return await _in_thread(lambda: self._list(prefix))

    async def exists(self, key: str) -> bool:
        """Whether something is stored under ``key``.

        Raises:
            ValueError: ``key`` breaks a rule.
            BlobStoreError: it can't be looked for.
        """
        check_key(key)
        return await _in_thread(lambda: self._exists(key))

    def close(self) -> None:
        """Write no more, but for what is under way; does nothing the second time. Reading goes on."""
        with self._lock:
            self._closed = True
            if not self._under_way:
                self._lease.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Lease]:
        """Keep the lease while a file is written under its name, though the store be closed meanwhile."""
        with self._lock:
            if self._closed:
                raise BlobStoreError(f"the blob store {self.root} is closed: put() and delete() come before close()")
            if self._lease.owner != os.getpid():  # of the process that this was forked from, which may end first
                with self._failing(f"nothing can be written to {self.root}"):
                    self._lease, self._under_way = Lease(self._parts), 0
            self._under_way += 1
            lease = self._lease
        try:
            yield lease
        finally:
            with self._lock:
                self._under_way -= 1
                if self._closed and not self._under_way:
                    lease.close()

    def _put(self, key: str, data: bytes, content_type: str | None, turn: _Turn, lease: Lease) -> None:
        if turn.over:  # its caller gave up while it was queued
            return
        file = self._file(key)
        part = f"{self._parts}/{lease.name}-{next(self._numbers)}{_PART}"
        with self._failing(f"the blob {key!r} was not stored in {self.root}"):
            try:
                write(part, _head(content_type, key if name_of(key) is None else None), data)
                if not turn.take():
                    return
                move(part, file)
            finally:
                with contextlib.suppress(FileNotFoundError):  # it was moved
                    os.unlink(part)
        with self._failing(f"the blob {key!r} was stored in {self.root}, but may not outlast a power cut"):
            sync_folder(os.path.dirname(file))
            self._settle(os.path.dirname(file))

    def _settle(self, folder: str) -> None:
        """Bring the folders that lead to a file to the disk, whoever made them and has not come to that yet.

        Those that were brought there are remembered, by path and number: doing it again would take as long as writing
        the file.
        """
        new = []
        while folder not in (str(self._named), str(self._long)):
            try:
                known = folder, os.stat(folder).st_ino
            except FileNotFoundError:  # deleted since
                return
            if known in self._settled:
                break
            new.append(known)
            folder = os.path.dirname(folder)
            sync_folder(folder)
        if len(self._settled) > _REMEMBERED:
            self._settled.clear()
        self._settled.update(new)

    def _read(self, key: str, *, head_only: bool = False) -> tuple[dict[str, Any], bytes]:
        name = self._file(key)
        with self._failing(f"the blob {key!r} can't be read from {self.root}"):
            try:
                with open(name, "rb") as file:
                    return _parsed(file.readline(), name), b"" if head_only else file.read()
            except FileNotFoundError:
                raise BlobNotFound(key) from None

    def _exists(self, key: str) -> bool:
        with self._failing(f"the blob {key!r} can't be looked for in {self.root}"):
            try:
                os.stat(self._file(key))
            except FileNotFoundError:
                return False
        return True

    def _delete(self, key: str, turn: _Turn) -> None:
        if not turn.take():
            return
        file = self._file(key)
        folder = os.path.dirname(file)
        with (
            self._failing(f"the blob {key!r} was not deleted from {self.root}"),
            contextlib.suppress(FileNotFoundError),
        ):
            remove(file)
        with self._failing(f"the blob {key!r} was deleted from {self.root}, but may come back after a power cut"):
            sync_folder(folder)  # also where another one has just deleted it
        with contextlib.suppress(OSError):  # something else is in it
            while folder not in (str(self._named), str(self._long)):
                self._settled.discard((folder, os.stat(folder).st_ino))  # the next one may get its number
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def _list(self, prefix: str) -> Keys:
        with self._failing(f"the keys of {self.root} can't be listed"):
            found = {key for key in keys_below(self._named, prefix) if key.startswith(prefix)}
            return sorted(found | {key for key in self._long_keys() if key.startswith(prefix)})

    def _long_keys(self) -> Iterator[str]:
        """Keys too long for the name of a file stand in the first line of their files."""
        for file in keys_of_digests(self._long):
            with contextlib.suppress(FileNotFoundError), file.open("rb") as blob:
                key = _parsed(blob.readline(), file).get("key")
                if isinstance(key, str) and digest_of(key) == file.name:
                    yield key

    def _file(self, key: str) -> str:
        # Texts, as a Path takes longer to make than a small file to write.
        name = name_of(key)
        return f"{self._long}/{digest_of(key)}" if name is None else f"{self._named}/{name}"

    def _sweep(self) -> None:
        # Parts first: whoever began one of these had a lease by then.
        parts = list(self._parts.glob(f"*{_PART}"))
        alive = living(self._parts)
        for part in parts:
            if part.name.partition("-")[0] not in alive:
                part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except BlobStoreError:
            raise
        except OSError as error:
            raise BlobStoreError(f"{what}: {_told(error)}", error.errno) from error

    def __reduce__(self) -> tuple[type[FileBlobStore], tuple[str]]:
        # A copy in another process opens the same folder.
        return FileBlobStore, (str(self.root),)

    def __repr__(self) -> str:
        return f"FileBlobStore({str(self.root)!r})"


def _root(given: str | os.PathLike[str]) -> Path:
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ValueError(f"FileBlobStore(root={shown(given)}): give the path of a folder")
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError as error:  # nobody's home
        raise BlobStoreError(f"the blob store {given} can't be opened: {error}") from error


class _Turn:
    """The moment in which a change is made: taken by the thread that makes it, or by the caller that gives up."""

    def __init__(self) -> None:
        self._free = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether one of them took it."""
        return self._free.locked()

    def take(self) -> bool:
        """Take it, unless the other one did."""
        return self._free.acquire(blocking=False)


async def _in_thread(work: Callable[[], T], turn: _Turn | None = None) -> T:
    """Run what touches the disk without holding up the event loop."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else looks at it
        if turn is not None and not turn.take():
            # The change is being made: later ones must come after it, so this waits, however often it is cancelled.
            while not done.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([done])
        raise


def _head(content_type: str | None, key: str | None) -> bytes:
    told = {"content_type": content_type} | ({} if key is None else {"key": key})
    return _MAGIC + json.dumps(told).encode() + b"\n"


def _parsed(head: bytes, file: str | Path) -> dict[str, Any]:
    try:
        told = json.loads(head[len(_MAGIC) :]) if head.startswith(_MAGIC) and head.endswith(b"\n") else None
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise BlobStoreError(f"{file} is not a file that a FileBlobStore wrote: it should begin with {_MAGIC!r}")
    return told


def _told(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
