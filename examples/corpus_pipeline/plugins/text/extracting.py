"""The second stage: which words each file has, and what it calls itself."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from .hashing import each, records, unreadable
from .pieces import joined, told

if TYPE_CHECKING:
    from pathlib import Path

    from .pieces import Job

WORD = re.compile(r"\b\w{2,40}\b")
LARGEST = 16 * 1024 * 1024
"""Bytes; what is larger is no text that anybody wrote."""
TITLE = 80
"""Characters of a title, at most."""
_DOCSTRING = re.compile(
    r"""\A(?:[ \t]*(?:\#.*)?\n)*[rRuU]?(?:\"{3}|'{3}|"|')\\?\s*(.+?)(?:\"{3}|'{3}|["']?$)""", re.MULTILINE
)
_SOME_LINE = re.compile(r"^(?!#!|import |from )\W*(\w.*)$", re.MULTILINE)


def extract(job: Job) -> dict[str, Any]:
    """Put words and a title to each file that is text."""
    job.in_pieces(each(lambda record: _extracted(job.corpus, record)), joined)
    return told(records(job.target))


def words_of(text: str) -> Counter[str]:
    """How often a text has which words, in small letters."""
    return Counter(WORD.findall(text.casefold()))


def title_of(text: str) -> str:
    """The first line of a docstring, or else the first line that says something."""
    found = _DOCSTRING.search(text) or _SOME_LINE.search(text)
    return " ".join(found[1].split())[:TITLE] if found else ""


def _extracted(corpus: Path, record: dict[str, Any]) -> dict[str, Any]:
    file = corpus / record["path"]
    try:
        if file.stat().st_size > LARGEST:
            return {"left_out": f"larger than {LARGEST >> 20} MiB"}
        data = file.read_bytes()
    except OSError as error:
        return unreadable(error)
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        return {"left_out": "changed meanwhile"}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {"left_out": "not text"}
    return {"sha256": record["sha256"], "title": title_of(text), "words": words_of(text)}
