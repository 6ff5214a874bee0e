"""The first stage: which bytes each file has."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from .pieces import joined, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from .pieces import Job, Make

    Record = dict[str, Any]


def hash_files(job: Job) -> Record:
    """Put a file's SHA-256 to its path."""
    job.in_pieces(each(lambda record: _hashed(job.corpus, record)), joined)
    return told(records(job.target))


def each(work: Callable[[Record], Record]) -> Make:
    """What makes a record out of each; those of files that were left out pass as they are."""

    def make(lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            record = json.loads(line)
            yield encoded(record if "left_out" in record else {"path": record["path"], **work(record)})

    return make


def records(file: Path) -> Iterator[Record]:
    """The records of a file, one a line."""
    with file.open("rb") as lines:
        for line in lines:
            yield json.loads(line)


def encoded(record: Any) -> bytes:
    """A record as a line."""
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def unreadable(error: OSError) -> Record:
    """What is told of a file that can't be read."""
    if isinstance(error, FileNotFoundError):
        return {"left_out": "vanished"}
    return {"left_out": (error.strerror or str(error)).lower()}


def _hashed(corpus: Path, record: Record) -> Record:
    try:
        with (corpus / record["path"]).open("rb") as file:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        return unreadable(error)
