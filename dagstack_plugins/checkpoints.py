"""How plugins save where they are, to go on from there after a crash: ``ctx.checkpoint`` and the host's stores."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import attrs

from dagstack_plugins.durable import flush, make_folder, sync_folder
from dagstack_plugins.errors import CheckpointConflict, PluginRegistryError
from dagstack_plugins.work import current_work

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

# Inside a class that has a method `list`, the name means that method.
Keys: TypeAlias = list[str]


@runtime_checkable
class CheckpointStore(Protocol):
    """Keeps states under a scope (a plugin) and a key; safe for threads.

    .. versionadded:: 0.1
    """

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state in place of the one before; returns its version, one more than that one's, 1 for the first.

        With ``expected``, only if that one's version is this (0: if there is none); else ``CheckpointConflict``.
        """
        ...

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state and its version; ``(None, 0)`` for a key never saved."""
        ...

    def list(self, scope: str, prefix: str = "") -> Keys:
        """The saved keys that start with the string ``prefix``, sorted."""
        ...


class Checkpoint:
    """What a plugin sees as ``ctx.checkpoint``; in a unit of work, the states are those of that unit.

    Examples:
        >>> checkpoint = Checkpoint(MemoryCheckpoints(), "chunker/text")
        >>> checkpoint.load("cursor")
        (None, 0)
        >>> checkpoint.save("cursor", {"page": 3})
        1
        >>> checkpoint.load("cursor")
        ({'page': 3}, 1)

    Args:
        store: where the states are kept.
        scope: whose they are, ``kind/name``.

    .. versionadded:: 0.1
    """

    def __init__(self, store: CheckpointStore, scope: str) -> None:
        self._store = store
        self._scope = scope

    def save(self, key: str, state: Any, *, expected: int | None = None) -> int:
        """Keep a state in place of the one before.

        Args:
            key: any string.
            state: JSON: dictionaries with string keys, lists, strings, finite numbers, booleans, ``None``.
            expected: keep it only if the version of the one before is this (0: if there is none), so that of two who
                go on from the same state only one does.

        Returns:
            The state's version: 1 for the first under this key, then counting up.

        Raises:
            TypeError: the state holds something that JSON has no form for; the message names its path.
            ValueError: the same, for a number that is not finite and for a state that contains itself. In both cases
                nothing was saved.
            CheckpointConflict: another state than the one expected is there; nothing was saved.
        """
        # Encoded here too, so that no store has to be trusted to refuse what another one would.
        store, plain = current_work() or self._store, json.loads(encode_state(state))
        if expected is None:  # stores that know nothing of it are as good as any
            return store.save(self._scope, key, plain)
        return store.save(self._scope, key, plain, expected)

    def load(self, key: str) -> tuple[Any, int]:
        """The state that was saved last, as a copy of its own, and its version; ``(None, 0)`` for a key never saved."""
        return (current_work() or self._store).load(self._scope, key)

    def list(self, prefix: str = "") -> Keys:
        """The saved keys that start with the string ``prefix``, sorted."""
        keys: Keys = (current_work() or self._store).list(self._scope, prefix)
        return keys


class MemoryCheckpoints:
    """States in memory, gone with the process.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._saved: dict[tuple[str, str], tuple[str, int]] = {}
        self._lock = threading.Lock()

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state in place of the one before; returns its version.

        Raises:
            TypeError: the state is not JSON, or the key not a string.
            ValueError: the state is not JSON.
            CheckpointConflict: another version than ``expected`` is there.
        """
        text = encode_state(state)
        place = check_text(scope, "scope"), check_text(key, "key")
        with self._lock:
            before = self._saved.get(place, ("", 0))[1]
            check_expected(key, expected, before)
            self._saved[place] = text, before + 1
        return before + 1

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state and its version; ``(None, 0)`` for a key never saved."""
        text, version = self._saved.get((check_text(scope, "scope"), check_text(key, "key")), ("null", 0))
        return json.loads(text), version

    def list(self, scope: str, prefix: str = "") -> Keys:
        """The saved keys that start with the string ``prefix``, sorted."""
        return sorted(key for of, key in tuple(self._saved) if of == scope and key.startswith(prefix))


