"""The resource ``tmpdir``: a folder that goes when its plugin goes."""

from __future__ import annotations

import os
import re
import threading
import warnings
import weakref
from pathlib import Path

# Separators and drives of any platform, so that a plugin behaves alike on all of them.
_LEADS_ELSEWHERE = re.compile(r"[/\\:\x00]")


class ScopedTempDir:
    """A fresh folder, removed with all that is in it by ``close()``.

    Dropped unclosed, it is removed all the same, with a ``ResourceWarning``.

    Example:
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

    def close(self) -> None:
        """Remove the folder; does nothing the second time.

        Raises:
            OSError: something in it cannot be removed; another call tries again.
        """
        with self._lock:
            if self._finalizer.alive:
                _remove(self.path)
                self._finalizer.detach()

    def _place(self, name: str) -> Path:
        if name in ("", ".", "..") or _LEADS_ELSEWHERE.search(name):
            raise ValueError(
                f"{name!r} is not a name in a temporary folder: give one segment without '/', '\\' and ':', "
                "and make folders with create_subdir()"
            )
        if not self._finalizer.alive:
            raise RuntimeError(f"the temporary folder {self.path} is closed: use it before the plugin's teardown ends")
        return self.path / name

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
