"""Files of lines that several processes write, and that tell the truth when one of them is killed over it."""

from __future__ import annotations

import os
from pathlib import Path

_END = "."


def append(path: Path, *words: object) -> None:
    """Write a line that is on the disk afterwards; one that was cut short before stays apart from it."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, "\n{} {}\n".format(" ".join(map(str, words)), _END).encode())
        os.fsync(file)
    finally:
        os.close(file)


def lines(path: Path) -> list[list[str]]:
    """The words of each line that is whole."""
    text = path.read_text() if path.exists() else ""
    whole, _, _ = text.rpartition("\n")
    return [words[:-1] for line in whole.split("\n") if (words := line.split())[-1:] == [_END]]
