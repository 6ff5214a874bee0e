"""The plugin 'paragraph-chunker' of kind 'chunker'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DEFAULT_SIZE = 2000


class ParagraphChunker:
    """Splits any text at its empty lines, and paragraphs that are too long at their lines, words or anywhere."""

    def chunk(self, text: str, max_size: int | None = None) -> list[dict[str, Any]]:
        """The pieces of a text, in its order, none longer than ``max_size`` characters."""
        size = DEFAULT_SIZE if max_size is None else max_size
        if size < 1:
            raise ValueError(f"max_size is 1 or more, found {size}")
        return list(pieces(text, size))


def pieces(text: str, size: int) -> Iterator[dict[str, Any]]:
    """Pieces that hold as much as they can; whitespace between them belongs to none."""
    begin = 0
    while begin < len(text):
        if text[begin].isspace():
            begin += 1
            continue
        end = begin + size if begin + size < len(text) else len(text)
        if end < len(text):
            end = best_end(text, begin, end)
        piece = text[begin:end].rstrip()
        yield {"text": piece, "offset": begin}
        begin = end


def best_end(text: str, begin: int, end: int) -> int:
    """Where a piece ends that can't hold the rest: after a paragraph, a line or a word, or in the midst of one."""
    for border in ("\n\n", "\n", " "):
        found = text.rfind(border, begin + 1, end + 1)
        if found > begin:
            return found
    return end
