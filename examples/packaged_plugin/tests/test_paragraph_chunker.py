"""The plugin keeps its contract, and does what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).parent.parent / "src" / "paragraph_chunker"


def test_it_keeps_its_contract(contract_suite: Any) -> None:
    result = contract_suite(manifest=PLUGIN)
    assert result.ok, result.format_failures()


def test_a_text_is_split_at_its_empty_lines(load_plugin: Any) -> None:
    plugin = load_plugin(PLUGIN)
    assert plugin.chunk("One.\n\nTwo.", max_size=6) == [{"text": "One.", "offset": 0}, {"text": "Two.", "offset": 6}]


def test_no_piece_is_too_long_and_no_word_is_lost(load_plugin: Any) -> None:
    plugin = load_plugin(PLUGIN)
    text = "a line of words\nand another\n\n" * 20 + "x" * 50
    for size in (1, 7, 30, 5000):
        found = plugin.chunk(text, max_size=size)
        assert all(len(piece["text"]) <= size for piece in found)
        assert "".join("".join(piece["text"].split()) for piece in found) == "".join(text.split())
        assert all(text.startswith(piece["text"], piece["offset"]) for piece in found)
