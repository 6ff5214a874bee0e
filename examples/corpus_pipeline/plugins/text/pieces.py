"""What a stage makes: pieces from checkpoint to checkpoint, and at the end the whole.

Each file is there entirely or not at all, and its contents follow from its source alone. So work may be done twice, in
turn or at once, by a process that was taken for dead and one that took over from it: the files are the same.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dagstack_plugins import PluginContext

    Make = Callable[[list[bytes]], Iterable[bytes]]
    Join = Callable[[list[Path]], Iterable[bytes]]


@dataclass(frozen=True)
class Job:
    """What one unit has to do.

    Attributes:
        corpus: the folder whose files are indexed.
        source: what the stage before made, a line for each file.
        target: what this one makes.
        every: lines of the source from checkpoint to checkpoint.
        ctx: where checkpoints and progress go.
    """

    corpus: Path
    source: Path
    target: Path
    every: int
    ctx: PluginContext

    def begin(self) -> bool:
        """Make ready for pieces.

        Returns:
            Whether there is anything to do: a target that is there is whole.
        """
        if not self.corpus.is_dir():  # all files would seem to be gone
            raise NotADirectoryError(f"the corpus {self.corpus} is no folder on this machine")
        if self.target.exists():
            shutil.rmtree(self._pieces, ignore_errors=True)
            return False
        self._pieces.mkdir(exist_ok=True)
        return True

    @property
    def _pieces(self) -> Path:
        return self.target.with_name(f"{self.target.name}.pieces")

    def piece(self, number: int) -> Path:
        """The file of one piece; its name tells it from one that has more lines, or fewer."""
        return self._pieces / f"{self.every}-{number:06}"

    def saved(self, nothing: Any) -> Any:
        """The state at the last checkpoint of this stage, or what it is at the beginning."""
        found, _ = self.ctx.checkpoint.load(str(self.target))
        return nothing if found is None else found

    def save(self, state: Any, percent: float, said: str) -> None:
        """Keep a state, whose pieces are on the disk."""
        self.ctx.checkpoint.save(str(self.target), state)
        self.ctx.progress.update(percent, said)

    def in_pieces(self, make: Make, join: Join) -> None:
        """Make the target, from the last checkpoint on.

        Args:
            make: makes a piece out of some lines of the source.
            join: makes the target out of all pieces.
        """
        if not self.begin():
            return
        done, total = self.saved(0), count_lines(self.source)
        with self.source.open("rb") as source:
            for start in range(0, total, self.every):
                lines = list(islice(source, self.every))
                piece, end = self.piece(start // self.every), start + len(lines)
                if end <= done and piece.exists():
                    continue
                self.put(piece, make(lines))
                self.save(end, 100 * end / total, f"{end} of {total} files")
        self.finish(-(-total // self.every), join)

    def put(self, file: Path, lines: Iterable[bytes]) -> None:
        """Write a file under another name, and give it its own when it is whole, and on the disk."""
        with NamedTemporaryFile(dir=self._pieces, delete=False) as draft:
            draft.writelines(lines)
            draft.flush()
            os.fsync(draft.fileno())
        Path(draft.name).chmod(0o644)  # a temporary file is its owner's alone
        Path(draft.name).replace(file)

    def finish(self, pieces: int, join: Join) -> None:
        """Make the target out of its first pieces."""
        self.put(self.target, join([self.piece(number) for number in range(pieces)]))
        shutil.rmtree(self._pieces, ignore_errors=True)


def joined(pieces: list[Path]) -> Iterator[bytes]:
    """The lines of all pieces, one after the other."""
    for piece in pieces:
        with piece.open("rb") as file:
            yield from file


def count_lines(file: Path) -> int:
    """How many lines a file has."""
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def told(records: Iterable[dict[str, object]]) -> dict[str, object]:
    """What a unit answers: how many files there were, and how many were left out for which reason."""
    reasons = Counter(str(record.get("left_out", "")) for record in records)
    files = reasons.pop("", 0)
    return {"files": files, "left_out": dict(sorted(reasons.items()))}
