"""The resource ``tmpdir``: a folder that goes when its plugin goes; and one that stays."""

from __future__ import annotations

import os
import re
import threading
import warnings
import weakref
from abc import ABC, abstractmethod
from pathlib import Path

# Separators and drives of any platform, so that a plugin behaves alike on all of them.
_LEADS_ELSEWHERE = re.compile(r"[/\\:\x00]")


class _Folder(ABC):
    """Makes files and folders in a folder, and nowhere else."""

    path: Path

    @abstractmethod
    def _check_open(self) -> None:
        """Raise if nothing can be made any more."""

    def create_file(self, name: str, *, suffix: str = "") -> Path:
        """Make an empty file in the folder.

        Args:
            name: its name: no path, but one segment of one.
            suffix: comes after the name, as in ``".txt"``.

        Returns:
            The file's path.

        Raises:
            ValueError: the name would lead out of the folder, or deeper into it.
            FileExistsError: the name is taken.
            RuntimeError: the folder is closed.
        """
        file = self._place(name + suffix)
        file.touch(exist_ok=False)
        return file

    def create_subdir(self, name: str) -> Path:
        """Make an empty folder in the folder.

        Args:
            name: its name: no path, but one segment of one.

        Returns:
            The new folder's path.

        Raises:
            ValueError: the name would lead out of the folder, or deeper into it.
            FileExistsError: the name is taken.
            RuntimeError: the folder is closed.
        """
        folder = self._place(name)
        folder.mkdir()
        return folder

    def _place(self, name: str) -> Path:
        if name in ("", ".", "..") or _LEADS_ELSEWHERE.search(name):
            raise ValueError(
                f"{name!r} is not a name in the folder {self.path}: give one segment without '/', '\\' and ':', "
                "and make folders with create_subdir()"
            )
        self._check_open()
        return self.path / name


class DirectoryResource(_Folder):
    """A folder of the host's, for plugins that must keep files: it stays, with all that is in it.

    All plugins that declare it share it, unless a factory makes one for each, given to ``register`` with
    ``scope="plugin"``: ``lambda manifest: DirectoryResource(f"/srv/{manifest.kind}/{manifest.name}")``.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = DirectoryResource(folder + "/data")
        ...     data.create_file("model", suffix=".bin").name
        'model.bin'

    Args:
        path: the folder; made if it is missing. ``~`` is the home folder.

    Attributes:
        path: the same, absolute, without symbolic links.

    Raises:
        NotADirectoryError: a file lies there.
        OSError: it can't be made.

    .. versionadded:: 0.1
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(
                f"{self.path} is a file: DirectoryResource lends a folder, which is there or can be made"
            ) from None

    def _check_open(self) -> None:
        """It never closes."""

    def __repr__(self) -> str:
        return f"DirectoryResource({str(self.path)!r})"


class ScopedTempDir(_Folder):
    """A fresh folder, removed with all that is in it by ``close()``.

    Dropped unclosed, it is removed all the same, with a ``ResourceWarning``.

    Examples:
        >>> tmpdir = ScopedTempDir()
        >>> tmpdir.create_file("page", suffix=".txt").name
        'page.txt'
        >>> tmpdir.close()
        >>> tmpdir.path.exists()
        False

    Args:
        prefix: what the folder's name starts with, to tell whose it is.

    Attributes:
        path: the folder, absolute, without symbolic links.

    .. versionadded:: 0.1
    """

    def __init__(self, *, prefix: str = "dagstack-") -> None:
        import tempfile  # imported here: with what it needs it takes 3 ms, and few plugins want a folder

        self.path = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _dropped, self.path, os.getpid())

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        # A copy in another process uses the folder, and leaves its removal to the original.
        self.path = path
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _dropped, path, None)
        self._finalizer.atexit = False

    def close(self) -> None:
        """Remove the folder; does nothing the second time.

        Raises:
            OSError: something in it cannot be removed; another call tries again.
        """
        with self._lock:
            if self._finalizer.alive:
                _remove(self.path)
                self._finalizer.detach()

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise RuntimeError(f"the temporary folder {self.path} is closed: use it before the plugin's teardown ends")

    def __repr__(self) -> str:
        return f"<ScopedTempDir {self.path}{'' if self._finalizer.alive else ', closed'}>"


def _dropped(path: Path, maker: int | None) -> None:
    # A forked child inherits the object, and a worker process gets a copy, but the folder is the host's.
    if os.getpid() != maker:
        return
    _remove(path)
    warnings.warn(f"the ScopedTempDir {path} was dropped unclosed: call close()", ResourceWarning, stacklevel=2)


def _remove(path: Path) -> None:
    import shutil

    try:
        shutil.rmtree(path)
    except OSError:
        if path.exists():
            _unlock(path)
            shutil.rmtree(path)


def _unlock(path: Path) -> None:
    """Make all below ``path`` removable: that is up to the folders' permissions, on Windows to the files' own."""
    path.chmod(0o700)
    for folder, subfolders, files in os.walk(path):
        for name in (*subfolders, *files) if os.name == "nt" else subfolders:
            entry = Path(folder, name)
            if not entry.is_symlink():
                entry.chmod(0o700)