class FileCheckpoints:
    """States in files, one for each key, in a folder for each scope; safe for threads and for several processes.

    A state is replaced as a whole or not at all, also when the machine goes down meanwhile. The folder must lie on a
    file system that has locks.

    Args:
        root: the folder for all of them, made when first needed; ``~`` is expanded.

    .. versionadded:: 0.1
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root).expanduser()

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state in place of the one before; returns its version, once it is safe on the disk.

        Raises:
            TypeError: the state is not JSON, or the key not a string.
            ValueError: the state is not JSON.
            CheckpointConflict: another version than ``expected`` is there.
            PluginRegistryError: the file of the state before is damaged, so that its version is not known.
            OSError: the file cannot be written; the state before is still there.
        """
        text = encode_state(state)
        file = self._file(scope, key)
        make_folder(file.parent)
        with _locked(file.parent):
            before = _read_header(file).version if file.exists() else 0
            check_expected(key, expected, before)
            header = _Header(scope, key, before + 1)
            _replace(file, f"{json.dumps(attrs.asdict(header))}\n{text}\n".encode("ascii"))
        return header.version

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state and its version; ``(None, 0)`` for a key never saved.

        Raises:
            PluginRegistryError: the file is damaged.
        """
        file = self._file(scope, key)
        if not file.exists():
            return None, 0
        with _locked(file.parent):
            return _read_state(file)

    def list(self, scope: str, prefix: str = "") -> Keys:
        """The saved keys that start with the string ``prefix``, sorted.

        Raises:
            PluginRegistryError: a file is damaged, so that its key is not known.
        """
        folder = self._folder(scope)
        if not folder.exists():
            return []
        with _locked(folder):
            keys = [_read_header(file).key for file in folder.glob("*.jsonl")]
        return sorted(key for key in keys if key.startswith(prefix))

    def _folder(self, scope: str) -> Path:
        return self._root / _file_name(check_text(scope, "scope"))

    def _file(self, scope: str, key: str) -> Path:
        return self._folder(scope) / f"{_file_name(check_text(key, 'key'))}.jsonl"

    def __repr__(self) -> str:
        return f"FileCheckpoints({str(self._root)!r})"


def encode_state(state: Any) -> str:
    """The state as JSON in ASCII, without line breaks.

    Args:
        state: what is to be saved.

    Raises:
        TypeError: it holds something that would not come back from JSON as it is; the message names its path.
        ValueError: the same, for numbers that are not finite and for a state that contains itself.
    """
    try:
        text = json.dumps(state, allow_nan=False)
        # Python's encoder changes what it can (tuples, numbers as keys); what was saved should be what is loaded.
        if json.loads(text) == state:
            return text
    except (TypeError, ValueError, RecursionError) as error:
        cause: Exception | None = error
    else:
        cause = None
    try:
        _find_fault(state, "$")
    except RecursionError:
        raise ValueError("a checkpoint's state is nested too deeply, or contains itself: save a flat copy") from None
    raise TypeError(f"a checkpoint's state is no JSON: {cause or 'it does not come back equal'}") from cause


def _find_fault(value: Any, path: str) -> None:
    """Raise for the first thing that is no JSON."""
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(
                f"a checkpoint's state is JSON, which has no form for {value!r} at {path}: save None, or text"
            )
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _find_fault(item, f"{path}[{position}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a checkpoint's state is JSON, but {path} has the key {key!r}: write str({key!r})")
            _find_fault(item, f"{path}.{key}")
    else:
        hint = "list(…)" if isinstance(value, tuple | set | frozenset) else "a dict, list, str, number, bool or None"
        raise TypeError(f"a checkpoint's state is JSON, but {path} is a {type(value).__name__}: save {hint} instead")


def check_expected(key: str, expected: int | None, found: int) -> None:
    """Refuse to save over another version than the one expected.

    Args:
        key: the key.
        expected: that version; ``None`` for any.
        found: the version that is there, 0 for none.

    Raises:
        CheckpointConflict: if they differ.
    """
    if expected is not None and expected != found:
        raise CheckpointConflict(
            f"checkpoint {key!r} is at version {found}, and {expected} was expected: somebody else has saved since",
            expected=expected,
            found=found,
        )


def check_text(text: str, what: str) -> str:
    """A scope or a key, which is any text.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(text, str):
        raise TypeError(f"a checkpoint's {what} is a str, got {type(text).__name__}: {text!r}")
    return text


# --- files: a line with the header, a line with the state ---------------------------------------------------------


@attrs.frozen(eq=False)
class _Header:
    scope: str
    key: str
    version: int


def _file_name(text: str) -> str:
    """A name for any text: what people recognise of it, and a digest, as names are short and some systems fold case."""
    seen = re.sub(r"[^a-z0-9]+", "-", text.lower())[:40].strip("-")
    import hashlib  # imported here: it loads OpenSSL, and most hosts keep no checkpoints in files

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{seen}-{digest}".lstrip("-")


def _read_header(file: Path) -> _Header:
    with file.open("rb") as stream:
        return _parse_header(file, stream.readline())


def _parse_header(file: Path, line: bytes) -> _Header:
    try:
        header = _Header(**json.loads(line))
        if (type(header.key), type(header.version)) != (str, int):
            raise TypeError
    except (TypeError, ValueError):
        raise _damaged(file, "its first line is no header") from None
    if file.stem != _file_name(header.key):
        raise _damaged(file, f"it holds the key {header.key!r}, which belongs into another file")
    return header


def _read_state(file: Path) -> tuple[Any, int]:
    first, _, rest = file.read_bytes().partition(b"\n")
    header = _parse_header(file, first)
    try:
        if not rest.endswith(b"\n"):  # a number that was cut short is a number still
            raise ValueError
        return json.loads(rest), header.version
    except ValueError:
        raise _damaged(file, "its state is cut short or overwritten") from None


def _damaged(file: Path, why: str) -> PluginRegistryError:
    return PluginRegistryError(
        f"the checkpoint file {file} is damaged: {why}; restore it, or delete it to start again without it"
    )


def _replace(file: Path, content: bytes) -> None:
    # One writer at a time, so one name is enough, and what a crash left behind is overwritten next time.
    draft = file.with_suffix(".tmp")
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            flush(stream.fileno())
        draft.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    sync_folder(file.parent)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep all others out, threads and processes: each opens the lock file anew, so each has a lock of its own.

    Readers take it as well, as Windows cannot replace a file that somebody reads. The system lets go of it when the
    process ends, however it ends.
    """
    with (folder / ".lock").open("a+b") as stream:
        if sys.platform == "win32":
            stream.seek(0)
            while True:
                try:
                    msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError as error:
                    if error.errno != errno.EDEADLK:  # it gives up after ten seconds, we do not
                        raise
            try:
                yield
            finally:
                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(stream, fcntl.LOCK_EX)
            try:
                yield
            finally:
                # Closing the file is not enough if a process was forked meanwhile, as that has it open too.
                fcntl.flock(stream, fcntl.LOCK_UN)
