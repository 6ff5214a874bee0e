"""The third stage and the last: an index of a partition, and of all of them.

An index is one file: a line that says how many files there are; a line for each of them, sorted by path; a line for
each word, sorted: the word, a tab, and, for each file that has it, ``place:count``. The parts of an index are indexes.
"""

from __future__ import annotations

import heapq
import json
from contextlib import ExitStack
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from .hashing import encoded
from .pieces import joined, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .pieces import Job

    Record = dict[str, Any]
    Entry = tuple[bytes, list[tuple[int, int]]]

WORDS = 100
"""Words that are merged where one file is indexed, from checkpoint to checkpoint."""


def index(job: Job) -> Record:
    """Make a small index every so many files, and at the end one of them all."""
    job.in_pieces(lambda lines: index_of(map(json.loads, lines)), _merged)
    return _told(job.target)


def merge(job: Job) -> Record:
    """Make the index of all partitions; the source has the path of an index in each line, from where it lies itself."""
    if job.begin():
        with (
            job.source.open(encoding="utf-8") as source,
            Merge([job.source.parent / line.strip() for line in source]) as it,
        ):
            job.finish(_merge_in_pieces(job, it), joined)
    return _told(job.target)


def _merge_in_pieces(job: Job, indexes: Merge) -> int:
    """Merge from the last checkpoint on; how many pieces there are then."""
    pieces: int
    pieces, after = job.saved((0, ""))
    if not all(job.piece(number).exists() for number in range(pieces)):
        pieces, after = 0, ""
    if pieces == 0:
        job.put(job.piece(0), indexes.head())
        pieces = 1
    lines = indexes.words(after.encode())
    while some := list(islice(lines, WORDS * job.every)):
        job.put(job.piece(pieces), some)
        pieces, after = pieces + 1, some[-1].partition(b"\t")[0].decode()
        job.save([pieces, after], indexes.percent, f"as far as {after!r}")
    return pieces


def index_of(records: Iterable[Record]) -> Iterator[bytes]:
    """The index of some files.

    Args:
        records: of the files, sorted by path.
    """
    files: list[Record] = []
    found: dict[str, list[tuple[int, int]]] = {}
    for place, record in enumerate(records):
        words = record.pop("words", {})
        files.append(record if "left_out" in record else {**record, "length": sum(words.values())})
        for word, count in words.items():
            found.setdefault(word, []).append((place, count))
    yield encoded({"files": len(files)})
    yield from map(encoded, files)
    yield from (_line(word.encode(), found[word]) for word in sorted(found))


class Merge:
    """Several indexes as one.

    Args:
        files: the indexes.
    """

    def __init__(self, files: list[Path]) -> None:
        self._bytes = sum(file.stat().st_size for file in files)
        self._stack = ExitStack()
        self._parts: list[BinaryIO] = [self._stack.enter_context(file.open("rb")) for file in files]
        self._heads = [list(files_of(part)) for part in self._parts]
        self._places = [[0] * len(head) for head in self._heads]
        self._all = sorted(
            (file["path"], part, place) for part, head in enumerate(self._heads) for place, file in enumerate(head)
        )
        for new, (_, part, place) in enumerate(self._all):
            self._places[part][place] = new

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def percent(self) -> float:
        """How much was read."""
        return 100 * sum(part.tell() for part in self._parts) / self._bytes

    def head(self) -> Iterator[bytes]:
        """The lines before those of words."""
        yield encoded({"files": len(self._all)})
        yield from (encoded(self._heads[part][place]) for _, part, place in self._all)

    def words(self, after: bytes = b"") -> Iterator[bytes]:
        """The lines of words, those after one."""
        parts = [_entries(part, places, after) for part, places in zip(self._parts, self._places, strict=True)]
        for word, entries in groupby(heapq.merge(*parts, key=itemgetter(0)), key=itemgetter(0)):
            yield _line(word, sorted(chain.from_iterable(map(itemgetter(1), entries))))


def files_of(index: BinaryIO) -> Iterator[Record]:
    """The files of an index; what is read after that are its words."""
    count = json.loads(index.readline())["files"]
    yield from (json.loads(index.readline()) for _ in range(count))


def _entries(part: BinaryIO, places: list[int], after: bytes) -> Iterator[Entry]:
    for line in part:
        word, _, found = line.partition(b"\t")
        if word > after:
            pairs = (pair.split(b":") for pair in found.split())
            yield word, [(places[int(place)], int(count)) for place, count in pairs]


def _line(word: bytes, found: list[tuple[int, int]]) -> bytes:
    return b"%s\t%s\n" % (word, " ".join(f"{place}:{count}" for place, count in found).encode())


def _merged(pieces: list[Path]) -> Iterator[bytes]:
    with Merge(pieces) as indexes:
        yield from indexes.head()
        yield from indexes.words()


def _told(index: Path) -> Record:
    with index.open("rb") as file:
        return {**told(files_of(file)), "words": sum(1 for _ in file)}
