"""The folder of the index: the index itself, and below ``work`` a folder for each partition."""

from __future__ import annotations

import filecmp
import hashlib
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from searching import Index, shown

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Folder:
    """Where one partition's files are made.

    Attributes:
        path: the folder; its name stands for all that goes in, so that other files, or changed ones, get another one.
        made: another one whenever the folder was made anew, as after somebody removed it.
    """

    path: Path
    made: str

    @property
    def name(self) -> str:
        """The partition."""
        return self.path.name

    @property
    def label(self) -> str:
        """The partition, for people: its number."""
        return self.name.partition("-")[0]


class Output:
    """The folder of the index.

    Args:
        path: the folder; made, with what is above it, if it is not there.
        corpus: the folder that is indexed.

    Attributes:
        work: the folder of the folders.

    Raises:
        OSError: if it can't be written to.
    """

    def __init__(self, path: Path, corpus: Path) -> None:
        self.path = path
        self.corpus = corpus
        self.index = path / "index"
        self.left_out = path / "left_out.txt"
        self.work = path / "work"
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            (path / ".gitignore").write_text("*\n", "utf-8")  # an index is no part of the repository that it lies in
        except OSError as error:
            raise OSError(f"no index can be written: {error}; choose another folder with --out DIR") from error

    def folder(self, label: str, source: str, lines: Sequence[bytes]) -> Folder:
        """The folder of a partition, with the file that its work begins with; made if it is not there.

        Args:
            label: how its name begins.
            source: that file's name.
            lines: that file's lines.
        """
        told = hashlib.sha256(f"{str(self.corpus)!a} {str(self.path)!a} {source}\n".encode())
        told.update(b"".join(lines))
        path = self.work / f"{label}-{told.hexdigest()[:12]}"
        if not path.is_dir():
            draft = self.work / f".{uuid.uuid4().hex}"
            draft.mkdir()
            (draft / source).write_bytes(b"".join(lines))
            (draft / "made").write_text(uuid.uuid4().hex, "ascii")
            with suppress(OSError):  # another process was faster; its folder is as good
                draft.rename(path)
        return Folder(path, (path / "made").read_text("ascii"))

    def others(self, kept: Sequence[Folder]) -> list[str]:
        """The names of folders that are of no use any more.

        Args:
            kept: those that are.
        """
        return sorted({path.name for path in self.work.iterdir()} - {folder.name for folder in kept})

    def discard(self, names: Sequence[str]) -> None:
        """Remove folders."""
        for name in names:
            shutil.rmtree(self.work / name, ignore_errors=True)

    def publish(self, index: Path) -> bool:
        """Put an index, which is whole, in the place of the one before.

        Returns:
            Whether it is another one.

        Raises:
            OSError: if it is not there, or its place can't be written to.
        """
        if not index.exists():
            raise OSError(f"{index} was made, and is gone; remove {self.work}, and begin anew")
        with Index(index) as found:
            names = [f"{shown(file['path'])}\t{file['left_out']}\n" for file in found.files if "left_out" in file]
        self.left_out.write_text("".join(names), "utf-8")
        with suppress(FileNotFoundError):
            if filecmp.cmp(index, self.index, shallow=False):
                return False
        draft = self.index.with_name(f".{uuid.uuid4().hex}")
        shutil.copyfile(index, draft)
        draft.replace(self.index)
        return True
