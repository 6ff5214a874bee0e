"""Answers from an index; the format is told of in ``plugins/corpus/indexing.py``."""

from __future__ import annotations

import json
import math
import mmap
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@attrs.frozen
class Hit:
    """A text that was found.

    Attributes:
        path: where it is, from the corpus.
        title: what it calls itself.
        score: how well it fits.
        copies: the paths of files that are the same, byte for byte.
    """

    path: str
    title: str
    score: float
    copies: list[str]


def shown(text: str) -> str:
    """A path or a title as one line, with nothing in it that terminals obey."""
    return text if text.isprintable() else repr(text)[1:-1]


class Index:
    """An index; a context manager.

    Args:
        file: where it is.

    Attributes:
        files: the files that were looked at, with ``left_out`` for those that are not in it.

    Raises:
        OSError: if it can't be read, or is no index.
    """

    def __init__(self, file: Path) -> None:
        try:
            with file.open("rb") as opened:
                self._text = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            count = json.loads(self._text.readline())["files"]
            self.files: list[dict[str, Any]] = [json.loads(self._text.readline()) for _ in range(count)]
        except (ValueError, TypeError, KeyError) as error:
            raise OSError(f"{file} is no index: {error}") from error
        self._words_at = self._text.tell() - 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def best(self, words: Iterable[str], most: int) -> list[Hit]:
        """The texts that fit best: words that few of them have count most, and each more often than once a bit more.

        Args:
            words: what is sought, in small letters; a text need not have all of them.
            most: how many texts.
        """
        texts = sum("length" in file for file in self.files)
        scores: dict[int, float] = defaultdict(float)
        for word in sorted(set(words)):
            found = self._places(word)
            for place, count in found.items():
                scores[place] += (1 + math.log(count)) * math.log(1 + texts / len(found))
        return self._hits(scores, most)

    def _places(self, word: str) -> dict[int, int]:
        """Which files have a word, and how often."""
        begin = f"\n{word}\t".encode()
        at = self._text.find(begin, self._words_at)
        if at < 0:
            return {}
        self._text.seek(at + len(begin))
        pairs = (pair.split(b":") for pair in self._text.readline().split())
        return {int(place): int(count) for place, count in pairs}

    def _hits(self, scores: dict[int, float], most: int) -> list[Hit]:
        hits: dict[str, Hit] = {}
        for place, score in sorted(scores.items(), key=lambda one: (-one[1], one[0])):
            file = self.files[place]
            if (same := hits.get(file["sha256"])) is not None:
                same.copies.append(file["path"])
            elif len(hits) < most:
                hits[file["sha256"]] = Hit(file["path"], file["title"], score, [])
        return list(hits.values())
